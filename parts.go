package kring

import (
	"context"
	"fmt"

	"kring/acceptor"
	"kring/engine"
	"kring/handler"
	"kring/processor"
)

// The parts of a Server, as Server.parts has them.

// shareMemory tells the engines where most of what they send will lie.
func (s *Server) shareMemory() error {
	u, ok := s.now().network.(engine.MemoryUser)
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

func (s *Server) freeMemory(*shutdown) { s.memory.Close() }

// awaitRest waits for goroutines that nobody has told to end: what they see to has. Names are
// of no use any more, without a processor.
func (s *Server) awaitRest(d *shutdown) {
	s.upstreams.endLookUps(ErrServerClosed)
	for _, l := range d.listeners {
		<-l.ended
	}
	s.retiring.Wait()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		each(d.listeners, (*listener).awaitHandshakes)
		s.upstreams.shakes.Wait()
	}()
	late, stop := expired(d.ctx, cutGrace)
	defer stop()
	comesBefore(ended, late) // one may be in a function of the user's
}

func (s *Server) startProcessors() error {
	cfg := &s.now().cfg
	acceptor.Prepare(cfg.Conns.Max, cfg.Conns.HandlerFiles)
	processors, err := s.openProcessors(cfg.Processors.Count)
	if err == nil {
		s.change(func(next *state) { next.processors = processors })
	}
	return err
}

func (s *Server) undoProcessors() {
	dismiss(s.now().everyProcessor())
	s.change(func(next *state) { next.processors = nil })
}

// stopProcessors ends the event loops. One that a Handler blocks is waited for, but not by
// Shutdown.
func (s *Server) stopProcessors(d *shutdown) {
	each(d.processors, (*processor.Processor).Stop)
	for _, p := range d.processors {
		if !comesBefore(p.Ended(), d.late) {
			d.abandoned = true
		}
	}
	if d.abandoned {
		each(d.processors, (*processor.Processor).Abandon)
	}
	await(d.processors, (*processor.Processor).Ended)
}

func (s *Server) newPool(cfg *Config) *handler.Pool {
	return handler.NewPool(handler.Config{
		Handlers: cfg.Dispatch.Handlers, BatchMax: cfg.Dispatch.BatchMax, Handle: handleOf(s.handler), Panicked: s.events.HandlerPanicked,
		Responses: s.responses,
	}, s.channel)
}

func (s *Server) startHandlers() error {
	if s.pool != nil {
		s.pool.Start()
	}
	return nil
}

// stopHandlers ends them before the processors, so that every answer comes home. A Handler
// that never answers is not waited for beyond ctx and a little.
func (s *Server) stopHandlers(d *shutdown) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		s.closeHandlers()
	}()
	d.abandoned = !comesBefore(left, d.late)
}

// closeHandlers waits until they have left.
func (s *Server) closeHandlers() {
	s.channel.Close()
	if s.pool != nil {
		s.pool.Close()
	}
}

// drainConns has the connections finish what they have in flight, and cuts off what is left
// as ctx ends.
func (s *Server) drainConns(d *shutdown) {
	each(d.processors, d.drain)
	d.dropped = dropped(d.processors)
	for _, p := range d.processors {
		if comesBefore(p.Drained(), d.ctx.Done()) {
			continue
		}
		if st := p.Stats(); st.Open() > 0 { // else it had no time to say so
			d.cut = true
			break
		}
	}
	each(d.processors, (*processor.Processor).Cut)
	for _, p := range d.processors {
		comesBefore(p.Drained(), d.late)
	}
}

func (s *Server) startListeners() error {
	for _, cfg := range s.now().cfg.Listeners {
		if err := s.addListener(cfg, nil); err != nil {
			s.undoListeners()
			return err
		}
	}
	return nil
}

func (s *Server) undoListeners() {
	s.stopListeners(&shutdown{ctx: context.Background(), listeners: s.now().everyListener()})
	s.change(func(next *state) { next.listeners = nil })
}

func (s *Server) stopListeners(d *shutdown) {
	each(d.listeners, (*listener).stop)
	for _, l := range d.listeners {
		comesBefore(l.ended, d.ctx.Done())
	}
}

// checkRoom fails when clients would be reset for want of descriptors, each of them.
func (s *Server) checkRoom() error {
	if acceptor.HasRoom() {
		return nil
	}
	cfg := &s.now().cfg
	d := cfg.descriptors(0)
	return fmt.Errorf("kring: too many open files before anybody connects: RLIMIT_NOFILE is %d, and the server itself needs about %d, and room for clients: "+
		"raise the limit (ulimit -n 65536; systemd: LimitNOFILE=65536; docker: --ulimit nofile=65536:65536), or have fewer processors than %d", d.Limit, d.Own, cfg.Processors.Count)
}

func (s *Server) startRebalance() error {
	s.paceRebalance()
	return nil
}
