package kring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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
	s.changing.Lock()
	defer s.changing.Unlock()
	var err error
	name := ""
	switch s.stage {
	case fresh:
		with := s.cfg
		with.Listeners = slices.Clone(s.cfg.Listeners)
		first := &with.Listeners[0]
		first.Listener, first.Address, first.SocketMode, name = l, "", 0, first.Name
		if err := with.Validate(); err != nil {
			return nil, fmt.Errorf("kring: Serve: %w", err)
		}
		s.take(with)
		err = s.start()
	case started:
		for i := 0; name == "" || slices.Contains(s.listenerNames(), name); i++ {
			name = listenerName(i)
		}
		err = s.add("Serve", ListenerConfig{Name: name, Listener: l})
	default:
		return nil, s.stage.errStarted("Serve")
	}
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := slices.IndexFunc(s.listeners, func(o *listener) bool { return o.conns.Name() == name })
	return s.listeners[at], nil
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
