package kring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"kring/acceptor"
	"kring/internal/handover"
)

// HandoverConfig says how a Server hands its listening sockets over to a successor, a process
// of the same user, so that no client is refused meanwhile: those who connect wait in the
// kernel's queue. See OfferHandover.
type HandoverConfig struct {
	// Path of the Unix domain socket that successors connect to. It is made with mode 0600.
	Path string
	// Program names this program and its version, for the other process's errors.
	Program string
	// Timeout bounds the time during which nobody accepts: from the moment that this Server
	// stops until the successor could begin. After it the Server goes on, and the successor
	// fails. It bounds the time before that as well, from when the successor has asked until it
	// takes. Default 1 minute.
	Timeout time.Duration
	// Files are handed over beside the listening sockets, by their names: a *net.TCPListener
	// or a *net.UnixListener of another server in this process, say. The successor gets them
	// from Predecessor.File. At most 63.
	Files map[string]syscall.Conn
	// Values, if set, is asked for what else the successor is to know, such as keys of session
	// tickets, when the sockets are handed over. At most 512 KiB. See Predecessor.Value.
	Values func() map[string][]byte

	// Exclusive is for a Server with state that no two processes may have at once, such as
	// files. Then connections are drained before the sockets are handed over, for DrainTimeout
	// at most (default 10 seconds), and Release is called to give the state up, before the
	// successor is told that it may begin. If the successor then fails, Reclaim takes the state
	// back, and the Server goes on; its error ends it (see Failed).
	Exclusive    bool
	DrainTimeout time.Duration
	Release      func() error
	Reclaim      func() error

	// Pausing, if set, is called when the Server has stopped accepting for a successor, before
	// anything is handed over. Resumed is called when that has failed, with the reason, and
	// the Server goes on; neither it nor Reclaim is called on a Server that is shut down
	// meanwhile. Both run on one goroutine.
	Pausing func(successorPID int)
	Resumed func(why error)
}

const (
	handoverTimeoutDefault = time.Minute
	handoverDrainDefault   = 10 * time.Second
	handoverFilesMax       = handover.DescriptorsMax
	// messagePatience bounds how long the other process may take for a message that it need
	// not think about.
	messagePatience = 10 * time.Second
	// lastWord bounds how long a Server that is shut down deals with a successor that reads
	// nothing.
	lastWord = 5 * time.Second
	// controlFile is the socket that successors connect to, among the files.
	controlFile = "kring.handover"
)

// errTakenBack is what a successor is told that was too slow.
var errTakenBack = errors.New("it was not ready in time, and this process goes on serving")

// successor is a Server's side of being taken over from.
type successor struct {
	server  *Server
	cfg     HandoverConfig
	socket  *net.UnixListener // nil: no handover is offered; guarded by Server.mu
	over    chan struct{}     // closed when a successor serves
	gaveUp  bool              // Release was called for the successor that asks now; guarded by Server.mu
	flushes chan chan struct{}
}

func (h *successor) begin(s *Server) {
	h.server, h.over, h.flushes = s, make(chan struct{}), make(chan chan struct{})
}

// OfferHandover has the Server, which serves, hand over to the next process that asks for it
// at c.Path (TakeOver). The steps are:
//
//  1. The successor has checked its configuration and opened all that it can. It asks.
//  2. The Server accepts no more and takes the connections that were accepted already.
//     Exclusive: it drains, and gives its state up.
//  3. It hands over the sockets, and says who is connected, so that bounds on connections
//     hold for both processes together.
//  4. The successor says that it could accept, is told to, and begins.
//
// Up to the last step any failure of the successor leaves the Server as it was: it goes on
// accepting. After it HandedOver is closed, the Server can't be changed any more, and its
// connections are served until Retire closes them one by one. From step 2 to the last
// Reconfigure, AddListener and RemoveListener wait; Shutdown does not: a successor that has
// everything (step 3) is told to begin as soon as it can, HandedOver is closed, and the files of
// Unix domain sockets stay; any other fails. A successor that has asked and takes its time keeps
// nobody waiting: if the listeners change meanwhile, it fails and has to ask again.
//
// If the Server has itself taken over at the same path, it goes on with that socket.
func (s *Server) OfferHandover(c HandoverConfig) error {
	if err := c.validate(); err != nil {
		return err
	}
	orElse(&c.Timeout, handoverTimeoutDefault)
	orElse(&c.DrainTimeout, handoverDrainDefault)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.successor
	switch {
	case s.stage != started:
		return s.stage.errNotServing("OfferHandover")
	case h.socket != nil:
		return errors.New("kring: OfferHandover: a handover is offered already, at " + h.cfg.Path)
	}
	socket, remove, err := s.predecessor.control(c.Path)
	if err == nil && socket == nil {
		socket, remove, err = handover.Listen(c.Path)
	}
	if err != nil {
		return fmt.Errorf("kring: OfferHandover at %s: %w", c.Path, err)
	}
	h.cfg, h.socket = c, socket
	stop := context.AfterFunc(s.ending, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	s.retiring.Go(func() {
		defer stop()
		if !h.serve() {
			remove()
		}
		_ = socket.Close()
	})
	return nil
}

func (c *HandoverConfig) validate() error {
	switch {
	case c.Path == "":
		return errors.New("kring: HandoverConfig.Path is empty: give the path of a Unix domain socket")
	case c.Timeout < 0 || c.DrainTimeout < 0:
		return fmt.Errorf("kring: HandoverConfig.Timeout is %v and DrainTimeout %v: choose more than 0, or 0 for the default", c.Timeout, c.DrainTimeout)
	case len(c.Files) >= handoverFilesMax:
		return fmt.Errorf("kring: HandoverConfig.Files has %d files: give fewer than %d", len(c.Files), handoverFilesMax)
	case c.Exclusive && (c.Release == nil || c.Reclaim == nil):
		return errors.New("kring: HandoverConfig.Exclusive needs Release and Reclaim")
	}
	return nil
}

// HandedOver is closed when a successor has begun to serve: time to call Retire.
func (s *Server) HandedOver() <-chan struct{} { return s.successor.over }

// serve hands over to the first successor that gets through with it, and says whether one has.
func (h *successor) serve() (done bool) {
	for h.server.ending.Err() == nil {
		c, err := handover.Accept(h.socket)
		if err != nil {
			if h.server.ending.Err() == nil && !errors.Is(err, net.ErrClosed) {
				comesBefore(h.server.ending.Done(), after(time.Second)) // no descriptor is left, say
			}
			continue
		}
		if f, done := h.handOverInTime(c); done {
			h.tellLeft(c, f)
			return true
		}
		_ = c.Close()
	}
	return false
}

// handOverInTime is handOver that ends soon when the Server does.
func (h *successor) handOverInTime(c *handover.Conn) (f *acceptor.Follower, done bool) {
	over := make(chan struct{})
	defer close(over)
	stop := context.AfterFunc(h.server.ending, func() {
		if !comesBefore(over, after(lastWord)) {
			_ = c.Close()
		}
	})
	defer stop()
	return h.handOver(c)
}

// after is closed after d.
func after(d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

// handOver goes through the steps with one successor.
func (h *successor) handOver(c *handover.Conn) (f *acceptor.Follower, done bool) {
	s := h.server
	m, err := c.ReceiveUntil(s.ending, time.Now().Add(messagePatience))
	switch {
	case err != nil:
		return nil, false
	case m.Kind != handover.Hello || m.Version != handover.Version:
		_ = c.Send(&handover.Message{Kind: handover.Failed, Text: fmt.Sprintf("%s hands over by version %d of the messages, and %s asked by version %d: stop the one before the other is started", h.cfg.Program, handover.Version, m.Program, m.Version)})
		return nil, false
	}
	offer := h.offer()
	if offer == nil {
		_ = c.Send(&handover.Message{Kind: handover.Failed, Text: errEnding.Error()})
		return nil, false
	}
	if err := c.Send(offer); err != nil {
		return nil, false
	}
	// Order: no lock here, so that a successor that dawdles keeps nobody from changing the Server.
	if m, err = c.ReceiveUntil(s.ending, time.Now().Add(h.cfg.Timeout)); err != nil || m.Kind != handover.Take {
		if s.ending.Err() != nil {
			_ = c.Send(&handover.Message{Kind: handover.Failed, Text: errEnding.Error()})
		}
		return nil, false // it only looked, or does not like what it saw
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := h.differs(offer); why != "" {
		_ = c.Send(&handover.Message{Kind: handover.Failed, Text: why})
		return nil, false
	}
	if f, err = h.release(c); err != nil {
		f.Stop()
		_ = c.Send(&handover.Message{Kind: handover.Failed, Text: err.Error()})
		_ = c.Close() // Order: it has nothing any more when this one goes on
		if s.ending.Err() == nil {
			h.goOn(err)
		}
		return nil, false
	}
	s.stage = handedOver
	for _, a := range s.everyAcceptor() {
		a.HandOver()
	}
	close(h.over)
	return f, true
}

// errEnding is what a successor is told that comes too late.
var errEnding = errors.New("it is ending")

// differs is why what was offered is there no more; "" if it is. mu is held.
func (h *successor) differs(offer *handover.Message) string {
	switch {
	case h.server.stage != started || h.server.ending.Err() != nil:
		return errEnding.Error()
	case !slices.Equal(h.describe().Listeners, offer.Listeners):
		return "its listeners were changed meanwhile: ask again"
	}
	return ""
}

// offer is describe for a Server that serves; nil for another.
func (h *successor) offer() *handover.Message {
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	if h.server.stage != started {
		return nil
	}
	return h.describe()
}

// describe says what there is. mu is held.
func (h *successor) describe() *handover.Message {
	m := &handover.Message{
		Kind: handover.Offer, Version: handover.Version, PID: os.Getpid(), Program: h.cfg.Program, Exclusive: h.cfg.Exclusive,
		Accept: string(h.server.now().cfg.Processors.Accept), Timeout: int64((h.cfg.Timeout + h.cfg.DrainTimeout) / time.Second),
	}
	for _, l := range h.server.now().listeners {
		of := handover.Listener{Name: l.conns.Name(), Address: l.cfg.Load().Address}
		if all := l.acceptors(); len(all) > 0 {
			of.Bound = all[0].Address()
		}
		m.Listeners = append(m.Listeners, of)
	}
	return m
}

// release stops accepting and hands everything over; nil: the successor serves. mu is
// held.
func (h *successor) release(c *handover.Conn) (*acceptor.Follower, error) {
	deadline := time.Now().Add(h.cfg.Timeout)
	h.gaveUp = false
	if err := h.pause(deadline); err != nil {
		return nil, err
	}
	if h.cfg.Pausing != nil {
		h.cfg.Pausing(c.PID())
	}
	if h.cfg.Exclusive {
		if !h.server.drainAll(h.cfg.DrainTimeout) {
			return nil, errEnding
		}
		h.gaveUp = true
		if err := h.cfg.Release(); err != nil {
			return nil, fmt.Errorf("its state could not be given up: %w", err)
		}
		deadline = time.Now().Add(h.cfg.Timeout)
	}
	if err := h.sendSockets(c); err != nil {
		return nil, err
	}
	f, err := h.sendOpen(c)
	if err != nil {
		return f, err
	}
	var values map[string][]byte
	if h.cfg.Values != nil {
		values = h.cfg.Values()
	}
	if err := c.Send(&handover.Message{Kind: handover.Taken, Values: values}); err != nil {
		return f, err
	}
	return f, h.sayYours(c, deadline)
}

// sayYours has a successor begin that has everything. A Server that is shut down meanwhile does not
// wait for it: the successor has the sockets, and would begin if this process had died. So it
// is told at once, and what belongs to the sockets is left to it.
func (h *successor) sayYours(c *handover.Conn, deadline time.Time) error {
	_, err := expectUntil(h.server.ending, c, deadline, handover.Ready)
	if err != nil && h.server.ending.Err() == nil {
		if isTimeout(err) {
			err = errTakenBack
		}
		return err
	}
	if err := c.Send(&handover.Message{Kind: handover.Yours}); err != nil {
		return err
	}
	// A successor that is slow now was told, and serves, or will; one that has died does not.
	_, err = expectUntil(h.server.ending, c, time.Now().Add(messagePatience), handover.Began)
	if err != nil && !isTimeout(err) && h.server.ending.Err() == nil {
		return err
	}
	return nil
}

// pause stops every acceptor that runs, and waits until the last completion was taken.
func (h *successor) pause(deadline time.Time) error {
	ctx, cancel := context.WithDeadline(h.server.ending, deadline)
	defer cancel()
	var paused []<-chan struct{}
	for _, a := range h.server.everyAcceptor() {
		paused = append(paused, a.Pause())
	}
	for _, p := range paused {
		if !comesBefore(p, ctx.Done()) {
			return errors.New("a processor is blocked by its handler, or the server is ending: it could not stop accepting")
		}
	}
	return nil
}

// goOn undoes release. mu is held.
func (h *successor) goOn(why error) {
	s := h.server
	var err error
	if h.gaveUp { // else it has its state still: taking it back would find it in use
		err = h.cfg.Reclaim()
	}
	for _, a := range s.everyAcceptor() {
		err = errors.Join(err, a.Resume())
	}
	if err != nil {
		s.fail(fmt.Errorf("kring: the successor failed, and this Server could not go on: %w (%w)", err, why))
	}
	if h.cfg.Resumed != nil {
		h.cfg.Resumed(why)
	}
}

// everyAcceptor are those of the listeners that serve.
func (s *Server) everyAcceptor() (all []*acceptor.Acceptor) {
	for _, l := range s.now().listeners {
		all = append(all, l.acceptors()...)
	}
	return all
}

// sendSockets hands over every listening socket and every file.
func (h *successor) sendSockets(c *handover.Conn) error {
	var items []handover.Item
	var fds []int
	defer func() { handover.CloseAll(fds) }()
	add := func(i handover.Item, fd int, err error) error {
		if err == nil {
			items, fds = append(items, i), append(fds, fd)
		}
		return err
	}
	for _, l := range h.server.now().listeners {
		for _, a := range l.acceptors() {
			fd, err := a.Share()
			if err := add(handover.Item{Listener: l.conns.Name(), Own: l.ownsFile()}, fd, err); err != nil {
				return err
			}
		}
	}
	fd, err := handover.Duplicate(h.socket)
	if err := add(handover.Item{File: controlFile}, fd, err); err != nil {
		return err
	}
	for name, f := range h.cfg.Files {
		fd, err := handover.Duplicate(f)
		if err := add(handover.Item{File: name}, fd, err); err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
	}
	at := 0
	for some := range slices.Chunk(items, handover.DescriptorsMax) {
		if err := c.Send(&handover.Message{Kind: handover.Sockets, Items: some}, fds[at:at+len(some)]...); err != nil {
			return err
		}
		at += len(some)
	}
	return nil
}

// ownsFile says that the file of a Unix domain socket goes with the listener.
func (l *listener) ownsFile() bool {
	return l.given.Listener == nil && (!l.inherited || l.remove != nil)
}

// expect receives a message of one kind.
func expect(c *handover.Conn, deadline time.Time, kind handover.Kind) (*handover.Message, error) {
	return expectUntil(context.Background(), c, deadline, kind)
}

// expectUntil is expect that ends with ctx too, as if the deadline had passed.
func expectUntil(ctx context.Context, c *handover.Conn, deadline time.Time, kind handover.Kind) (*handover.Message, error) {
	m, err := c.ReceiveUntil(ctx, deadline)
	if err != nil {
		return nil, err
	}
	if m.Kind != kind {
		handover.CloseAll(m.FDs)
		return nil, fmt.Errorf("the other process sent %q where %q was to come", m.Kind, kind)
	}
	return m, nil
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
