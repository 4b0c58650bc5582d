package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"kring/bench/contestant"
)

// A stalled server.
const (
	stallHandlers = 2
	stallQueued   = 16
	stallBeyond   = 8 // requests that find the channel full
	stallProbes   = 10
	stallProbe    = time.Second // Options.Probe, unless it says
)

// stallAll stalls every engine at once.
func stallAll(ctx context.Context, r *runner, s *Scenario) error {
	fmt.Fprintf(r.Progress, "%s, for %v: all engines at once\n", s.Name, r.Stall)
	samples, faults := make([]*Sample, len(r.Engines)), make([]error, len(r.Engines))
	var all sync.WaitGroup
	for i, e := range r.Engines {
		samples[i] = &Sample{Type: "sample", Scenario: s.Name, Engine: e, Way: s.Name}
		all.Go(func() { faults[i] = r.stall(ctx, samples[i]) })
	}
	all.Wait()
	for i := range samples {
		if faults[i] != nil {
			samples[i].Invalid = []string{faults[i].Error()}
		}
		if err := r.keep(samples[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stalled is a server whose request channel is full.
type stalled struct {
	server *contestant.Process
	keep   []net.Conn    // each has a request whose answer may be completed
	limit  time.Duration // of each probe
	leave  []net.Conn    // each will go
	stuck  []net.Conn    // each has a request that a handler stalls in, or will
	conns  []net.Conn
}

func (r *runner) stall(ctx context.Context, x *Sample) error {
	server, err := contestant.StartProcess(x.Engine, []string{r.self, "judged", "--engine", x.Engine, "--dispatch", "pool", "--processors", "1",
		"--handlers", strconv.Itoa(stallHandlers), "--queued-requests", strconv.Itoa(stallQueued)}, r.env.ServerCPUs)
	if err != nil {
		return err
	}
	defer server.Stop()
	st := &stalled{server: server, limit: cmp.Or(r.Probe, stallProbe)}
	defer func() {
		for _, c := range st.conns {
			_ = c.Close()
		}
	}()
	if err := st.fill(); err != nil {
		return err
	}
	x.Beside = contestant.Own{"probes": stallProbes}
	tick := time.NewTicker(r.Stall / stallProbes)
	defer tick.Stop()
	for i := range stallProbes {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		st.probe(i, x.Beside)
	}
	if x.Own = server.Own(); x.Own["now_queued"] != stallQueued {
		return fmt.Errorf("the channel was not full: %.0f of %d", x.Own["now_queued"], stallQueued)
	}
	return st.resume(x.Beside)
}

// fill fills the request channel.
func (s *stalled) fill() error {
	for range stallProbes {
		c, err := s.dial()
		if err != nil {
			return err
		}
		s.leave = append(s.leave, c)
		if c, err = s.dial(kept); err != nil {
			return err
		}
		s.keep = append(s.keep, c)
		if err := s.await("requests are kept", func(o contestant.Own) bool { return o["requests"] >= float64(len(s.keep)) }); err != nil {
			return err
		}
	}
	for range stallHandlers + stallQueued + stallBeyond {
		c, err := s.dial(stalls)
		if err != nil {
			return err
		}
		s.stuck = append(s.stuck, c)
	}
	return s.await("the channel is full", func(o contestant.Own) bool { return o["now_queued"] == stallQueued && o["held"] > 0 })
}

func (s *stalled) dial(requests ...string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", s.server.Addr, patience)
	if err != nil {
		return nil, err
	}
	s.conns = append(s.conns, c)
	for _, q := range requests {
		if _, err := c.Write(append([]byte{0, 0, 0, byte(len(q))}, q...)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// await waits until the server's counts are as they should be.
func (s *stalled) await(what string, is func(contestant.Own) bool) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if is(s.server.Own()) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it never came that %s", what)
		}
	}
}

// probe tries, in the middle of a stall, what must still go.
func (s *stalled) probe(i int, o contestant.Own) {
	s.try(o, "delivered", func() error {
		if _, err := s.server.Ask("answer", s.limit); err != nil {
			return err
		}
		return receive(s.keep[i], kept)
	})
	s.try(o, "closed", func() error {
		before := s.server.Own()["now_open"]
		_ = s.leave[i].Close()
		return s.await("a connection is closed", func(o contestant.Own) bool { return o["now_open"] < before })
	})
	s.try(o, "accepted", func() error {
		before := s.server.Own()["opened"]
		if _, err := s.dial(); err != nil {
			return err
		}
		return s.await("a new connection is served", func(o contestant.Own) bool { return o["opened"] > before })
	})
}

// try counts what went in time, and keeps the longest that any took, in
// milliseconds.
func (s *stalled) try(o contestant.Own, what string, do func() error) {
	begun := time.Now()
	err := do()
	took := time.Since(begun)
	if err == nil && took < s.limit {
		o[what]++
	}
	o[what+"_worst_ms"] = max(o[what+"_worst_ms"], took.Seconds()*1e3)
}

// resume lets the handlers go on: nobody may be stranded.
func (s *stalled) resume(o contestant.Own) error {
	if _, err := s.server.Ask("release", patience); err != nil {
		return err
	}
	for _, c := range s.stuck {
		if err := receive(c, stalls); err != nil {
			return fmt.Errorf("a request that waited was not answered: %w", err)
		}
		o["answered_after"]++
	}
	return nil
}

// receive wants the frame of payload.
func receive(c net.Conn, payload string) error {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4+len(payload))
	for n := 0; n < len(b); {
		k, err := c.Read(b[n:])
		if err != nil {
			return err
		}
		n += k
	}
	if string(b[4:]) != payload {
		return errors.New("a wrong answer")
	}
	return nil
}
