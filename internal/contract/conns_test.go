package contract

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// gated answers a request when it is told to; "now" it answers at once.
type gated struct{ held chan kring.Request }

func newGated() gated { return gated{make(chan kring.Request, 64)} }

func (g gated) Handle(r kring.Request) {
	if string(r.Payload()) == "now" {
		r.Respond(r.Payload())
		return
	}
	g.held <- r
}

// list gives the connections, all of them.
func list(t *testing.T, s *kring.Server) []kring.ConnInfo {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
	defer cancel()
	conns, err := s.Conns(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return conns
}

// Every connection can be seen, with what it does at the moment.
func TestConnectionsAreListedWithWhatTheyDo(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		g := newGated()
		cfg.Listeners[0].Name = "INSIDE"
		s := servertest.Start(t, cfg, g)
		idle, busy := servertest.Dial(t, s), servertest.Dial(t, s)
		idle.Ask("now", "now")
		busy.Send("later", "even later")
		r := <-g.held
		r.Conn().SetSoftware(reqchan.Software{Name: "kcat", Version: "1.7"})
		at := func(c *servertest.Client) kring.ConnInfo {
			local := c.LocalAddr().String()
			all := list(t, s)
			i := slices.IndexFunc(all, func(i kring.ConnInfo) bool { return i.Remote.String() == local })
			if len(all) != 2 || i < 0 {
				t.Fatalf("%d connections listed, and %s at %d", len(all), local, i)
			}
			return all[i]
		}
		const frame = 4 + len("now")
		i := at(idle)
		if i.Listener != "INSIDE" || i.Local != s.Addrs()[0] || i.State != processor.ConnOpen || i.Muted != processor.MutedNot ||
			i.Requests != 1 || i.InFlight != 0 || i.BytesIn != uint64(frame) || i.Age < i.Idle {
			t.Errorf("idle: %+v", i)
		}
		servertest.Eventually(t, "sent bytes are counted", func() bool { return at(idle).BytesOut == uint64(frame) })
		b := at(busy)
		if b.ID != r.Conn().ID || b.Software.Name != "kcat" || b.Muted != processor.MutedInFlight ||
			b.InFlight != 1 || b.Requests != 1 || b.HeldBytes != 4+len("even later") {
			t.Errorf("busy: %+v", b)
		}
		r.NoResponse()
		(<-g.held).NoResponse()
		servertest.Eventually(t, "nothing is in flight", func() bool { return at(busy).InFlight == 0 })
	})
}

// TestALongPollIsWaitedFor: a consumer that waits for records is not muted for a fault.
func TestALongPollIsWaitedFor(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		g := newGated()
		cfg.Dispatch.APIOf = func(payload []byte) (key, version int16) { return int16(payload[0] - '0'), 0 }
		cfg.Dispatch.LongPoll = func(key int16) bool { return key == 1 }
		s := servertest.Start(t, cfg, g)
		c := servertest.Dial(t, s)
		for _, step := range []struct {
			request string
			muted   processor.MutedBy
		}{{"0 produce", processor.MutedInFlight}, {"1 fetch", processor.MutedWaiting}, {"0 produce", processor.MutedInFlight}} {
			c.Send(step.request)
			r := <-g.held
			if all := list(t, s); len(all) != 1 || all[0].Muted != step.muted {
				t.Errorf("%s: %+v", step.request, all)
			}
			r.Respond([]byte("done"))
			c.Receive()
			servertest.Eventually(t, "it may go on", func() bool { return list(t, s)[0].Muted == processor.MutedNot })
		}
	})
}

// Listing many connections takes several passes, and nobody is listed twice.
func TestEveryConnectionIsListedOnce(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count = 1
		s := servertest.Start(t, cfg, servertest.Echo)
		const n = 700 // more than are listed in a pass
		for range n {
			servertest.Dial(t, s)
		}
		servertest.Eventually(t, "all are open", func() bool { return s.Stats().Total.Opened == n })
		seen := map[netip.AddrPort]bool{}
		for _, c := range list(t, s) {
			seen[c.Remote] = true
		}
		if len(seen) != n {
			t.Errorf("%d of %d listed", len(seen), n)
		}
	})
}

// A list can be had while the server drains, and after it is down.
//
// Kafka: SS-34.
func TestConnectionsAreListedWhileShuttingDown(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		g := newGated()
		s := servertest.Start(t, cfg, g)
		c := servertest.Dial(t, s)
		c.Send("later")
		r := <-g.held
		down := make(chan struct{})
		go func() {
			defer close(down)
			servertest.Shutdown(t, s)
		}()
		servertest.Eventually(t, "it is listed as draining", func() bool {
			conns := list(t, s)
			return len(conns) == 1 && conns[0].Muted == processor.MutedDraining
		})
		r.Respond([]byte("last"))
		if got := c.Receive(); got != "last" {
			t.Errorf("answer %q", got)
		}
		<-down
		if conns := list(t, s); len(conns) != 0 {
			t.Errorf("%d connections listed after shutdown", len(conns))
		}
	})
}

// A Handler that blocks a processor keeps its connections off the list, and
// nobody waiting for it.
func TestAProcessorThatIsBlockedIsNotWaitedFor(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Mode, cfg.Processors.Count = kring.DispatchInline, 1
		entered, leave := make(chan struct{}), make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			close(entered)
			<-leave
			r.NoResponse()
		}))
		servertest.Dial(t, s).Send("block")
		<-entered
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		defer cancel()
		if conns, err := s.Conns(ctx); !errors.Is(err, context.DeadlineExceeded) || len(conns) != 0 {
			t.Errorf("%d connections, %v", len(conns), err)
		}
		close(leave)
		servertest.Eventually(t, "it is listed again", func() bool { return len(list(t, s)) == 1 })
	})
}

// watched is a handler that wants to know of connections, and panics about it.
type watched struct {
	kring.Handler
	mu             sync.Mutex
	opened, closed []string // guarded by mu
}

func (w *watched) ConnOpened(c *kring.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = append(w.opened, c.ID.String())
	panic("opened")
}

func (w *watched) ConnClosed(c *kring.Conn, why kring.CloseReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = append(w.closed, fmt.Sprint(c.ID, why))
	panic("closed")
}

// Who listens for ends learns of each, whoever closed, with the id that the
// requests carried; and its panics harm nobody.
//
// Kafka: SS-65, F-53.
func TestWhoWatchesConnectionsLearnsOfEachEndOnce(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		var ids []string
		w := &watched{}
		w.Handler = kring.HandlerFunc(func(r kring.Request) {
			w.mu.Lock()
			ids = append(ids, r.Conn().ID.String())
			w.mu.Unlock()
			if string(r.Payload()) == "close" {
				r.CloseConnection(reqchan.HandlerClosed)
				return
			}
			r.Respond(r.Payload())
		})
		s := servertest.Start(t, cfg, w)
		local, remote := servertest.Dial(t, s), servertest.Dial(t, s)
		local.Send("close")
		local.AwaitClose()
		remote.Ask("here", "here")
		remote.Reset()
		servertest.Eventually(t, "both are closed", func() bool { return s.Stats().Open == 0 })
		w.mu.Lock()
		defer w.mu.Unlock()
		want := []string{fmt.Sprint(ids[0], " ", reqchan.HandlerClosed), fmt.Sprint(ids[1], " ", reqchan.PeerReset)}
		slices.Sort(w.closed)
		slices.Sort(want)
		slices.Sort(w.opened)
		slices.Sort(ids)
		if !slices.Equal(w.closed, want) || !slices.Equal(w.opened, ids) {
			t.Errorf("opened %v, closed %v; requests came from %v, and %v was expected", w.opened, w.closed, ids, want)
		}
		if n := s.Stats().WatcherPanics; n != 4 {
			t.Errorf("%d panics counted, 4 happened", n)
		}
	})
}

// TestWhoListsConnectionsOfABlockedProcessorWaitsForNothing: a handler that runs on it keeps it, the
// contexts of those who ask end, and nothing of them piles up.
func TestWhoListsConnectionsOfABlockedProcessorWaitsForNothing(t *testing.T) {
	const callers, calls = 20, 50
	for _, engine := range servertest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			cfg := servertest.Config(engine, kring.DispatchInline)
			in, out := make(chan bool), make(chan bool)
			s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
				in <- true
				<-out
				r.Respond(r.Payload())
			}))
			c := servertest.Dial(t, s)
			c.Send("blocks")
			<-in
			heap := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapObjects
			}
			objects, goroutines := heap(), runtime.NumGoroutine()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range calls {
						ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
						if _, err := s.Conns(ctx); !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("the connections of a blocked processor: %v", err)
						}
						cancel()
					}
				})
			}
			all.Wait()
			if now := heap(); now > objects+callers*calls {
				t.Errorf("%d objects were %d before %d calls", now, objects, callers*calls)
			}
			servertest.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
			close(out)
			if c.Receive() != "blocks" || len(list(t, s)) != 1 {
				t.Error("the connection is not there afterwards")
			}
		})
	}
}
