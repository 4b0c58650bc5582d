package kring

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"kring/acceptor"
	"kring/internal/tlsconn"
	"kring/processor"
)

// listener is a listener at work.
type listener struct {
	cfg      ListenerConfig // with its defaults; guarded by Server.mu
	conns    *processor.Listener
	quota    *acceptor.ListenerQuota
	shakes   *tlsconn.Handshakes               // nil while it has never spoken TLS; guarded by Server.changing
	acceptor atomic.Pointer[acceptor.Acceptor] // nil before it is bound
	hosted   []hosted                          // instead of one that runs by itself; set before acceptor is
	waiting  context.Context                   // ends when it need not wait to be ready any more
	giveUp   context.CancelFunc
	up       chan struct{} // closed when it accepts, or never will
	err      error         // why it never will; set before up is closed
	died     error         // what it died of; set before ended is closed
	given    ListenerConfig
	ended    chan struct{} // closed when it accepts no more
}

func (s *Server) newListener(cfg ListenerConfig) (*listener, error) {
	cfg = cfg.withDefaults(&s.cfg)
	quota, err := s.admission.OpenListener(cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("kring: %w", err)
	}
	quota.TrustForwarders(cfg.ProxyProtocol)
	l := &listener{cfg: cfg, given: cfg, quota: quota, up: make(chan struct{}), ended: make(chan struct{})}
	l.conns = processor.NewListener(cfg.Name, cfg.Privileged, l.settings(&cfg, &s.cfg))
	l.waiting, l.giveUp = context.WithCancel(s.ending)
	return l, nil
}

// addr is where it is bound; the zero value before.
func (l *listener) addr() netip.AddrPort {
	if a := l.acceptor.Load(); a != nil {
		return a.Addr()
	}
	return netip.AddrPort{}
}

// stop has it accept no more, soon; ended tells when.
func (l *listener) stop() {
	l.giveUp()
	for _, a := range l.acceptors() {
		a.Stop()
	}
}

// assigners are the inboxes of processors for its connections.
func (l *listener) assigners(processors []*processor.Processor) []acceptor.Assigner {
	inboxes := make([]acceptor.Assigner, len(processors))
	for i, p := range processors {
		inboxes[i] = p.InboxFor(l.conns)
	}
	return inboxes
}

// addListener starts a listener. One that waits to be ready starts later, and
// what it fails of then is told to AwaitListeners and Failed. changing is held.
func (s *Server) addListener(cfg ListenerConfig) error {
	l, err := s.newListener(cfg)
	if err != nil {
		return err
	}
	early := cfg.Ready == nil || cfg.Listener != nil || strings.HasSuffix(cfg.Address, ":0")
	if early {
		if err := s.bind(l); err != nil {
			l.giveUp()
			l.quota.Close()
			if !s.starting.Load() {
				cfg.closeGiven()
			}
			return err
		}
	}
	s.mu.Lock()
	s.listeners = append(slices.Clone(s.listeners), l)
	s.mu.Unlock()
	go s.runListener(l, cfg.Ready)
	if cfg.Ready != nil {
		return nil
	}
	<-l.up
	if l.err != nil {
		<-l.ended
		s.mu.Lock()
		s.listeners = slices.DeleteFunc(slices.Clone(s.listeners), func(o *listener) bool { return o == l })
		s.mu.Unlock()
	}
	return l.err
}

// bind opens the listening socket.
func (s *Server) bind(l *listener) error {
	s.mu.RLock()
	shared := s.cfg.Processors.Accept == AcceptPerProcessor
	s.mu.RUnlock()
	if shared {
		return s.bindShared(l)
	}
	a, err := acceptor.New(s.acceptorConfig(l))
	if err != nil {
		return fmt.Errorf("kring: %w", err)
	}
	// Order: processors that come or go find the acceptor, or it has them already.
	s.mu.Lock()
	defer s.mu.Unlock()
	a.AssignTo(l.assigners(s.processors))
	l.acceptor.Store(a)
	return nil
}

// runListener is a listener's life.
func (s *Server) runListener(l *listener, ready func(context.Context) error) {
	defer close(l.ended)
	defer func() {
		if !s.starting.Load() {
			l.given.closeGiven()
		}
	}()
	defer l.quota.Close()
	defer l.giveUp()
	if err := s.becomeReady(l, ready); err != nil {
		for _, a := range l.acceptors() {
			a.CloseUnused()
		}
		s.sayUp(l, err, ready != nil)
		return
	}
	stands := false
	err := l.run(func(err error) {
		if stands = err == nil; !stands {
			err = engineError(s.Engine(), "listener "+l.conns.Name(), err)
		}
		s.sayUp(l, err, ready != nil)
	})
	if stands {
		l.died = err
		s.fail(err)
	}
}

// becomeReady waits until l may accept, and binds it if it is not bound.
func (s *Server) becomeReady(l *listener, ready func(context.Context) error) error {
	if ready != nil {
		if err := await(l.waiting, ready); err != nil {
			return fmt.Errorf("kring: listener %s did not become ready: %w", l.conns.Name(), err)
		}
	}
	if l.acceptor.Load() == nil {
		if err := s.bind(l); err != nil {
			return err
		}
	}
	// Order: the acceptor is there before this look; stop looks the other way round.
	if l.waiting.Err() != nil {
		return fmt.Errorf("kring: listener %s was stopped before it accepted: %w", l.conns.Name(), l.waiting.Err())
	}
	return nil
}

// await calls f, but does not wait for it beyond the end of ctx.
func await(ctx context.Context, f func(context.Context) error) error {
	said := make(chan error, 1)
	go func() { said <- f(ctx) }()
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sayUp tells those who wait for l that it accepts, or why it never will.
func (s *Server) sayUp(l *listener, err error, late bool) {
	l.err = err
	close(l.up)
	if late && l.waiting.Err() == nil {
		s.fail(err)
	}
}

// AwaitListeners waits until every listener accepts that there is, and gives
// what those failed of that never will. (Kafka: enableRequestProcessing.)
func (s *Server) AwaitListeners(ctx context.Context) error {
	s.mu.RLock()
	listeners := s.listeners
	s.mu.RUnlock()
	var faults []error
	for _, l := range listeners {
		select {
		case <-l.up:
			faults = append(faults, l.err)
		case <-ctx.Done():
			return errors.Join(append(faults, fmt.Errorf("kring: listener %s is not ready yet: %w", l.conns.Name(), ctx.Err()))...)
		}
	}
	return errors.Join(faults...)
}

// AddListener begins to listen beside the listeners that are there, as Start
// does, and leaves the Server as it was if it can't.
func (s *Server) AddListener(cfg ListenerConfig) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.stage != started {
		return s.stage.errNotServing("AddListener")
	}
	err := s.add("AddListener", cfg)
	if err != nil {
		cfg.closeGiven()
	}
	return err
}

// add is AddListener for method. changing is held.
func (s *Server) add(method string, cfg ListenerConfig) error {
	with := s.cfg
	with.Listeners = append(slices.Clone(s.cfg.Listeners), cfg)
	if err := with.Validate(); err != nil {
		return fmt.Errorf("kring: %s: %w", method, err)
	}
	with = with.withDefaults()
	limits, err := with.limits()
	if err != nil {
		return fmt.Errorf("kring: %s: %w", method, err)
	}
	before := s.admission.Limits()
	if err := s.admission.Set(limits); err != nil {
		return fmt.Errorf("kring: %s: %w", method, err)
	}
	if err := s.addListener(with.Listeners[len(with.Listeners)-1]); err != nil {
		return errors.Join(err, s.admission.Set(before))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Listeners = with.Listeners
	return nil
}

// RemoveListener has a listener accept no more, lets its connections finish
// what they have in flight and closes them; it returns when the last is closed.
// When ctx ends first they are cut off, and the error says how many; their
// requests in flight are counted as dropped. The port is free from the
// beginning of that.
func (s *Server) RemoveListener(ctx context.Context, name string) error {
	s.changing.Lock()
	if s.stage != started {
		s.changing.Unlock()
		return s.stage.errNotServing("RemoveListener")
	}
	l, err := s.detach(name)
	s.changing.Unlock()
	if err != nil {
		return err
	}
	return s.drainListener(ctx, l)
}

// detach takes a listener out of those that serve. changing is held.
func (s *Server) detach(name string) (*listener, error) {
	switch {
	case !slices.Contains(s.listenerNames(), name):
		return nil, fmt.Errorf("kring: there is no listener %q: name one of %q", name, s.listenerNames())
	case name == s.cfg.Conns.ProtectedListener:
		return nil, fmt.Errorf("kring: %s is Conns.ProtectedListener: name another by Reconfigure first", name)
	}
	return s.takeOut(name), nil
}

// takeOut is detach for a listener that there is. changing is held.
func (s *Server) takeOut(name string) *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.listeners, func(l *listener) bool { return l.conns.Name() == name })
	l := s.listeners[at]
	s.listeners = slices.Delete(slices.Clone(s.listeners), at, at+1)
	s.cfg.Listeners = slices.DeleteFunc(slices.Clone(s.cfg.Listeners), func(c ListenerConfig) bool { return c.Name == name })
	s.leaving.listeners = append(slices.Clone(s.leaving.listeners), l)
	return l
}

// drainListener ends a detached listener.
func (s *Server) drainListener(ctx context.Context, l *listener) error {
	gone := make(chan struct{})
	var err error // written before gone is closed
	go func() {
		defer close(gone)
		l.stop()
		comesBefore(l.ended, ctx.Done())
		l.conns.Drain()
		s.refresh()
		if !comesBefore(l.conns.Drained(), ctx.Done()) {
			err = errCutOff(l, ctx)
			l.conns.Cut()
			s.refresh()
		}
		<-l.conns.Drained()
		<-l.ended
		l.awaitHandshakes()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leaving.listeners = slices.DeleteFunc(slices.Clone(s.leaving.listeners), func(o *listener) bool { return o == l })
	}()
	late, stop := expired(ctx, returnGrace)
	defer stop()
	if !comesBefore(gone, late) { // a Handler blocks a processor
		return errCutOff(l, ctx)
	}
	return err
}

func errCutOff(l *listener, ctx context.Context) error {
	return fmt.Errorf("kring: listener %s: %d connections were cut off: %w", l.conns.Name(), l.conns.Open(), ctx.Err())
}

// refresh has every connection go by what its listener says by now.
func (s *Server) refresh() {
	for _, p := range s.everyProcessor() {
		p.Refresh()
	}
}

// everyListener are those that serve and those on their way out.
func (s *Server) everyListener() []*listener {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Concat(s.listeners, s.leaving.listeners)
}

func (s *Server) listenerNames() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, len(s.listeners))
	for i, l := range s.listeners {
		names[i] = l.conns.Name()
	}
	return names
}
