package contract

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
