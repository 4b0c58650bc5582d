// Command siege attacks a server in every way that costs it memory, all at once, and says
// how clients fare meanwhile that mean well.
//
// Job. Hold unread Fetches, partial frames, claims of large frames, idle connections and a
// pipeliner that reads slowly, each as often as is said, and again when it is closed; keep
// some clients beside them that produce, fetch and ask, and report their requests, errors
// and times. It exits with 1 when one of them had an error, or was slower than it may be.
// scripts/siege.sh runs it against a server in a cgroup of its own.
//
// Flow. The topic is filled (-role fill); the good clients connect, in a process of their own
// (-role good), so that their times are not those of a program with thousands of attackers in
// it; then the attackers. Idle connections are held by processes of their own (-role idle),
// because descriptors are counted by process. The attackers are nice (-nice): they share CPUs
// with the server, where others have machines of their own.
//
// Ownership. A connection belongs to its goroutine; the counts are atomic.
//
// Never. It does not start the server, and does not look at its memory: the script does.
//
// Kernel. Client addresses are 127.0.0.2 and on, 10,000 connections each, for ports.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

type siege struct {
	address  string
	role     string
	goodAt   string // address of the server that the good clients ask
	nice     int
	without  string
	span     time.Duration
	p99      time.Duration
	good     int
	idle     int
	partial  int
	claims   int
	fetchers int
	topic    int
	origin   int // of client addresses

	verbose bool

	done chan struct{} // closed when it is over
	all  sync.WaitGroup
	book book
}

func main() {
	s := siege{done: make(chan struct{})}
	flag.StringVar(&s.address, "address", "127.0.0.1:9092", "`HOST:PORT` of the server")
	flag.StringVar(&s.role, "role", "", "`ROLE`: fill fills the topic and ends, which comes first; good and idle are for processes that this one starts")
	flag.StringVar(&s.goodAt, "good-address", "", "`HOST:PORT` of a server for the good clients, default -address: how they fare beside a siege of another")
	flag.IntVar(&s.nice, "nice", 0, "how nice the attackers are, 0 to 19")
	flag.StringVar(&s.without, "without", "", "`KINDS` of attackers that stay away, separated by commas: fetches, partial, claims, idle, pipeliner")
	flag.DurationVar(&s.span, "t", 10*time.Minute, "how long")
	flag.DurationVar(&s.p99, "p99", 0, "the longest time that 99 of 100 good requests may take; 0: any")
	flag.IntVar(&s.good, "good", 64, "good clients")
	flag.IntVar(&s.idle, "idle", 16000, "idle connections")
	flag.IntVar(&s.partial, "partial", 5000, "frames of 1 MiB of which half comes")
	flag.IntVar(&s.claims, "claims", 53, "claims of 100, 100, 50 and 5 MiB, and of 512, 256 and 128 KiB, of five bytes each")
	flag.IntVar(&s.fetchers, "fetches", 60, "Fetches of up to 100 MiB that nobody reads")
	flag.IntVar(&s.topic, "topic", 32, "MiB in the topic that is fetched")
	flag.IntVar(&s.origin, "origin", 0, "the first of the clients' addresses is 127.0.0.2 and so many")
	flag.BoolVar(&s.verbose, "v", false, "say every five seconds how the good clients fare")
	flag.Parse()
	err := s.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "siege:", err)
		os.Exit(1)
	}
}

func (s *siege) run() error {
	switch s.role {
	case "idle":
		return s.idleHere()
	case "fill":
		return s.fill()
	case "good":
		return s.goodHere()
	}
	good, err := s.startGood()
	if err != nil {
		return err
	}
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, s.nice); s.nice > 0 && err != nil {
		return fmt.Errorf("nice %d: %w", s.nice, err)
	}
	stop, err := s.attack()
	if err != nil {
		return err
	}
	select {
	case <-time.After(s.span):
	case <-good.said: // the good clients are no more
	}
	err = good.end()
	close(s.done)
	stop()
	s.all.Wait()
	fmt.Printf("attackers %d connections, %d of them refused\n", s.book.attacks.Load(), s.book.refused.Load())
	return err
}

// attack begins every attack; stop ends those of other processes.
func (s *siege) attack() (stop func(), err error) {
	away := strings.Split(s.without, ",")
	without := func(kind string) bool { return slices.Contains(away, kind) }
	stop = func() {}
	if !without("idle") {
		if stop, err = s.idleElsewhere(); err != nil {
			return nil, err
		}
	}
	if !without("partial") {
		s.each(s.partial, s.partialFrame)
	}
	if !without("claims") {
		s.each(s.claims, s.claim)
	}
	if !without("fetches") {
		s.each(s.fetchers, s.unreadFetch)
	}
	if !without("pipeliner") {
		s.each(1, s.slowPipeliner)
	}
	return stop, nil
}
