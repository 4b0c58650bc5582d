package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// goodProcess is the process of the good clients.
type goodProcess struct {
	cmd  *exec.Cmd
	in   io.Closer
	said chan struct{} // closed once all that it says was passed on
}

// startGood starts it, in a group of its own, and waits until every client was answered.
func (s *siege) startGood() (*goodProcess, error) {
	address := s.goodAt
	if address == "" {
		address = s.address
	}
	cmd := exec.Command(os.Args[0], "-role", "good", "-address", address, "-good", strconv.Itoa(s.good), "-p99", s.p99.String(), "-v="+strconv.FormatBool(s.verbose))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the attackers' group is nice
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return nil, fmt.Errorf("the good clients ended before the siege began: %w", errors.Join(lines.Err(), cmd.Wait()))
	}
	g := &goodProcess{cmd, in, make(chan struct{})}
	go func() {
		defer close(g.said)
		for lines.Scan() {
			fmt.Println(lines.Text())
		}
	}()
	return g, nil
}

// end has it report, and says whether its clients were served as they should be.
func (g *goodProcess) end() error {
	if err := g.in.Close(); err != nil {
		return err
	}
	<-g.said
	return g.cmd.Wait()
}

// goodHere serves as that process, until standard input ends.
func (s *siege) goodHere() error {
	ready := new(sync.WaitGroup)
	for i := range s.good {
		ready.Add(1)
		s.all.Go(func() { s.goodClient(i, ready) })
	}
	ready.Wait()
	fmt.Println("ready")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(s.done)
	}()
	s.watch()
	s.all.Wait()
	return s.report()
}

// watch waits until it is over, and notes each part of it.
func (s *siege) watch() {
	const every = 5 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		half, most, longest, n := s.book.lately()
		if s.verbose {
			fmt.Printf("%d requests, p50 %v, p99 %v, longest %v, %d errors\n", n, half, most, longest, s.book.failed.Load())
		}
	}
}

// report says how it went, and what of it is a fault.
func (s *siege) report() error {
	b := &s.book
	half, most, longest := b.times()
	fmt.Printf("good clients %d: %d requests, p50 %v, p99 %v, longest %v, %d errors\n",
		s.good, b.requests.Load(), half, most, longest, b.failed.Load())
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
