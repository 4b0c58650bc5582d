package contract

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// What can change does, on connections that are open too; nobody's closes that
// need not.
//
// Kafka: DynamicConnectionQuotaTest.
func TestSettingsChangeWhileTheServerServes(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.Dial(t, s)
		big := strings.Repeat("x", 2000)
		c.Ask(big, big)
		cfg.Limits.FrameBytesMax, cfg.Dispatch.Handlers, cfg.Memory.RequestBytesMax = 1000, 5, 64<<20
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "NEW", Address: "127.0.0.1:0", Limits: kring.LimitsConfig{FrameBytesMax: 3000}})
		if err := s.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
		servertest.DialTo(t, s.Addrs()[1].String()).Ask(big, big)
		c.Ask("small", "small")
		c.Send(big)
		c.AwaitClose()
		if n := s.Stats().Handlers.Handlers; n != 5 {
			t.Errorf("%d handlers, want 5", n)
		}
		idle := servertest.Dial(t, s)
		idle.Ask("small", "small")
		address := s.Addrs()[1].String()
		gone := servertest.DialTo(t, address)
		gone.Ask(big, big)
		cfg.Listeners, cfg.Timeouts.Idle = cfg.Listeners[:1], 20*time.Millisecond
		if err := s.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
		idle.AwaitClose()
		gone.AwaitClose()
		servertest.Eventually(t, "the removed listener's port is closed", func() bool { return refused(address) })
	})
}

// A new listener serves nobody before what belongs to it has changed too, and that changes
// only when nothing can fail any more.
func TestANewListenerWaitsForWhatIsChangedWithIt(t *testing.T) {
	for _, accept := range []kring.Accept{kring.AcceptApart, kring.AcceptPerProcessor} {
		servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
			cfg.Processors.Accept = accept
			var changed atomic.Bool
			s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
				if r.Conn().Listener == "NEW" && !changed.Load() {
					t.Error("a client of the new listener is served too early")
				}
				r.Respond(r.Payload())
			}))
			taken := kring.ListenerConfig{Name: "TAKEN", Address: s.Addrs()[0].String()}
			first := cfg.Listeners
			cfg.Listeners = append(slices.Clone(first), kring.ListenerConfig{Name: "NEW", Address: "127.0.0.1:0"}, taken)
			if accept == kring.AcceptApart {
				if err := s.ReconfigureWith(cfg, func() { t.Error("it has changed, and the listener can't be opened") }); err == nil {
					t.Error("an address that is taken is opened")
				}
				servertest.Dial(t, s).Ask("as before", "as before")
			}
			cfg.Listeners = cfg.Listeners[:2]
			var c *servertest.Client
			err := s.ReconfigureWith(cfg, func() {
				c = servertest.DialTo(t, s.Addrs()[1].String())
				c.Send("early")
				changed.Store(true)
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Receive(); got != "early" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestAListenerThatLeavesMakesWayForOneOfItsName: it is gone for who reconfigures, though its
// connections may still drain.
func TestAListenerThatLeavesMakesWayForOneOfItsName(t *testing.T) {
	for _, accept := range []kring.Accept{kring.AcceptApart, kring.AcceptPerProcessor} {
		servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
			cfg.Processors.Accept = accept
			s := servertest.Start(t, cfg, servertest.Echo)
			with, without := cfg, cfg
			with.Listeners = append(slices.Clone(cfg.Listeners), kring.ListenerConfig{Name: "NEW", Address: "127.0.0.1:0"})
			for range 20 {
				if err := s.Reconfigure(with); err != nil {
					t.Fatal(err)
				}
				servertest.DialTo(t, s.Addrs()[1].String()).Ask("here", "here")
				if err := s.Reconfigure(without); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Little memory is planned anew for other numbers of processors, or another bound; engines
// keep the buffers that they were opened with, and that is not in the way.
func TestThePlanOfMemoryChangesWhileTheServerServes(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Memory.BytesMax, cfg.Processors.Count = 128<<20, 1
		s := servertest.Start(t, cfg, servertest.Echo)
		cfg.Memory.BytesMax, cfg.Processors.Count = 256<<20, 4
		if err := s.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
		servertest.Dial(t, s).Ask("more", "more")
		if m := s.MemoryPlan(); m.Max != 256<<20 || m.Total() > m.Max {
			t.Errorf("%d bytes are planned of %d", m.Total(), m.Max)
		}
		cfg.URing.Buffers, cfg.Epoll.Buffers, cfg.Portable.Buffers = 32, 32, 32
		if err := s.Reconfigure(cfg); err == nil || !strings.Contains(err.Error(), "can't change") {
			t.Errorf("other buffers: %v", err)
		}
	})
}

// A PipelineMax that is raised is for connections to come: those that are open
// have no room for more answers, and go on as deep, and in order, as they began.
func TestARaisedPipelineIsForNewConnections(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		held := make(chan kring.Request, 8)
		for _, began := range []int{1, 2} {
			cfg.Processors.Count, cfg.Limits.PipelineMax = 1, began
			s := servertest.Start(t, cfg, holding(held))
			old, witness := servertest.Dial(t, s), servertest.Dial(t, s)
			for _, c := range []*servertest.Client{old, witness} {
				c.Send("in")
				(<-held).Respond(nil)
				c.Receive()
			}
			cfg.Limits.PipelineMax = 4
			if err := s.Reconfigure(cfg); err != nil {
				t.Fatal(err)
			}
			pipelines(t, old, witness, held, began)
			pipelines(t, servertest.Dial(t, s), witness, held, 4)
			servertest.Shutdown(t, s)
		}
	})
}

// pipelines asks four times at once and wants most requests with the handlers at a
// time. Those are answered the last first, and must leave in order.
func pipelines(t *testing.T, c, witness *servertest.Client, held <-chan kring.Request, most int) {
	t.Helper()
	c.Send("0", "1", "2", "3")
	for answered := 0; answered < 4; answered += most {
		var out []kring.Request
		for range most {
			out = append(out, <-held)
		}
		witness.Send("witness") // comes behind all that were let go
		r := <-held
		if string(r.Payload()) != "witness" {
			t.Fatalf("%q is with handlers beside %d others, of a connection that began with %d", r.Payload(), most, most)
		}
		r.Respond(nil)
		witness.Receive()
		for i := range out {
			last := out[len(out)-1-i]
			last.Respond(last.Payload())
		}
	}
	for _, want := range []string{"0", "1", "2", "3"} {
		if got := c.Receive(); got != want {
			t.Fatalf("answer %q, want %q", got, want)
		}
	}
}

// A Config with faults changes nothing, and each of them is named: values that
// are wrong, or fields that need a restart, or what can't be opened.
func TestAReconfigurationIsTakenAsAWholeOrNotAtAll(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.Dial(t, s)
		for what, change := range map[string]struct {
			to    func(*kring.Config)
			named []string
		}{
			"wrong values": {func(c *kring.Config) { c.Dispatch.Handlers, c.Limits.PipelineMax = -1, -2 }, []string{"Handlers", "PipelineMax"}},
			"need a restart": {func(c *kring.Config) {
				c.Dispatch.QueuedRequestsMax, c.Dispatch.Mode = 7, kring.DispatchInline
				c.Listeners[0].Backlog = 77
			}, []string{"QueuedRequestsMax", "Dispatch", "Listeners[PLAINTEXT].Backlog"}},
			"can't be opened": {func(c *kring.Config) {
				c.Listeners = append(c.Listeners, kring.ListenerConfig{Name: "GOOD", Address: "127.0.0.1:0"},
					kring.ListenerConfig{Name: "TAKEN", Address: taken.Addr().String()})
			}, []string{"listener TAKEN"}},
		} {
			bad := cfg
			bad.Listeners = append([]kring.ListenerConfig(nil), cfg.Listeners...)
			bad.Limits.FrameBytesMax, bad.Processors.Count = 3, 3
			change.to(&bad)
			err := s.Reconfigure(bad)
			for _, name := range change.named {
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %v does not name %s", what, err, name)
				}
			}
			c.Ask("longer than three", "longer than three")
			servertest.Eventually(t, "there are as many processors as before", func() bool { return len(s.Stats().Processors) == 2 })
			if n := len(s.Addrs()); n != 1 {
				t.Errorf("%s: %d listeners, want the one from before", what, n)
			}
		}
		if err := s.Reconfigure(cfg); err != nil {
			t.Errorf("what is there already: %v", err)
		}
		servertest.Shutdown(t, s)
		for _, err := range []error{s.Reconfigure(cfg), s.AddListener(kring.ListenerConfig{Address: "127.0.0.1:0"}),
			s.RemoveListener(context.Background(), "PLAINTEXT")} {
			if err == nil || !strings.Contains(err.Error(), "not serving") {
				t.Errorf("after Shutdown: %v", err)
			}
		}
	})
}
