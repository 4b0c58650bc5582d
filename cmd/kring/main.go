// Command kring serves Kafka clients over io_uring.
//
//	kring serve            a one-node Kafka cluster for development on 127.0.0.1:9092
//	kring serve --help     the settings that people need; --help-all: every one
//	kring config check F   what is wrong with a configuration file
//	kring config show      every setting in effect, and where it comes from
//	kring top              the clients of a running server, as they come and go
//	kring connections list|close
//	kring doctor           what this machine can do, and what stands in the way
//	kring version          also --version and -v
//
// Standard output carries exactly one line, when the server really serves:
//
//	kring: ready on 127.0.0.1:9092 · io_uring (all features), 1 processor parked, pool of 8 · memory at most 512 MiB of 512 MiB (cgroup) · handler embedded (one-node development broker)
//
// These are the bound addresses (joined by ", "; behind one that systemd opened stands
// " (systemd)"), the engine and why it was chosen,
// the number of processors and how they wait, where the handler runs, the memory
// plan, and the handler. Everything else goes to standard error, through a queue:
// the server never waits for its reader.
//
// SIGUSR1 writes a log line with what the server holds: connections, request
// bytes, buffers, goroutines, kernel threads. SIGHUP rereads --config and the files that
// settings name, as a whole or not at all, and resolves the hosts of --ip-limit again. It
// never ends the program.
//
// Exit status: 0 after SIGINT or SIGTERM, when requests in flight are finished or
// --drain-timeout has passed; 1 if something failed at run time, or after a second
// signal; 2 for a wrong flag, value or setting. The doctor exits with 3 if io_uring
// can't serve and another engine can.
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
