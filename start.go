package kring

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"kring/acceptor"
	"kring/engine"
	"kring/handler"
	"kring/processor"
)

// open starts every part, in the order in which each finds what it needs: who
// accepts must have somebody to assign to (KAFKA-9796). On failure nothing is
// left but the pool of handlers.
func (s *Server) open() error {
	if err := s.shareMemory(); err != nil {
		return err
	}
	acceptor.Prepare(s.cfg.Conns.Max, s.cfg.Conns.HandlerFiles)
	processors, err := s.openProcessors(s.cfg.Processors.Count)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.processors = processors
	s.mu.Unlock()
	s.startPool()
	for _, cfg := range s.cfg.Listeners {
		if err = s.addListener(cfg); err != nil {
			s.dismantle()
			return err
		}
	}
	if !acceptor.HasRoom() {
		s.dismantle()
		return s.errNoRoom()
	}
	return nil
}

// shareMemory tells the engines where most of what they send will lie.
func (s *Server) shareMemory() error {
	u, ok := s.network.(engine.MemoryUser)
	if !ok || u.MemoryWanted() == 0 {
		return nil
	}
	b, err := s.memory.Reserve(u.MemoryWanted())
	if err != nil {
		return fmt.Errorf("kring: memory for io_uring to register: %w", err)
	}
	u.UseMemory(b)
	return nil
}

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
		s.dismiss(processors)
		return nil, engineError(Engine(s.network.Name()), "processors", err)
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
func (s *Server) dismiss(processors []*processor.Processor) {
	cut(processors)
	for _, p := range processors {
		p.Stop()
	}
	awaitEnded(processors)
}

func (s *Server) startPool() {
	if s.cfg.Dispatch.Mode != DispatchPool || s.pool != nil {
		return
	}
	pool := handler.NewPool(handler.Config{
		Handlers: s.cfg.Dispatch.Handlers, BatchMax: s.cfg.Dispatch.BatchMax, Handle: handleOf(s.handler), Panicked: s.events.HandlerPanicked,
		Responses: s.responses,
	}, s.channel)
	s.mu.Lock()
	s.pool = pool
	s.mu.Unlock()
	pool.Start()
}

// dismantle ends what open has begun, but for the pool.
func (s *Server) dismantle() {
	listeners, processors := s.everyListener(), s.everyProcessor()
	for _, l := range listeners {
		l.stop()
	}
	for _, l := range listeners {
		<-l.ended
	}
	s.dismiss(processors)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners, s.processors = nil, nil
}

// fallBack replaces an engine that failed to open all parts, although it could
// be chosen, by the next one that works here. It says whether there is one. One
// that found no descriptors is not replaced: clients would find none either.
func (s *Server) fallBack(failure error) bool {
	if !errors.As(failure, new(*EngineError)) || len(s.others) == 0 ||
		errors.Is(failure, syscall.EMFILE) || errors.Is(failure, syscall.ENFILE) {
		return false
	}
	network, why, others, err := chooseNetwork(s.cfg, s.others, alongside("", failure))
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.network, s.why, s.others = network, why, others
	return true
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
