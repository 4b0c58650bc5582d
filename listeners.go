package kring

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/internal/tlsconn"
	"kring/processor"
)

// listener is a listener at work.
type listener struct {
	cfg      atomic.Pointer[ListenerConfig] // with its defaults
	conns    *processor.Listener
	quota    *acceptor.ListenerQuota
	shakes   atomic.Pointer[tlsconn.Handshakes] // nil while it has never spoken TLS; set once, under Server.mu
	acceptor atomic.Pointer[acceptor.Acceptor]  // nil before it is bound
	hosted   []hosted                           // instead of one that runs by itself; set before acceptor is
	waiting  context.Context                    // ends when it need not wait to be ready any more
	giveUp   context.CancelFunc
	up       chan struct{} // closed when it accepts, or never will
	err      error         // why it never will; set before up is closed
	died     error         // what it died of; set before ended is closed
	given    ListenerConfig
	// inherited: it began with sockets of a predecessor; remove removes the file of one, if
	// there is any. Set before acceptor is.
	inherited    bool
	remove       func()
	givenSockets []net.Listener // theirs; the engines have descriptors of their own
	ended        chan struct{}  // closed when it accepts no more
}

func (s *Server) newListener(cfg ListenerConfig) (*listener, error) {
	all := &s.now().cfg
	cfg = cfg.withDefaults(all)
	quota, err := s.admission.OpenListener(cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("kring: %w", err)
	}
	quota.TrustForwarders(cfg.ProxyProtocol)
	l := &listener{given: cfg, quota: quota, up: make(chan struct{}), ended: make(chan struct{})}
	l.cfg.Store(&cfg)
	l.conns = processor.NewListener(cfg.Name, cfg.Privileged, l.settings(&cfg, all))
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
// what it fails of then is told to AwaitListeners and Failed. mu is held.
//
// It accepts when begin is closed; nil: at once.
func (s *Server) addListener(cfg ListenerConfig, begin <-chan struct{}) error {
	s.awaitNamesake(cfg.Name)
	l, err := s.newListener(cfg)
	if err != nil {
		return err
	}
	sockets := s.inheritedFor(&cfg)
	early := cfg.Ready == nil || cfg.Listener != nil || strings.HasSuffix(cfg.Address, ":0") || len(sockets) > 0
	if early {
		if err := s.bindTo(l, sockets); err != nil {
			l.giveUp()
			l.quota.Close()
			if !s.starting.Load() {
				cfg.closeGiven()
			}
			return err
		}
	}
	s.change(func(next *state) { next.listeners = append(slices.Clone(next.listeners), l) })
	go s.runListener(l, cfg.Ready, begin)
	if cfg.Ready != nil {
		return nil
	}
	<-l.up
	if l.err != nil {
		<-l.ended
		s.change(func(next *state) { next.listeners = without(next.listeners, l) })
	}
	return l.err
}

// namesakeMax bounds how long a new listener waits for one of its name that is on its way
// out: that one ends at once, unless a Handler blocks the processor that accepts for it.
const namesakeMax = 10 * time.Second

// awaitNamesake waits until no listener that leaves has the name: its counts go on.
func (s *Server) awaitNamesake(name string) {
	late := time.After(namesakeMax)
	for _, l := range s.now().leaving.listeners {
		if l.conns.Name() != name {
			continue
		}
		select {
		case <-l.ended:
		case <-late:
			return
		}
	}
}

// bind opens the listening socket.
func (s *Server) bind(l *listener) error { return s.bindTo(l, nil) }

// bindTo is bind, to sockets of a predecessor if there are any.
func (s *Server) bindTo(l *listener, sockets []inheritedSocket) error {
	if s.now().cfg.Processors.Accept == AcceptPerProcessor {
		return s.bindShared(l, sockets)
	}
	c := s.acceptorConfig(l)
	if len(sockets) > 0 {
		if err := l.inherit(&c, sockets[0]); err != nil {
			return err
		}
	}
	a, err := acceptor.New(c)
	if err != nil {
		return fmt.Errorf("kring: %w", err)
	}
	l.acceptor.Store(a)
	// Order: the acceptor is there before it is looked who serves. Processors that come or
	// go meanwhile (serveWith) find it, or are seen by the second look.
	for serving := s.now().processors; ; {
		a.AssignTo(l.assigners(serving))
		again := s.now().processors
		if slices.Equal(serving, again) {
			return nil
		}
		serving = again
	}
}

func (s *Server) acceptorConfig(l *listener) acceptor.Config {
	now, cfg := s.now(), l.cfg.Load()
	c := acceptor.Config{
		Paused: s.predecessor.holds(), Name: cfg.Name, Network: now.network, Quota: l.quota,
		Assigners: l.assigners(now.processors), LeastConns: now.cfg.Processors.Assignment == AssignLeastConns,
		Listen: engine.ListenConfig{Address: cfg.Address, Given: cfg.Listener, FileMode: cfg.SocketMode, Backlog: cfg.Backlog, Socket: cfg.Socket},
	}
	if f := s.events.AcceptFailed; f != nil {
		c.Failed = func(err error, pause time.Duration) { f(l.conns.Name(), err, pause) }
	}
	return c
}

// runListener is a listener's life.
func (s *Server) runListener(l *listener, ready func(context.Context) error, begin <-chan struct{}) {
	defer close(l.ended)
	defer func() {
		if !s.starting.Load() {
			l.given.closeGiven()
		}
	}()
	defer l.quota.Close()
	defer l.giveUp()
	defer l.removeFile()
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
		if stands && begin != nil {
			<-begin
		}
	})
	if stands {
		l.died = err
		s.fail(err)
	}
}

// becomeReady waits until l may accept, and binds it if it is not bound.
func (s *Server) becomeReady(l *listener, ready func(context.Context) error) error {
	if ready != nil {
		if err := callUntil(l.waiting, ready); err != nil {
			return fmt.Errorf("kring: listener %s did not become ready: %w", l.conns.Name(), err)
		}
	}
	if l.acceptor.Load() == nil {
		if err := s.bind(l); err != nil {
			return err
		}
		s.resumeLate(l)
	}
	// Order: the acceptor is there before this look; stop looks the other way round.
	if l.waiting.Err() != nil {
		return fmt.Errorf("kring: listener %s was stopped before it accepted: %w", l.conns.Name(), l.waiting.Err())
	}
	return nil
}

// callUntil calls f, but does not wait for it beyond the end of ctx.
func callUntil(ctx context.Context, f func(context.Context) error) error {
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

// hosted is an acceptor that runs on a processor's own engine.
type hosted struct {
	acceptor  *acceptor.Acceptor
	processor *processor.Processor
}

// bindShared opens a listening socket of l for each processor. The first picks
// the port, the others share it. Sockets of a predecessor come first; if it had more
// processors, some of this one's accept on several.
func (s *Server) bindShared(l *listener, sockets []inheritedSocket) error {
	processors := s.now().processors
	c := s.acceptorConfig(l)
	var all []hosted
	for i := range max(len(processors), len(sockets)) {
		p := processors[i%len(processors)]
		c.Assigners = []acceptor.Assigner{p.InboxFor(l.conns)}
		c.Listen.Shared, c.Listen.Given = true, nil
		var err error
		if i < len(sockets) {
			err = l.inherit(&c, sockets[i])
		}
		var a *acceptor.Acceptor
		if err == nil {
			a, err = acceptor.New(c)
		}
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
	opened(nil)
	for _, h := range l.hosted {
		if !h.processor.HostAcceptor(h.acceptor) {
			h.acceptor.Close()
		}
	}
	for _, h := range l.hosted {
		<-h.acceptor.Done()
	}
	return nil
}
