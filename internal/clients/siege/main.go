// Command siege attacks a server in every way that costs it memory, all at once, and says
// how clients fare meanwhile that mean well.
//
// Job. Hold unread Fetches, partial frames, claims of large frames, idle connections and a
// pipeliner that reads slowly, each as often as is said, and again when it is closed; keep
// some clients beside them that produce, fetch and ask, and report their requests, errors
// and times. It exits with 1 when one of them had an error, or was slower than it may be.
// scripts/siege.sh runs it against a server in a cgroup of its own.
//
// Flow. The topic is filled (-role fill); the good clients connect; then the attackers. Idle
// connections are held by processes of their own (-role idle), because descriptors are
// counted by process.
//
// Ownership. A connection belongs to its goroutine; the counts are atomic.
//
// Never. It does not start the server, and does not look at its memory: the script does.
//
// Kernel. Client addresses are 127.0.0.2 and on, 10,000 connections each, for ports.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

type siege struct {
	address  string
	role     string
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
	flag.StringVar(&s.role, "role", "", "`ROLE`: fill fills the topic and ends, which comes first; idle is for processes that this one starts")
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
	}
	ready := new(sync.WaitGroup)
	for i := range s.good {
		ready.Add(1)
		s.all.Go(func() { s.goodClient(i, ready) })
	}
	ready.Wait()
	stop, err := s.attack()
	if err != nil {
		return err
	}
	s.watch()
	close(s.done)
	stop()
	s.all.Wait()
	return s.report()
}

// watch waits until it is over.
func (s *siege) watch() {
	const every = 5 * time.Second
	for left := s.span; left > 0; left -= every {
		time.Sleep(min(every, left))
		if s.verbose {
			half, most, longest, n := s.book.lately()
			fmt.Printf("%v left: %d requests, p50 %v, p99 %v, longest %v, %d errors; %d attackers connected, %d refused\n", left, n, half, most, longest,
				s.book.failed.Load(), s.book.attacks.Load(), s.book.refused.Load())
		}
	}
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

// report says how it went, and what of it is a fault.
func (s *siege) report() error {
	b := &s.book
	half, most, longest := b.times()
	fmt.Printf("good clients %d: %d requests, p50 %v, p99 %v, longest %v, %d errors; attackers %d connections, %d of them refused\n",
		s.good, b.requests.Load(), half, most, longest, b.failed.Load(), b.attacks.Load(), b.refused.Load())
	var faults []error
	if n := b.failed.Load(); n > 0 {
		faults = append(faults, fmt.Errorf("%d good requests failed, the first: %v", n, b.first))
	}
	if b.unserved(s.good) > 0 {
		faults = append(faults, fmt.Errorf("%d good clients were never served", b.unserved(s.good)))
	}
	if s.p99 > 0 && most > s.p99 {
		faults = append(faults, fmt.Errorf("p99 %v, at most %v was wanted", most, s.p99))
	}
	return errors.Join(faults...)
}
