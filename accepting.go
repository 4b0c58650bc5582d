package kring

import (
	"fmt"

	"kring/acceptor"
	"kring/processor"
)

// hosted is an acceptor that runs on a processor's own engine.
type hosted struct {
	acceptor  *acceptor.Acceptor
	processor *processor.Processor
}

// bindShared opens a listening socket of l for each processor. The first picks
// the port, the others share it.
func (s *Server) bindShared(l *listener) error {
	c := s.acceptorConfig(l)
	c.Listen.Shared = true
	s.mu.RLock()
	processors := s.processors
	s.mu.RUnlock()
	var all []hosted
	for _, p := range processors {
		c.Assigners = []acceptor.Assigner{p.InboxFor(l.conns)}
		a, err := acceptor.New(c)
		if err != nil {
			for _, h := range all {
				h.acceptor.CloseUnused()
			}
			return fmt.Errorf("kring: %w", err)
		}
		c.Listen.Address = a.Addr().String()
		all = append(all, hosted{a, p})
	}
	l.hosted = all
	l.acceptor.Store(all[0].acceptor)
	return nil
}

// acceptors are those of l; none before it is bound.
func (l *listener) acceptors() []*acceptor.Acceptor {
	first := l.acceptor.Load() // Order: hosted was set before it
	if first == nil {
		return nil
	}
	if len(l.hosted) == 0 {
		return []*acceptor.Acceptor{first}
	}
	all := make([]*acceptor.Acceptor, len(l.hosted))
	for i, h := range l.hosted {
		all[i] = h.acceptor
	}
	return all
}

// run accepts until stop. A processor that died has said so itself; the others
// go on.
func (l *listener) run(opened func(error)) error {
	if len(l.hosted) == 0 {
		return l.acceptor.Load().Run(opened)
	}
	for _, h := range l.hosted {
		if !h.processor.HostAcceptor(h.acceptor) {
			h.acceptor.Close()
		}
	}
	opened(nil)
	for _, h := range l.hosted {
		<-h.acceptor.Done()
	}
	return nil
}
