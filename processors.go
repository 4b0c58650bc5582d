package kring

import (
	"context"
	"slices"
	"time"

	"kring/processor"
)

// everyProcessor are those that serve and those on their way out.
func (s *Server) everyProcessor() []*processor.Processor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Concat(s.processors, s.leaving.processors)
}

// serveWith has new connections go to these processors from now on. changing is
// held.
func (s *Server) serveWith(processors []*processor.Processor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processors = processors
	for _, l := range s.listeners {
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
// closes them. changing is held.
func (s *Server) shrink(n int) {
	if n == len(s.processors) {
		return
	}
	all := aliveFirst(s.processors)
	stay, leave := slices.Clone(all[:n]), slices.Clone(all[n:])
	s.mu.Lock()
	s.leaving.processors = slices.Concat(s.leaving.processors, leave)
	s.mu.Unlock()
	s.serveWith(stay)
	for _, p := range leave {
		p.Retire(stay)
		s.retiring.Go(func() { s.awaitRetired(p) })
	}
}

// awaitRetired ends a processor once its connections have left it, or were cut
// when they were too long about it.
func (s *Server) awaitRetired(p *processor.Processor) {
	s.mu.RLock()
	bound := s.cfg.Timeouts.Drain
	s.mu.RUnlock()
	late, cancel := s.drainDeadline(bound)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving.processors = slices.DeleteFunc(slices.Clone(s.leaving.processors), func(o *processor.Processor) bool { return o == p })
	gone := s.leaving.gone.clone()
	gone.addProcessor(p)
	s.leaving.gone = gone
}

// drainDeadline ends when what was taken away has had so long to finish, or when the
// Server ends. Negative: as long as it likes.
func (s *Server) drainDeadline(bound time.Duration) (context.Context, context.CancelFunc) {
	if bound < 0 {
		return context.WithCancel(s.ending)
	}
	return context.WithTimeout(s.ending, bound)
}

// paceRebalance has connections rebalanced as Config says. changing is held.
func (s *Server) paceRebalance() {
	if s.pacing != nil {
		s.pacing()
	}
	s.pacing = nil
	if every := s.cfg.Processors.Rebalance; every > 0 {
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
			s.mu.RLock()
			processors := s.processors
			s.mu.RUnlock()
			shed(processors)
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
