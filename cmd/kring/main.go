// Command kring serves Kafka clients over io_uring.
//
//	kring serve            a one-node Kafka cluster for development on 127.0.0.1:9092
//	kring serve --help     every setting, its default and what it is for
//	kring doctor           what this machine can do, and what stands in the way
//	kring version          also --version and -v
//
// Standard output carries exactly one line, when the server really serves:
//
//	kring: ready on 127.0.0.1:9092 · io_uring (all features), 1 processor parked, pool of 8 · memory at most 512 MiB of 512 MiB (cgroup) · handler embedded (one-node development broker)
//
// that is the bound addresses (several are joined by ", "), the engine and why
// it is this one, how many processors there are and how they wait, where the
// handler runs, and which handler it is. Everything else goes to standard error,
// through a queue: nothing waits for whoever reads it, or does not.
//
// SIGUSR1 asks for a log line about what the server holds now: connections,
// request bytes, buffers, goroutines, kernel threads. SIGHUP has --quota-file
// read again, and the hosts of --ip-limit resolved again, if there are any; it never
// ends the program.
//
// Exit status: 0 after SIGINT or SIGTERM, when what was in flight is finished
// or --drain-timeout has passed; 1 when something failed at run time, or a
// second signal asked to exit at once; 2 for a wrong flag, value or setting. The
// doctor exits with 3 where io_uring can't serve and another engine does.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr, signals))
}
