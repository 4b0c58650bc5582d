package kring

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"kring/engine"
	"kring/processor"
)

func (s *Server) processorConfig(id uint32) processor.Config {
	now := s.now()
	cfg := &now.cfg
	of := &cfg.Dispatch
	c := processor.Config{
		ID: id, Network: now.network, Wait: waitOf(cfg.Processors.Wait), YieldFrom: cfg.yieldFrom(),
		Census: &s.census, Clients: &s.clients, AssignedMax: assignedMax,
		Latency: processor.LatencyConfig{Target: of.LatencyTarget, Counts: of.LatencyCounts, Least: 1, Most: of.QueuedRequestsMax},
		ConnConfig: processor.ConnConfig{
			Memory: s.memory, Held: s.held, Responses: s.responses, Channel: s.channel,
			APIOf: of.APIOf, Deprecated: of.Deprecated, Priority: of.Priority, LongPoll: of.LongPoll,
			ClientIDs: s.clientIDs, SlowRequest: cfg.Measure.SlowRequest,
			InFlightShare: max(1, of.QueuedRequestsMax/8), RunMax: of.BatchMax,
			Hooks: processor.Hooks{Opened: s.connOpened, Closed: s.connClosed, Refused: s.connRefused, Panicked: s.events.HandlerPanicked},
		},
	}
	if s.events.SlowRequest != nil {
		c.Slow = s.slowRequest
	}
	if of.Mode == DispatchInline {
		c.Handle = handleOf(s.handler)
	}
	return c
}

// assignedMax bounds the sockets that wait on one processor to be adopted.
const assignedMax = 1024

// openProcessors starts n processors, or none.
func (s *Server) openProcessors(n int) ([]*processor.Processor, error) {
	opened := make(chan error, n)
	processors := make([]*processor.Processor, n)
	for i := range processors {
		p := processor.New(s.processorConfig(s.nextID))
		s.nextID++
		processors[i] = p
		go s.runProcessor(p, opened)
	}
	var faults []error
	for range processors {
		faults = append(faults, <-opened)
	}
	err := errors.Join(faults...)
	if err != nil {
		dismiss(processors)
		return nil, engineError(s.Engine(), "processors", err)
	}
	return processors, nil
}

func (s *Server) runProcessor(p *processor.Processor, opened chan<- error) {
	stands := false
	err := fmt.Errorf("kring: processor %d has ended: %w: use dispatch %q for such a handler", p.ID(), processor.ErrGoexit, DispatchPool)
	defer func() { // also when a handler takes this goroutine with it
		if stands { // else whoever opened it knows
			s.fail(err)
		}
	}()
	err = p.Run(func(err error) {
		stands = err == nil
		opened <- err
	})
}

// dismiss ends processors that nobody assigns to any more, and what is left of
// their connections.
func dismiss(processors []*processor.Processor) {
	each(processors, (*processor.Processor).Cut)
	await(processors, (*processor.Processor).Drained)
	each(processors, (*processor.Processor).Stop)
	await(processors, (*processor.Processor).Ended)
}

// yieldFrom is processor.Config's; see ProcessorsConfig.Gosched. With another P to run it
// on, a single request is better off there.
func (c *Config) yieldFrom() int {
	switch {
	case c.Processors.Gosched == GoschedOff:
		return 0
	case c.Processors.Gosched == GoschedOn || c.Processors.Wait == WaitLocked || runtime.GOMAXPROCS(0) == 1:
		return 1
	default:
		return 2
	}
}

func waitOf(w Wait) engine.Wait {
	if w == WaitLocked {
		return engine.WaitLocked
	}
	return engine.WaitParked
}

// serveWith has new connections go to these processors from now on. mu is held. Order: they
// are there before it is looked who accepts; see bind.
func (s *Server) serveWith(processors []*processor.Processor) {
	s.change(func(next *state) { next.processors = processors })
	for _, l := range s.now().listeners {
		if a := l.acceptor.Load(); a != nil {
			a.AssignTo(l.assigners(processors))
		}
	}
}

// aliveFirst has those at the end whose engine died.
func aliveFirst(processors []*processor.Processor) []*processor.Processor {
	all := slices.Clone(processors)
	slices.SortStableFunc(all, func(a, b *processor.Processor) int {
		switch {
		case a.Serves() == b.Serves():
			return 0
		case a.Serves():
			return -1
		}
		return 1
	})
	return all
}

// shrink takes processors away, down to n: those that died, and then the last. Their
// connections go on with the others, each as soon as it has nothing in flight; Kafka
// closes them. mu is held.
func (s *Server) shrink(n int) {
	serving := s.now().processors
	if n == len(serving) {
		return
	}
	all := aliveFirst(serving)
	stay, leave := slices.Clone(all[:n]), slices.Clone(all[n:])
	s.change(func(next *state) { next.leaving.processors = slices.Concat(next.leaving.processors, leave) })
	s.serveWith(stay)
	for _, p := range leave {
		p.Retire(stay)
		s.retiring.Go(func() { s.awaitRetired(p) })
	}
}

// awaitRetired ends a processor once its connections have left it, or were cut
// when they were too long about it.
func (s *Server) awaitRetired(p *processor.Processor) {
	late, cancel := s.drainDeadline(s.now().cfg.Timeouts.Drain)
	defer cancel()
	select {
	case <-p.Drained():
	case <-late.Done(): // or the Server is ending, which drains and stops all itself
		if s.ending.Err() == nil {
			p.Cut()
		}
	}
	<-p.Drained()
	p.Stop()
	<-p.Ended()
	s.change(func(next *state) {
		next.leaving.processors = without(next.leaving.processors, p)
		next.leaving.gone = next.leaving.gone.clone()
		next.leaving.gone.addProcessor(p)
	})
}

// drainDeadline ends when what was taken away has had so long to finish, or when the
// Server ends. Negative: as long as it likes.
func (s *Server) drainDeadline(bound time.Duration) (context.Context, context.CancelFunc) {
	if bound < 0 {
		return context.WithCancel(s.ending)
	}
	return context.WithTimeout(s.ending, bound)
}

// paceRebalance has connections rebalanced as Config says. mu is held.
func (s *Server) paceRebalance() {
	if s.pacing != nil {
		s.pacing()
	}
	s.pacing = nil
	if every := s.now().cfg.Processors.Rebalance; every > 0 {
		ctx, cancel := context.WithCancel(s.ending)
		s.pacing = cancel
		s.retiring.Go(func() { s.rebalance(ctx, every) })
	}
}

// rebalance moves connections that nothing is going on with from processors
// that have more than their share to those that have less, now and then, until
// the Server ends or the interval changes.
func (s *Server) rebalance(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			shed(s.now().processors)
		case <-ctx.Done():
			return
		}
	}
}

// shed evens out the numbers of connections, of the processors that are alive.
func shed(processors []*processor.Processor) {
	processors = slices.DeleteFunc(slices.Clone(processors), func(p *processor.Processor) bool { return !p.Serves() })
	if len(processors) < 2 {
		return
	}
	loads, total := make([]int64, len(processors)), int64(0)
	for i, p := range processors {
		loads[i] = p.Load()
		total += loads[i]
	}
	share := total / int64(len(processors))
	to := 0
	for from := range processors {
		for surplus := loads[from] - share - 1; surplus > 0 && to < len(processors); {
			n := min(surplus, share-loads[to])
			if n <= 0 {
				to++
				continue
			}
			processors[from].Shed(int(n), processors[to])
			loads[to] += n
			surplus -= n
		}
	}
}
