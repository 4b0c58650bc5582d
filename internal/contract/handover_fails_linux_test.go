package contract

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/handover"
	"kring/internal/servertest"
)

// failing is a Server that successors fail to take over from.
type failing struct {
	t       *testing.T
	server  *kring.Server
	path    string
	resumed chan error
	stays   *servertest.Client
}

func newFailing(t *testing.T, cfg kring.Config) *failing {
	f := &failing{t: t, path: socketPath(t), resumed: make(chan error, 1), server: servertest.Start(t, cfg, servertest.Echo)}
	offer := kring.HandoverConfig{Path: f.path, Program: "kring 1", Resumed: func(why error) { f.resumed <- why }}
	if err := f.server.OfferHandover(offer); err != nil {
		t.Fatal(err)
	}
	f.stays = servertest.Dial(t, f.server)
	return f
}

// serves says that who was connected still is, and that nobody is refused.
func (f *failing) serves(after string) {
	f.t.Helper()
	f.stays.Ask(after, after)
	servertest.Dial(f.t, f.server).Ask(after, after)
}

// dial connects as a successor that says hello.
func (f *failing) dial(version int) *handover.Conn {
	f.t.Helper()
	c, err := handover.Dial(context.Background(), f.path)
	if err == nil {
		err = c.Send(&handover.Message{Kind: handover.Hello, Version: version, Program: "kring 2"})
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// receive takes messages, and uses the sockets as a Go program would, which changes their
// mode.
func (f *failing) receive(c *handover.Conn, until handover.Kind) {
	f.t.Helper()
	for {
		m, err := c.Receive(time.Now().Add(servertest.Deadline))
		if err != nil {
			f.t.Fatal(err)
		}
		for _, fd := range m.FDs {
			file := os.NewFile(uintptr(fd), "socket")
			if l, err := net.FileListener(file); err == nil {
				if u, ok := l.(*net.UnixListener); ok {
					u.SetUnlinkOnClose(false)
				}
				_ = l.Close()
			}
			_ = file.Close()
		}
		if m.Kind == until {
			return
		}
	}
}

// start is a successor of another Config; it gives what New, Inherit or Start fails of.
func (f *failing) start(cfg kring.Config) error {
	f.t.Helper()
	p, err := kring.TakeOver(context.Background(), f.path, "kring 2")
	if err != nil {
		f.t.Fatal(err)
	}
	defer p.Close()
	next, err := kring.New(cfg, servertest.Echo)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := next.Inherit(p); err != nil {
		return err
	}
	return next.Start()
}

// TestASuccessorThatFailsLeavesThePredecessorServing, at whichever step it does.
func TestASuccessorThatFailsLeavesThePredecessorServing(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		f := newFailing(t, cfg)
		c := f.dial(99)
		if _, err := c.Receive(time.Now().Add(servertest.Deadline)); err == nil || !strings.Contains(err.Error(), "kring 1 hands over by version 1 of the messages, and kring 2 asked by version 99") {
			t.Errorf("another version: %v", err)
		}
		_ = c.Close()
		f.serves("another version")
		_ = f.dial(handover.Version).Close()
		f.serves("it dies at once")
		c = f.dial(handover.Version)
		f.receive(c, handover.Offer)
		_ = c.Close()
		f.serves("it dies before it takes")
		for _, toldToBegin := range []bool{false, true} {
			c = f.dial(handover.Version)
			f.receive(c, handover.Offer)
			_ = c.Send(&handover.Message{Kind: handover.Take})
			f.receive(c, handover.Taken)
			if toldToBegin {
				_ = c.Send(&handover.Message{Kind: handover.Ready})
				f.receive(c, handover.Yours)
			}
			_ = c.Close()
			<-f.resumed
			f.serves("it dies when it has taken")
		}
		select {
		case <-f.server.HandedOver():
			t.Error("it counts as handed over")
		case err := <-f.server.Failed():
			t.Error(err)
		default:
		}
	})
}

// TestASuccessorThatDawdlesKeepsNobodyWaiting: what changes the Server does not wait for one
// that has asked and not taken. What it was offered may be gone then, and it has to ask again.
func TestASuccessorThatDawdlesKeepsNobodyWaiting(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		f := newFailing(t, cfg)
		c := f.dial(handover.Version)
		f.receive(c, handover.Offer)
		changed := make(chan error, 1)
		go func() {
			more := cfg
			more.Limits.FrameBytesMax = 1 << 20
			changed <- errors.Join(f.server.Reconfigure(more), f.server.AddListener(kring.ListenerConfig{Name: "MORE", Address: "127.0.0.1:0"}))
		}()
		select {
		case err := <-changed:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(servertest.Deadline / 2): // the Server waits for a minute, as HandoverConfig.Timeout says
			t.Fatal("Reconfigure and AddListener wait for a successor that has not taken anything")
		}
		_ = c.Send(&handover.Message{Kind: handover.Take})
		if _, err := c.Receive(time.Now().Add(servertest.Deadline)); err == nil || !strings.Contains(err.Error(), "its listeners were changed meanwhile: ask again") {
			t.Errorf("it took what was changed: %v", err)
		}
		_ = c.Close()
		f.serves("it took too late")
		c = f.dial(handover.Version)
		f.receive(c, handover.Offer)
		servertest.Shutdown(t, f.server)
		if _, err := c.Receive(time.Now().Add(servertest.Deadline)); err == nil {
			t.Error("a Server that has ended still hands over")
		}
	})
}

// TestAServerThatEndsWhenItHasSaidYesLeavesTheFilesToItsSuccessor, which it does not know to
// have begun: that is about to serve, or has, and the files are of its sockets.
func TestAServerThatEndsWhenItHasSaidYesLeavesTheFilesToItsSuccessor(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		path := socketPath(t)
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "UNIX", Address: "unix:" + path})
		f := newFailing(t, cfg)
		c := f.dial(handover.Version)
		defer c.Close()
		f.receive(c, handover.Offer)
		_ = c.Send(&handover.Message{Kind: handover.Take})
		f.receive(c, handover.Taken)
		_ = c.Send(&handover.Message{Kind: handover.Ready})
		f.receive(c, handover.Yours)
		servertest.Shutdown(t, f.server)
		if gone(path) || gone(f.path) {
			t.Errorf("files of the successor were removed: %t %t", gone(path), gone(f.path))
		}
	})
}

// TestAServerThatEndsLeavesAllToTheSuccessorThatHasIt: whoever has the sockets is told to begin,
// and finds the files of its Unix domain sockets; whoever has not is told that it comes too late.
func TestAServerThatEndsLeavesAllToTheSuccessorThatHasIt(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		unix := "unix:" + socketPath(t)
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "UNIX", Address: unix})
		path, _ := strings.CutPrefix(unix, "unix:")

		f := newFailing(t, cfg)
		c := f.dial(handover.Version)
		defer c.Close()
		f.receive(c, handover.Offer)
		servertest.Shutdown(t, f.server)
		if m, err := c.Receive(time.Now().Add(servertest.Deadline)); err == nil || !strings.Contains(err.Error(), "it is ending") {
			t.Errorf("%v, %v", m, err)
		}
		if !gone(path) || !gone(f.path) {
			t.Errorf("files of nobody are left: %t %t", !gone(path), !gone(f.path))
		}

		f = newFailing(t, cfg)
		p, err := kring.TakeOver(context.Background(), f.path, "kring 2")
		if err == nil {
			err = p.Take()
		}
		if err != nil {
			t.Fatal(err)
		}
		servertest.Shutdown(t, f.server)
		select {
		case <-f.server.HandedOver():
		default:
			t.Error("it has not handed over")
		}
		next, err := kring.New(cfg, servertest.Echo)
		if err == nil {
			err = next.Inherit(p)
		}
		if err == nil {
			err = next.Start()
		}
		if err == nil {
			err = next.OfferHandover(kring.HandoverConfig{Path: f.path, Program: "kring 2"})
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { servertest.Shutdown(t, next) })
		a := askAlways(2, unix, next.Listeners()[0].Address)
		a.more(t, 10)
		a.end(t)
		after, err := kring.TakeOver(context.Background(), f.path, "kring 3")
		if err != nil {
			t.Fatal("nobody can take over from the successor: ", err)
		}
		after.Close()
		select {
		case why := <-f.resumed:
			t.Errorf("it went on: %v", why)
		default:
		}
	})
}

// TestAServerThatEndsTakesNothingBack: its state is the successor's that has all, or nobody's.
func TestAServerThatEndsTakesNothingBack(t *testing.T) {
	for _, has := range []bool{false, true} {
		ending, released, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
		cfg := servertest.Config(kring.EngineEpoll, kring.DispatchPool)
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "NEVER", Address: "127.0.0.1:0", Ready: func(ctx context.Context) error {
			<-ctx.Done() // the Server is shut down
			close(ending)
			return ctx.Err()
		}})
		s := servertest.Start(t, cfg, servertest.Echo)
		offer := kring.HandoverConfig{
			Path: socketPath(t), Exclusive: true,
			Release: func() error { close(released); <-goOn; return nil },
			Reclaim: func() error { t.Error("Reclaim was called"); return nil },
			Resumed: func(why error) { t.Errorf("Resumed was called: %v", why) },
		}
		if err := s.OfferHandover(offer); err != nil {
			t.Fatal(err)
		}
		p, err := kring.TakeOver(context.Background(), offer.Path, "test")
		if err != nil {
			t.Fatal(err)
		}
		took := make(chan error, 1)
		go func() { took <- p.Take() }()
		<-released
		if !has {
			p.Close()
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		<-ending
		close(goOn)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := <-took; (err == nil) != has {
			t.Errorf("Take: %v", err)
		}
		p.Close()
	}
}

// TestASuccessorThatFailsLeavesTheFilesToThePredecessor, which goes on serving at them.
func TestASuccessorThatFailsLeavesTheFilesToThePredecessor(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		path := socketPath(t)
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "UNIX", Address: "unix:" + path})
		f := newFailing(t, cfg)
		busy := servertest.Start(t, servertest.Config(cfg.Engine, kring.DispatchPool), servertest.Echo) // has a port
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "NEW", Address: busy.Listeners()[0].Address})
		if err := f.start(cfg); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a listener that can't be opened: %v", err)
		}
		<-f.resumed
		if gone(path) || gone(f.path) {
			t.Errorf("files of the predecessor were removed: %t %t", gone(path), gone(f.path))
		}
		f.serves("it can't start")
	})
}

// TestASuccessorThatDoesNotFitLeavesThePredecessorServing: it accepts in another way, or has a
// listener that can't be opened.
func TestASuccessorThatDoesNotFitLeavesThePredecessorServing(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		f := newFailing(t, cfg)
		other := cfg
		other.Processors.Accept = kring.AcceptPerProcessor
		if err := f.start(other); err == nil || !strings.Contains(err.Error(), "Processors.Accept") {
			t.Errorf("another way to accept: %v", err)
		}
		f.serves("it does not like what it sees")
		busy := servertest.Start(t, servertest.Config(cfg.Engine, kring.DispatchPool), servertest.Echo) // has a port
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "NEW", Address: busy.Listeners()[0].Address})
		if err := f.start(cfg); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a listener that can't be opened: %v", err)
		}
		<-f.resumed
		f.serves("it can't start")
	})
}

// TestAHandoverThatCanNotBeginLeavesTheServerAsItWas: its state is taken back only when it was
// given up.
func TestAHandoverThatCanNotBeginLeavesTheServerAsItWas(t *testing.T) {
	t.Run("a processor is blocked", func(t *testing.T) {
		cfg := servertest.Config(kring.EngineEpoll, kring.DispatchInline)
		cfg.Processors.Count, cfg.Processors.Accept = 1, kring.AcceptPerProcessor
		blocked, goOn := make(chan struct{}), make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "block" {
				close(blocked)
				<-goOn
			}
			r.Respond(r.Payload())
		}))
		release := sync.OnceFunc(func() { close(goOn) })
		t.Cleanup(release)
		refuseToHandOver(t, s, kring.HandoverConfig{
			Exclusive: true, Timeout: 20 * time.Millisecond,
			Release: func() error { t.Error("Release was called"); return nil },
			Reclaim: func() error { t.Error("Reclaim was called, and nothing had been given up"); return nil },
		}, func() {
			go servertest.Dial(t, s).Send("block")
			<-blocked
		})
		release()
		servertest.Dial(t, s).Ask("a", "a")
	})
	t.Run("the state can't be given up", func(t *testing.T) {
		s := servertest.Start(t, servertest.Config(kring.EngineEpoll, kring.DispatchPool), servertest.Echo)
		reclaimed := make(chan struct{})
		refuseToHandOver(t, s, kring.HandoverConfig{
			Exclusive: true, DrainTimeout: servertest.Deadline,
			Release: func() error { return errors.New("a disk is full") },
			Reclaim: func() error { close(reclaimed); return nil },
		}, func() {})
		<-reclaimed
		servertest.Dial(t, s).Ask("a", "a")
	})
}

// refuseToHandOver has s refuse a successor.
func refuseToHandOver(t *testing.T, s *kring.Server, c kring.HandoverConfig, before func()) {
	t.Helper()
	c.Path = socketPath(t)
	if err := s.OfferHandover(c); err != nil {
		t.Fatal(err)
	}
	p, err := kring.TakeOver(context.Background(), c.Path, "test")
	if err != nil {
		t.Fatal(err)
	}
	before()
	if err := p.Take(); err == nil {
		t.Error("it handed over")
	}
}

// TestASlowSuccessorIsLeftBehind: nobody may be kept waiting for ever.
func TestASlowSuccessorIsLeftBehind(t *testing.T) {
	cfg := servertest.Config(kring.EngineEpoll, kring.DispatchPool)
	path := socketPath(t)
	resumed := make(chan error, 100)
	s := servertest.Start(t, cfg, servertest.Echo)
	if err := s.OfferHandover(kring.HandoverConfig{Path: path, Timeout: time.Second, Resumed: func(why error) { resumed <- why }}); err != nil {
		t.Fatal(err)
	}
	var p *kring.Predecessor
	servertest.Eventually(t, "it takes in time", func() (taken bool) { // a second is not much where others run
		var err error
		if p, err = kring.TakeOver(context.Background(), path, "test"); err != nil {
			t.Fatal(err)
		}
		return p.Take() == nil
	})
	if why := <-resumed; why == nil || !strings.Contains(why.Error(), "not ready in time") {
		t.Errorf("%v", why)
	}
	servertest.Dial(t, s).Ask("x", "x")
	next, err := kring.New(cfg, servertest.Echo)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(next.Inherit(p), next.Start()); err == nil || !strings.Contains(err.Error(), "not ready in time") {
		t.Errorf("the slow one: %v", err)
	}
	servertest.Dial(t, s).Ask("x", "x")
}
