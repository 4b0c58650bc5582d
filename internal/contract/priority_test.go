package contract

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// turnstile handles one request at a time, the first once it is opened, and
// remembers in which order.
type turnstile struct {
	entered, open chan struct{}
	once          sync.Once
	mu            sync.Mutex
	order         []string // guarded by mu
}

func newTurnstile() *turnstile {
	return &turnstile{entered: make(chan struct{}), open: make(chan struct{})}
}

func (h *turnstile) Handle(r kring.Request) {
	h.once.Do(func() {
		close(h.entered)
		<-h.open
	})
	h.mu.Lock()
	h.order = append(h.order, string(r.Payload()))
	h.mu.Unlock()
	r.Respond(r.Payload())
}

func (h *turnstile) place(payload string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Index(h.order, payload)
}

// A full request channel keeps nobody from the priority lane, and what is there
// goes first: by its listener, or by what it asks for.
//
// Kafka: Q-15, U-9.
func TestRequestsWithPriorityGoBeforeAFullChannel(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Handlers, cfg.Dispatch.QueuedRequestsMax = 1, 4
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "CONTROL", Address: "127.0.0.1:0", Priority: true})
		cfg.Dispatch.Priority = func(r kring.Request) bool { return strings.HasPrefix(string(r.Payload()), "urgent") }
		h := newTurnstile()
		s := servertest.Start(t, cfg, h)
		first := servertest.Dial(t, s)
		first.Send("first")
		<-h.entered
		clients := []*servertest.Client{first}
		for i := range 12 {
			c := servertest.Dial(t, s)
			c.Send(fmt.Sprint("ordinary ", i))
			clients = append(clients, c)
		}
		servertest.Eventually(t, "the channel is full", func() bool { return s.Stats().Total.Held == 8 })
		urgent, control := servertest.Dial(t, s), servertest.DialTo(t, s.Addrs()[1].String())
		urgent.Send("urgent")
		control.Send("control")
		servertest.Eventually(t, "both are in the priority lane", func() bool { return s.Stats().QueuedPriority == 2 })
		close(h.open)
		for _, c := range append(clients, urgent, control) {
			c.Receive()
		}
		if u, c := h.place("urgent"), h.place("control"); u > 2 || c > 2 {
			t.Errorf("handled as number %d and %d, of %v", u, c, h.order)
		}
		if n := s.Stats().Total.Prioritized; n != 2 {
			t.Errorf("%d requests had priority, not 2", n)
		}
	})
}

// A connection that pipelines deeply has its share of the request channel, and
// no more: another's request waits for that share only.
//
// Kafka: Q-15, U-9.
func TestADeepPipelineLeavesRoomForOthers(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Handlers, cfg.Dispatch.QueuedRequestsMax, cfg.Limits.PipelineMax = 1, 32, 64
		const share = 32 / 8
		h := newTurnstile()
		s := servertest.Start(t, cfg, h)
		deep, other := servertest.Dial(t, s), servertest.Dial(t, s)
		var sent []string
		for i := range 100 {
			sent = append(sent, fmt.Sprint("deep ", i))
		}
		deep.Send(sent...)
		<-h.entered
		servertest.Eventually(t, "it has its share", func() bool { return s.Stats().QueuedRequests == share-1 })
		other.Send("other")
		servertest.Eventually(t, "the other is there", func() bool { return s.Stats().QueuedRequests == share })
		close(h.open)
		if got := other.Receive(); got != "other" {
			t.Errorf("answer %q", got)
		}
		if at := h.place("other"); at > share {
			t.Errorf("the other waited for %d requests of one connection, whose share is %d", at, share)
		}
		for _, want := range sent {
			if got := deep.Receive(); got != want {
				t.Fatalf("answer %q, want %q", got, want)
			}
		}
	})
}

// When many pipeline deeply and the channel is full, each has no more than its
// share before a newcomer, and nobody who comes after it overtakes it.
//
// Kafka: Q-15.
func TestANewcomerWaitsForNoMoreThanEachOthersShare(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Dispatch.Handlers, cfg.Dispatch.QueuedRequestsMax, cfg.Limits.PipelineMax = 1, 1, 16, 64
		const deep, share, each = 20, 16 / 8, 30
		h := newTurnstile()
		s := servertest.Start(t, cfg, h)
		clients := make([]*servertest.Client, deep)
		for i := range clients {
			clients[i] = servertest.Dial(t, s)
			var sent []string
			for k := range each {
				sent = append(sent, fmt.Sprint(i, " ", k))
			}
			clients[i].Send(sent...)
		}
		<-h.entered
		// inFlight sums it up, over so many connections that all have something.
		inFlight := func(conns int) (n int) {
			servertest.Eventually(t, "each has something in flight", func() bool {
				all := list(t, s)
				n = 0
				for _, c := range all {
					n += c.InFlight
				}
				return len(all) == conns && !slices.ContainsFunc(all, func(c kring.ConnInfo) bool { return c.InFlight == 0 })
			})
			return n
		}
		before := inFlight(deep)
		other := servertest.Dial(t, s)
		other.Send("other")
		inFlight(deep + 1)
		if before > deep*share {
			t.Errorf("%d requests were cut of %d connections whose share is %d", before, deep, share)
		}
		close(h.open)
		if got := other.Receive(); got != "other" {
			t.Errorf("answer %q", got)
		}
		if at := h.place("other"); at > before {
			t.Errorf("the other waited for %d requests, and %d were there before it", at, before)
		}
		for i, c := range clients {
			for k := range each {
				if got, want := c.Receive(), fmt.Sprint(i, " ", k); got != want {
					t.Fatalf("answer %q, want %q", got, want)
				}
			}
		}
	})
}

// A latency target that can't be reached keeps all but the least back in their
// processors; what has priority, and what does not count, is not kept back; and
// every request is answered.
//
// Kafka: U-9.
func TestALatencyTargetKeepsRequestsBack(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Dispatch.Handlers, cfg.Dispatch.QueuedRequestsMax, cfg.Dispatch.LatencyTarget = 1, 4, 2, 1
		cfg.Dispatch.LatencyCounts = func(r kring.Request) bool { return string(r.Payload()) != "poll" }
		s := servertest.Start(t, cfg, servertest.Echo)
		clients, poll := make([]*servertest.Client, 16), servertest.Dial(t, s)
		for i := range clients {
			clients[i] = servertest.Dial(t, s)
		}
		servertest.Eventually(t, "one request at a time is let go", func() bool {
			for i, c := range clients {
				c.Send(fmt.Sprint(i))
			}
			poll.Ask("poll", "poll")
			for i, c := range clients {
				if got, want := c.Receive(), fmt.Sprint(i); got != want {
					t.Fatalf("answer %q, want %q", got, want)
				}
			}
			return s.Stats().Total.LatencyDepth == 1
		})
	})
}
