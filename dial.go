package kring

import (
	"context"
	"errors"
	"fmt"
	"net"

	"kring/acceptor"
	"kring/engine"
)

// ErrNotAccepted is the error of Dial when the listener takes no connection now.
var ErrNotAccepted = errors.New("the listener accepts no more connections, or too many wait to be accepted")

// Dial connects to the listener of that name ("": the first) from within the process, without
// an address: a test needs no port, and a client beside its server no network. It is a
// connection like any other: it counts, has the listener's limits, and speaks TLS where the
// listener does (give it to tls.Client). Like a Unix domain socket's it has no address, so
// limits per address do not apply to it.
//
// While the listener waits to be ready, the connection waits as in the kernel's queue. The
// error is ErrNotAccepted, ctx's, what the system says (no descriptor is left), or that there
// is no such listener. The caller closes the connection. Any goroutine.
func (s *Server) Dial(ctx context.Context, listener string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("kring: Dial: %w", err)
	}
	to, network, err := s.dialled(listener)
	if err != nil {
		return nil, err
	}
	pairs, ok := network.(engine.Pairer)
	if !ok {
		return nil, fmt.Errorf("kring: Dial: the %s engine has no connections within the process", network.Name())
	}
	fd, client, err := pairs.Pair()
	if err != nil {
		return nil, fmt.Errorf("kring: Dial: %w", err)
	}
	if !to.Adopt(fd) {
		network.Discard(fd)
		_ = client.Close()
		return nil, fmt.Errorf("kring: Dial: %w", ErrNotAccepted)
	}
	return client, nil
}

// dialled is an acceptor of the listener of that name; those of one listener take turns.
func (s *Server) dialled(name string) (*acceptor.Acceptor, engine.Network, error) {
	now := s.now()
	l := now.listener(name)
	if name == "" && len(now.listeners) > 0 {
		l = now.listeners[0]
	}
	if l == nil {
		return nil, nil, fmt.Errorf("kring: Dial: there is no listener %q: call Start, and name one of %q", name, now.listenerNames())
	}
	of := l.acceptors()
	if len(of) == 0 {
		return nil, nil, fmt.Errorf("kring: Dial: listener %q is not bound yet: %w", name, ErrNotAccepted)
	}
	return of[int(s.dials.Add(1))%len(of)], now.network, nil
}
