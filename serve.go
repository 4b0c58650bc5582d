package kring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"kring/processor"
)

// Serve is Start on a listening socket that somebody else made, and waits until the
// Server accepts no more on it. See ListenerConfig.Listener for what it takes and what it
// owns: from the call on, l is the Server's, and closed when Serve returns.
//
// The socket takes the place of the Address of the first of Config.Listeners, whose
// other settings hold; the others of Config.Listeners are opened beside it. A Server that
// serves already gets a listener more, of the next free name. To begin with several
// sockets, set ListenerConfig.Listener and call Start.
//
// It returns ErrServerClosed once Shutdown or Close was called (which return when all is
// over), nil after RemoveListener, the error that the listener died of, or at once why
// it can't be served on, with the remedy.
func (s *Server) Serve(l net.Listener) error {
	serving, err := s.serveOn(l)
	if err != nil {
		if l != nil {
			ListenerConfig{Listener: l}.closeGiven()
		}
		if s.ending.Err() != nil && errors.Is(err, context.Canceled) { // it was on its way
			return ErrServerClosed
		}
		return err
	}
	<-serving.ended
	switch {
	case s.ending.Err() != nil:
		return ErrServerClosed
	case serving.err != nil:
		return serving.err
	}
	return serving.died
}

func (s *Server) serveOn(l net.Listener) (*listener, error) {
	if l == nil {
		return nil, errors.New("kring: Serve: the listener is nil: give a *net.TCPListener or a *net.UnixListener, or call Start")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	name := ""
	switch s.stage {
	case fresh:
		with := s.now().cfg
		with.Listeners = slices.Clone(with.Listeners)
		first := &with.Listeners[0]
		first.Listener, first.Address, first.SocketMode, name = l, "", 0, first.Name
		if err := with.Validate(); err != nil {
			return nil, fmt.Errorf("kring: Serve: %w", err)
		}
		s.take(with)
		err = s.start()
	case started:
		for i := 0; name == "" || s.now().listener(name) != nil; i++ {
			name = listenerName(i)
		}
		err = s.add("Serve", ListenerConfig{Name: name, Listener: l})
	default:
		return nil, s.stage.errStarted("Serve")
	}
	if err != nil {
		return nil, err
	}
	return s.now().listener(name), nil
}

// AwaitListeners blocks until every listener is accepting or has failed to start, and
// returns the joined errors of those that failed, or ctx's error. (Kafka:
// enableRequestProcessing.)
func (s *Server) AwaitListeners(ctx context.Context) error {
	var faults []error
	for _, l := range s.now().listeners {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != started {
		return s.stage.errNotServing("AddListener")
	}
	err := s.add("AddListener", cfg)
	if err != nil {
		cfg.closeGiven()
	}
	return err
}

// add is AddListener for method. mu is held.
func (s *Server) add(method string, cfg ListenerConfig) error {
	with := s.now().cfg
	with.Listeners = append(slices.Clone(with.Listeners), cfg)
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
	if err := s.addListener(with.Listeners[len(with.Listeners)-1], nil); err != nil {
		return errors.Join(err, s.admission.Set(before))
	}
	s.change(func(next *state) { next.cfg.Listeners = with.Listeners })
	return nil
}

// RemoveListener has a listener accept no more, lets its connections finish
// what they have in flight and closes them; it returns when the last is closed.
// When ctx ends first they are cut off, and the error says how many; their
// requests in flight are counted as dropped. The port is free from the
// beginning of that.
func (s *Server) RemoveListener(ctx context.Context, name string) error {
	s.mu.Lock()
	if s.stage != started {
		s.mu.Unlock()
		return s.stage.errNotServing("RemoveListener")
	}
	l, err := s.detach(name)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.drainListener(ctx, l)
}

// detach takes a listener out of those that serve. mu is held.
func (s *Server) detach(name string) (*listener, error) {
	now := s.now()
	l := now.listener(name)
	switch {
	case l == nil:
		return nil, fmt.Errorf("kring: there is no listener %q: name one of %q", name, now.listenerNames())
	case name == now.cfg.Conns.ProtectedListener:
		return nil, fmt.Errorf("kring: %s is Conns.ProtectedListener: name another by Reconfigure first", name)
	}
	s.takeOut(l)
	return l, nil
}

// takeOut is detach for a listener that there is. mu is held.
func (s *Server) takeOut(l *listener) {
	s.change(func(next *state) {
		next.listeners = without(next.listeners, l)
		next.cfg.Listeners = slices.DeleteFunc(slices.Clone(next.cfg.Listeners), func(c ListenerConfig) bool { return c.Name == l.conns.Name() })
		next.leaving.listeners = append(slices.Clone(next.leaving.listeners), l)
	})
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
		s.change(func(next *state) { next.leaving.listeners = without(next.leaving.listeners, l) })
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
	each(s.now().everyProcessor(), (*processor.Processor).Refresh)
}

// listener is the one of that name that serves; nil: there is none.
func (n *state) listener(name string) *listener {
	for _, l := range n.listeners {
		if l.conns.Name() == name {
			return l
		}
	}
	return nil
}

func (n *state) listenerNames() []string {
	names := make([]string, len(n.listeners))
	for i, l := range n.listeners {
		names[i] = l.conns.Name()
	}
	return names
}

// closeGiven closes a socket that somebody else made; the file of a Unix domain socket
// stays. A second call does nothing.
func (l ListenerConfig) closeGiven() {
	if l.Listener == nil {
		return
	}
	if u, ok := l.Listener.(*net.UnixListener); ok && u != nil {
		u.SetUnlinkOnClose(false)
	}
	_ = l.Listener.Close()
}
