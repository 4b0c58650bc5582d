package contract

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/engine"
	"kring/internal/handover"
	"kring/internal/servertest"
)

// succeed starts a Server that takes over from the one that offers a handover at path, and
// offers one itself.
func succeed(t *testing.T, cfg kring.Config, h kring.Handler, offer kring.HandoverConfig) *kring.Server {
	t.Helper()
	p, err := kring.TakeOver(context.Background(), offer.Path, "test")
	if err != nil {
		t.Fatal(err)
	}
	s, err := kring.New(cfg, h)
	if err == nil {
		err = s.Inherit(p)
	}
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servertest.Shutdown(t, s) })
	if err := s.OfferHandover(offer); err != nil {
		t.Fatal(err)
	}
	return s
}

// retire ends a Server that was handed over.
func retire(t *testing.T, s *kring.Server) {
	t.Helper()
	select {
	case <-s.HandedOver():
	case <-time.After(servertest.Deadline):
		t.Fatal("it was not handed over")
	}
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
	defer cancel()
	if err := s.Retire(ctx); err != nil {
		t.Error(err)
	}
}

// askers are clients that ask until they are told to stop. One that is closed between two
// answers connects again and repeats its request, as Kafka's clients do; everything else is a
// failure.
type askers struct {
	stop     atomic.Bool
	ended    sync.Once
	answers  atomic.Int64
	retries  atomic.Int64
	all      sync.WaitGroup
	failures chan error
}

func askAlways(clients int, addresses ...string) *askers {
	a := &askers{failures: make(chan error, clients)}
	for i := range clients {
		a.all.Go(func() {
			if err := a.ask(addresses[i%len(addresses)], fmt.Sprint("client ", i)); err != nil {
				a.failures <- err
			}
		})
	}
	return a
}

func (a *askers) ask(address, payload string) error {
	network := "tcp"
	if path, ok := engine.UnixPath(address); ok {
		network, address = "unix", path
	}
	var conn net.Conn
	pace := time.NewTicker(time.Millisecond) // that tests beside this one get their time
	defer pace.Stop()
	for !a.stop.Load() {
		<-pace.C
		if conn == nil {
			var err error
			if conn, err = net.Dial(network, address); err != nil {
				return fmt.Errorf("refused: %w", err)
			}
			_ = conn.SetDeadline(time.Now().Add(2 * servertest.Deadline))
		}
		_, err := conn.Write(servertest.Frame([]byte(payload)))
		var got []byte
		if err == nil {
			got, err = servertest.ReadFrame(conn)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case err != nil:
			a.retries.Add(1)
			_ = conn.Close()
			conn = nil
		case string(got) != payload:
			return fmt.Errorf("answer %q, want %q", got, payload)
		default:
			a.answers.Add(1)
		}
	}
	if conn != nil {
		return conn.Close()
	}
	return nil
}

// more waits until there are n answers more.
func (a *askers) more(t *testing.T, n int64) {
	t.Helper()
	goal := a.answers.Load() + n
	servertest.Eventually(t, "clients are answered", func() bool {
		select {
		case err := <-a.failures:
			t.Fatal(err)
		default:
		}
		return a.answers.Load() >= goal
	})
}

func (a *askers) end(t *testing.T) {
	a.ended.Do(func() {
		a.stop.Store(true)
		a.all.Wait()
		close(a.failures)
		for err := range a.failures {
			t.Error(err)
		}
	})
}

// TestAnUpgradeRefusesNobody: three in a row under load, while the ones before still drain,
// with clients that never leave by themselves; one acceptor or one for each processor, of
// which the successor has fewer; TCP, and a Unix domain socket whose file goes with the last.
func TestAnUpgradeRefusesNobody(t *testing.T) {
	for _, accept := range []kring.Accept{kring.AcceptApart, kring.AcceptPerProcessor} {
		servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
			path := socketPath(t)
			cfg.Processors.Accept = accept
			cfg.Listeners[0].Name = "TCP"
			if accept == kring.AcceptApart {
				cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "UNIX", Address: "unix:" + path})
			}
			offer := kring.HandoverConfig{Path: path + ".upgrade"}
			first := servertest.Start(t, cfg, servertest.Echo)
			if err := first.OfferHandover(offer); err != nil {
				t.Fatal(err)
			}
			var addresses []string
			for _, l := range first.Listeners() {
				addresses = append(addresses, l.Address)
			}
			clients := askAlways(12, addresses...)
			defer clients.end(t)
			all := []*kring.Server{first}
			for i := range 3 {
				clients.more(t, 50)
				cfg.Processors.Count = 1 + i%2
				all = append(all, succeed(t, cfg, servertest.Echo, offer))
			}
			clients.more(t, 50)
			for _, s := range all[:3] {
				retire(t, s)
			}
			clients.more(t, 50)
			last := all[3]
			if last.Listeners()[0] != first.Listeners()[0] || last.Stats().Open == 0 {
				t.Errorf("%v, %d open", last.Listeners(), last.Stats().Open)
			}
			servertest.Shutdown(t, last) // clients may be refused from here on
			if !gone(path) || !gone(offer.Path) {
				t.Errorf("files are left: %t %t", gone(path), gone(offer.Path))
			}
			clients.stop.Store(true)
			clients.all.Wait()
			for len(clients.failures) > 0 {
				<-clients.failures
			}
		})
	}
}

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

// TestBoundsOnConnectionsHoldForBothProcesses: who is still connected to the predecessor
// counts, by address and in all, until it has closed him; what it closes has room at once.
func TestBoundsOnConnectionsHoldForBothProcesses(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const most = 4
		cfg.Conns.PerIPMax = most
		offer := kring.HandoverConfig{Path: filepath.Join(filepath.Dir(socketPath(t)), "u")}
		first := servertest.Start(t, cfg, servertest.Echo)
		if err := first.OfferHandover(offer); err != nil {
			t.Fatal(err)
		}
		var clients []*servertest.Client
		for range most {
			c := servertest.Dial(t, first)
			c.Ask("x", "x")
			clients = append(clients, c)
		}
		second := succeed(t, cfg, servertest.Echo, offer)
		third := succeed(t, cfg, servertest.Echo, offer)
		if n := third.Stats().Open; n != 0 {
			t.Errorf("%d connections are open", n)
		}
		if _, err := servertest.ReadFrame(servertest.Dial(t, third)); err == nil {
			t.Error("one connection too many was served")
		}
		var retiring sync.WaitGroup
		retiring.Go(func() { retire(t, second) }) // it stays until the first has ended
		clients[0].Ask("y", "y")
		<-second.HandedOver() // it knows that the third serves, and passes on who leaves the first
		retiring.Go(func() { retire(t, first) })
		for _, c := range clients { // each has room as soon as it sees the end
			if _, err := servertest.ReadFrame(c); err == nil {
				t.Error("an answer to nothing")
			}
			servertest.Dial(t, third).Ask("z", "z")
		}
		retiring.Wait()
		if _, err := servertest.ReadFrame(servertest.Dial(t, third)); err == nil {
			t.Error("one connection too many was served at the end")
		}
	})
}

// TestTheNewestOfThreeKnowsBeforeAConnectionEnds: a connection of the first process counts in
// the third as well, so its client must not see the end before the third has noted it.
func TestTheNewestOfThreeKnowsBeforeAConnectionEnds(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		f := newFailing(t, cfg)
		f.stays.Ask("x", "x")
		second := succeed(t, cfg, servertest.Echo, kring.HandoverConfig{Path: f.path, Program: "kring 2"})
		third := f.dial(handover.Version)
		f.receive(third, handover.Offer)
		_ = third.Send(&handover.Message{Kind: handover.Take})
		f.receive(third, handover.Taken)
		_ = third.Send(&handover.Message{Kind: handover.Ready})
		f.receive(third, handover.Yours)
		_ = third.Send(&handover.Message{Kind: handover.Began})
		var noted atomic.Bool
		ended := make(chan struct{})
		var all sync.WaitGroup
		select {
		case <-second.HandedOver(): // Order: from here on it knows of the third
		case <-time.After(servertest.Deadline):
			t.Fatal("the second was not handed over")
		}
		all.Go(func() { retire(t, second) })
		all.Go(func() { retire(t, f.server) })
		all.Go(func() {
			defer third.Close()
			m, err := third.Receive(time.Now().Add(servertest.Deadline))
			if err != nil || m.Kind != handover.Left || m.Total != 1 {
				t.Errorf("the third is told %+v, %v", m, err)
				return
			}
			select { // time for the fault to show; without it nothing depends on how long this is
			case <-ended:
			case <-time.After(100 * time.Millisecond):
				noted.Store(true)
			}
			_ = third.Send(&handover.Message{Kind: handover.Noted, Number: m.Number})
		})
		if _, err := servertest.ReadFrame(f.stays); err == nil {
			t.Error("an answer to nothing")
		}
		close(ended)
		if !noted.Load() {
			t.Error("the connection ended before the third process knew")
		}
		all.Wait()
	})
}

// TestStateIsGivenUpBeforeTheSuccessorHasIt, and taken back when that fails.
func TestStateIsGivenUpBeforeTheSuccessorHasIt(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		var owner atomic.Int32 // of the state; 0: nobody
		handler := func(me int32) kring.Handler {
			return kring.HandlerFunc(func(r kring.Request) {
				if owner.Load() != me {
					t.Errorf("a request came to %d, and the state is %d's", me, owner.Load())
				}
				r.Respond(r.Payload())
			})
		}
		offer := func(me int32, path string) kring.HandoverConfig {
			move := func(from, to int32) error {
				if !owner.CompareAndSwap(from, to) {
					return fmt.Errorf("the state is %d's", owner.Load())
				}
				return nil
			}
			return kring.HandoverConfig{
				Path: path, Exclusive: true, DrainTimeout: servertest.Deadline,
				Release: func() error { return move(me, 0) }, Reclaim: func() error { return move(0, me) },
			}
		}
		path := socketPath(t)
		owner.Store(1)
		first := servertest.Start(t, cfg, handler(1))
		if err := first.OfferHandover(offer(1, path)); err != nil {
			t.Fatal(err)
		}
		clients := askAlways(4, first.Listeners()[0].Address)
		defer clients.end(t)
		clients.more(t, 20)
		p, err := kring.TakeOver(context.Background(), path, "test")
		if err != nil || !p.Exclusive() {
			t.Fatal(p, err)
		}
		if err := p.Take(); err != nil || owner.Load() != 0 {
			t.Fatalf("%v, the state is %d's", err, owner.Load())
		}
		p.Close() // it can't open the state, say
		clients.more(t, 20)
		if p, err = kring.TakeOver(context.Background(), path, "test"); err != nil {
			t.Fatal(err)
		}
		if err := p.Take(); err != nil {
			t.Fatal(err)
		}
		owner.Store(2)
		second, err := kring.New(cfg, handler(2))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(second.Inherit(p), second.Start()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { servertest.Shutdown(t, second) })
		retire(t, first)
		clients.more(t, 20)
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
