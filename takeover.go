package kring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kring/acceptor"
	"kring/internal/handover"
	"kring/internal/unixsock"
)

// ErrNoPredecessor is what TakeOver returns when no process listens at the path: there is
// nobody to take over from, and the Server is to start by itself.
var ErrNoPredecessor = errors.New("kring: no process hands over there")

// Predecessor is a process that this one takes over from. Its methods are for one goroutine,
// until it was given to Inherit; after that only Value, File and Program are, and only once
// Start has returned, or Take.
type Predecessor struct {
	path  string
	conn  *handover.Conn
	offer *handover.Message

	taken  bool
	began  atomic.Bool
	gone   chan struct{} // closed when it has ended, and its connections count no more
	open   acceptor.Counts
	values map[string][]byte

	mu      sync.Mutex
	sockets []inheritedSocket   // guarded by mu
	files   map[string]*os.File // guarded by mu
}

// inheritedSocket is a listening socket of the predecessor.
type inheritedSocket struct {
	from     *Predecessor
	listener string
	own      bool
	fd       int
}

// TakeOver asks the process that offers a handover at path (see OfferHandover) what it has. It
// goes on serving until Take, or Start of the Server that was given the Predecessor by
// Inherit. path must be a socket of this user, and of nobody else (mode 0600), and the process
// must be this user's.
func TakeOver(ctx context.Context, path, program string) (*Predecessor, error) {
	c, err := handover.Dial(ctx, path)
	if handover.NobodyListens(err) {
		return nil, ErrNoPredecessor
	}
	if err != nil {
		return nil, fmt.Errorf("kring: take over at %s: %w", path, err)
	}
	p := &Predecessor{path: path, conn: c, files: map[string]*os.File{}, gone: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	err = c.Send(&handover.Message{Kind: handover.Hello, Version: handover.Version, Program: program})
	if err == nil {
		p.offer, err = expect(c, time.Time{}, handover.Offer) // another upgrade may be under way
	}
	if err == nil && p.offer.Version != handover.Version {
		err = fmt.Errorf("%s hands over by version %d of the messages, and this process by version %d: stop the one before the other is started", p.offer.Program, p.offer.Version, handover.Version)
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("kring: take over at %s: %w", path, errors.Join(err, ctx.Err()))
	}
	return p, nil
}

// PID is the predecessor's process, by its own word: the kernel names who called listen(2) on
// the upgrade socket, and that socket has been handed over since.
func (p *Predecessor) PID() int { return p.offer.PID }

// Program is HandoverConfig.Program of the predecessor.
func (p *Predecessor) Program() string { return p.offer.Program }

// Exclusive says that the predecessor gives up its state in Take: only then may this process
// open it.
func (p *Predecessor) Exclusive() bool { return p.offer.Exclusive }

// Bound is where the predecessor's listener of that name is bound, as ListenerConfig.Address
// would have it; "" if there is none.
func (p *Predecessor) Bound(listener string) string {
	for _, l := range p.offer.Listeners {
		if l.Name == listener {
			return l.Bound
		}
	}
	return ""
}

// Take has the predecessor stop accepting, and takes what it hands over. From here until Start
// has returned nobody accepts, so be quick. Without this call Start does it. Close gives
// everything back.
func (p *Predecessor) Take() error {
	if p.taken {
		return nil
	}
	if err := p.conn.Send(&handover.Message{Kind: handover.Take}); err != nil {
		return p.failed(err)
	}
	p.taken = true
	deadline := time.Now().Add(time.Duration(p.offer.Timeout)*time.Second + messagePatience)
	for {
		m, err := p.conn.Receive(deadline)
		if err == nil {
			err = p.take(m)
		}
		switch {
		case err != nil:
			return p.failed(err)
		case m.Kind == handover.Taken:
			return nil
		}
	}
}

func (p *Predecessor) take(m *handover.Message) error {
	switch {
	case m.Kind == handover.Sockets && len(m.Items) == len(m.FDs):
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, of := range m.Items {
			if of.File != "" {
				p.files[of.File] = os.NewFile(uintptr(m.FDs[i]), of.File)
			} else {
				p.sockets = append(p.sockets, inheritedSocket{p, of.Listener, of.Own, m.FDs[i]})
			}
		}
		return nil
	case m.Kind == handover.Open:
		addCounts(&p.open, m)
	case m.Kind == handover.Taken:
		p.values = m.Values
	default:
		handover.CloseAll(m.FDs)
		return fmt.Errorf("the predecessor sent %q with %d descriptors for %d sockets", m.Kind, len(m.FDs), len(m.Items))
	}
	return nil
}

func (p *Predecessor) failed(err error) error {
	p.Close()
	return fmt.Errorf("kring: take over from process %d: %w", p.PID(), err)
}

// File returns a file of HandoverConfig.Files, which is the caller's from then on; nil if
// there is none of that name.
func (p *Predecessor) File(name string) *os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[name]
	delete(p.files, name)
	return f
}

// Value is one of HandoverConfig.Values; nil if there is none of that name.
func (p *Predecessor) Value(name string) []byte { return p.values[name] }

// Close gives up: the predecessor goes on serving, unless Start has succeeded. What was taken
// and is in nobody's use is closed. A second call does nothing.
func (p *Predecessor) Close() {
	if p == nil {
		return
	}
	if !p.began.Load() {
		_ = p.conn.Close()
	}
	p.closeSockets()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.files {
		_ = f.Close()
	}
	clear(p.files)
}

func (p *Predecessor) closeSockets() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sockets {
		handover.CloseAll([]int{s.fd})
	}
	p.sockets = nil
}

// Inherit has Start take over from p: listeners of the same address begin with its sockets,
// and accept once it accepts no more. What the Config has not is closed, what is new is
// opened. If Start fails, p goes on serving. Listeners are found by their Address, as it was
// configured there or as it is bound; of several, the one of the same name.
func (s *Server) Inherit(p *Predecessor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != fresh {
		return s.stage.errStarted("Inherit")
	}
	if err := p.Fits(s.now().cfg); err != nil {
		return err
	}
	s.predecessor = p
	return nil
}

// Fits says whether a Server of this Config can take over, as far as that is known before
// Take.
func (p *Predecessor) Fits(cfg Config) error {
	if is := cfg.withDefaults().Processors.Accept; p.offer.Accept != string(is) {
		return fmt.Errorf("kring: Processors.Accept is %s here and %s in process %d: choose the same, or stop that process first", is, p.offer.Accept, p.PID())
	}
	return nil
}

// holds says that acceptors begin paused: the predecessor may still accept.
func (p *Predecessor) holds() bool { return p != nil && !p.began.Load() }

// takeOver is Start's step before the listeners.
func (s *Server) takeOver() error {
	if s.predecessor == nil {
		return nil
	}
	return s.predecessor.Take()
}

// inheritedFor are the sockets that a listener begins with.
func (s *Server) inheritedFor(cfg *ListenerConfig) (found []inheritedSocket) {
	p := s.predecessor
	if p == nil || cfg.Listener != nil {
		return nil
	}
	from := ""
	for _, l := range p.offer.Listeners {
		if (l.Address == cfg.Address || l.Bound == cfg.Address) && (from == "" || l.Name == cfg.Name) {
			from = l.Name
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(func(yield func(inheritedSocket) bool) {
		for _, s := range p.sockets {
			if s.listener == from && from != "" && !yield(s) {
				return
			}
		}
	})
}

// open makes a listener of the socket, and leaves the descriptor open: Start may try again
// with another engine.
func (i inheritedSocket) open() (net.Listener, error) {
	own, err := handover.DuplicateFD(i.fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), i.listener)
	defer f.Close()
	l, err := net.FileListener(f)
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return l, err
}

// removal removes the file of a Unix domain socket if it belongs to this process: until it
// has begun, the predecessor may go on with it. nil if there is none.
func (i inheritedSocket) removal(l net.Listener) func() {
	u, ok := l.(*net.UnixListener)
	if !ok || !i.own {
		return nil
	}
	remove := unixsock.Own(u.Addr().String())
	return func() {
		if i.from.began.Load() {
			remove()
		}
	}
}

// inherit has c begin with a predecessor's socket.
func (l *listener) inherit(c *acceptor.Config, from inheritedSocket) error {
	socket, err := from.open()
	if err != nil {
		return fmt.Errorf("kring: listener %s: the predecessor's socket can't be used: %w", c.Name, err)
	}
	c.Listen.Given, c.Listen.Shared = socket, false
	l.inherited = true
	l.givenSockets = append(l.givenSockets, socket)
	if remove := from.removal(socket); remove != nil {
		l.remove = remove
	}
	return nil
}

// removeFile ends what inherit began: the listener accepts no more.
func (l *listener) removeFile() {
	handedOver := false
	for _, a := range l.acceptors() {
		handedOver = handedOver || a.IsHandedOver()
	}
	if l.remove != nil && !handedOver {
		l.remove()
	}
	for _, socket := range l.givenSockets {
		_ = socket.Close()
	}
}

// control is the socket that the next successor connects to, if it was at the same path; nil
// if there is none.
func (p *Predecessor) control(path string) (l *net.UnixListener, remove func(), err error) {
	if p == nil || p.path != path {
		return nil, nil, nil
	}
	f := p.File(controlFile)
	if f == nil {
		return nil, nil, nil
	}
	defer f.Close()
	of, err := net.FileListener(f)
	if err != nil {
		return nil, nil, err
	}
	l, ok := of.(*net.UnixListener)
	if !ok {
		_ = of.Close()
		return nil, nil, fmt.Errorf("the predecessor handed over a %T", of)
	}
	return l, handover.Own(l, path), nil
}

// succeed is Start's last step: every listener could accept. mu is held.
func (s *Server) succeed() error {
	p := s.predecessor
	if p == nil {
		return nil
	}
	_ = p.conn.Send(&handover.Message{Kind: handover.Ready}) // if it fails, the answer says why
	_, err := expect(p.conn, time.Now().Add(messagePatience), handover.Yours)
	if errors.As(err, new(handover.PeerError)) || isTimeout(err) {
		return p.failed(err)
	} // any other: it has died, and nobody else has the sockets
	counted := s.admission.Inherit(p.open)
	p.began.Store(true) // Order: a listener that is bound from here on is not paused, or resumed below
	for _, a := range s.everyAcceptor() {
		if err := a.Resume(); err != nil {
			s.fail(err)
		}
	}
	_ = p.conn.Send(&handover.Message{Kind: handover.Began})
	p.closeSockets() // listeners have descriptors of their own, and what has none is not served any more
	stop := context.AfterFunc(s.ending, func() {
		p.Close()
		_ = p.conn.Close()
	})
	s.retiring.Go(func() {
		defer stop()
		p.followLeaving(counted, func() { s.successor.flush(after(messagePatience / 2)) })
	})
	return nil
}

// resumeLate has a listener that was bound while succeed resumed the others begin too.
func (s *Server) resumeLate(l *listener) {
	if s.predecessor == nil || s.predecessor.holds() {
		return // Order: succeed looks for it after it has stopped to hold
	}
	for _, a := range l.acceptors() {
		if err := a.Resume(); err != nil {
			s.fail(err)
		}
	}
}

// followLeaving counts the predecessor's connections until it has ended. Order: it says that
// it has noted who left when passOn has had the successor that there is by now note it too,
// for that is where they come to. passOn takes less time than the predecessor waits.
func (p *Predecessor) followLeaving(counted *acceptor.Inherited, passOn func()) {
	defer close(p.gone)
	defer counted.End()
	defer p.conn.Close()
	for {
		m, err := expect(p.conn, time.Time{}, handover.Left)
		if err != nil {
			return
		}
		counted.Leave(countsOf(m))
		if m.Number == 0 { // more follow
			continue
		}
		passOn()
		if p.conn.Send(&handover.Message{Kind: handover.Noted, Number: m.Number}) != nil {
			return
		}
	}
}
