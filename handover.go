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
	// fails. Default 1 minute.
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
	// the Server goes on. Both run on one goroutine.
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
// connections are served until Retire closes them one by one.
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
		stop := context.AfterFunc(h.server.ending, func() { _ = c.Close() })
		f, done := h.handOver(c)
		stop()
		if done {
			h.tellLeft(c, f)
			return true
		}
		_ = c.Close()
	}
	return false
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
	m, err := c.Receive(time.Now().Add(messagePatience))
	switch {
	case err != nil:
		return nil, false
	case m.Kind != handover.Hello || m.Version != handover.Version:
		_ = c.Send(&handover.Message{Kind: handover.Failed, Text: fmt.Sprintf("%s hands over by version %d of the messages, and %s asked by version %d: stop the one before the other is started", h.cfg.Program, handover.Version, m.Program, m.Version)})
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != started {
		_ = c.Send(&handover.Message{Kind: handover.Failed, Text: "it is ending"})
		return nil, false
	}
	if err := c.Send(h.offer()); err != nil {
		return nil, false
	}
	if m, err = c.Receive(time.Now().Add(h.cfg.Timeout)); err != nil || m.Kind != handover.Take {
		return nil, false // it only looked, or does not like what it saw
	}
	if f, err = h.release(c); err != nil {
		f.Stop()
		_ = c.Send(&handover.Message{Kind: handover.Failed, Text: err.Error()})
		_ = c.Close() // Order: it has nothing any more when this one goes on
		h.goOn(err)
		return nil, false
	}
	s.stage = handedOver
	for _, a := range s.everyAcceptor() {
		a.HandOver()
	}
	close(h.over)
	return f, true
}

// offer says what there is. mu is held.
func (h *successor) offer() *handover.Message {
	m := &handover.Message{
		Kind: handover.Offer, Version: handover.Version, PID: os.Getpid(), Program: h.cfg.Program, Exclusive: h.cfg.Exclusive,
		Accept: string(h.server.now().cfg.Processors.Accept), Timeout: int64((h.cfg.Timeout + h.cfg.DrainTimeout) / time.Second),
	}
	for _, l := range h.server.now().listeners {
		of := handover.Listener{Name: l.conns.Name(), Address: l.cfg.Load().Address, Sockets: len(l.acceptors())}
		if of.Sockets > 0 {
			of.Bound = l.acceptors()[0].Address()
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
		h.server.drainAll(h.cfg.DrainTimeout)
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
	if _, err := expect(c, deadline, handover.Ready); err != nil {
		if isTimeout(err) {
			err = errTakenBack
		}
		return f, err
	}
	if err := c.Send(&handover.Message{Kind: handover.Yours}); err != nil {
		return f, err
	}
	// A successor that is slow now was told, and serves, or will; one that has died does not.
	if _, err := expect(c, time.Now().Add(messagePatience), handover.Began); err != nil && !isTimeout(err) {
		return f, err
	}
	return f, nil
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
	m, err := c.Receive(deadline)
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
