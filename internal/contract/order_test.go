package contract

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// Kafka: SS-01, SE-06, SE-11.
func TestFiveClientsAskFiveHundredTimesInOrder(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		var all sync.WaitGroup
		for n := range 5 {
			c := servertest.Dial(t, s)
			all.Go(func() {
				for i := range 500 {
					want := fmt.Sprintf("%d of client %d", i, n)
					if _, err := c.Write(servertest.Frame([]byte(want))); err != nil {
						t.Error(err)
						return
					}
					if got, err := servertest.ReadFrame(c); err != nil || string(got) != want {
						t.Errorf("answer %q, %v, want %q", got, err, want)
						return
					}
				}
			})
		}
		all.Wait()
		st := s.Stats()
		if st.Open != 5 || st.Total.Requests != 2500 {
			t.Errorf("%d connections open, %d requests, want 5 and 2500", st.Open, st.Total.Requests)
		}
		if blocked := st.Listeners[0].Blocked; blocked != 0 {
			t.Errorf("accepting was blocked for %v", blocked)
		}
	})
}

// A request behind one that is in flight waits for its answer, and then is
// delivered without another byte from the client.
//
// Kafka: SS-50, SS-61, SE-13.
func TestARequestThatCameEarlyIsDeliveredWithoutAnotherByte(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		held := make(chan kring.Request, 2)
		c := servertest.Dial(t, servertest.Start(t, cfg, holding(held)))
		c.Send("first", "second")
		first := <-held
		select {
		case r := <-held:
			t.Fatalf("%q was delivered while the first request was in flight", r.Payload())
		default:
		}
		first.Respond([]byte("one"))
		second := <-held
		if got := string(second.Payload()); got != "second" {
			t.Errorf("delivered %q", got)
		}
		second.Respond([]byte("two"))
		for _, want := range []string{"one", "two"} {
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}
	})
}

// Kafka: SE-32.
func TestAResponseOfNoBytesIsAResponse(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		c := servertest.Dial(t, servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "buffer" {
				r.Respond(r.Buffer(0))
				return
			}
			r.Respond(nil)
		})))
		c.Ask("buffer", "")
		c.Ask("nil", "")
	})
}

// An idle connection is closed, one that never said anything and one that said
// half a request too; one whose request is with a handler is not idle.
//
// Kafka: SS-49, SE-16, SE-17, SE-20, SE-22, Q-8.
func TestIdleConnectionsExpireAndThoseInFlightDoNot(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Timeouts.Idle = 100 * time.Millisecond
		held := make(chan kring.Request, 1)
		s := servertest.Start(t, cfg, holding(held))
		busy := dialBusy(t, s, "slow")
		r, before := <-held, closedBy(s, reqchan.IdleExpired)
		var idle []*servertest.Client
		for i := range 20 {
			c := servertest.Dial(t, s)
			if i%2 == 0 {
				_, _ = c.Write([]byte{0, 0, 0, 9, 'h'})
			}
			idle = append(idle, c)
		}
		for _, c := range idle {
			c.AwaitClose()
		}
		r.Respond([]byte("at last"))
		if got := busy.Receive(); got != "at last" {
			t.Errorf("answer %q", got)
		}
		busy.AwaitClose()
		servertest.Eventually(t, "every close is counted as idleness", func() bool {
			return closedBy(s, reqchan.IdleExpired) == before+uint64(len(idle)+1)
		})
	})
}

// Two requests and bytes for one: one is received whole, the other when the
// first was answered.
//
// Kafka: SE-25, Q-7, GarbageCollectedMemoryPoolTest.
func TestARequestWaitsForTheBytesThatAnotherHolds(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const payload = 600 << 10
		cfg.Processors.Count, cfg.Limits.FrameBytesMax = 1, payload
		cfg.Memory.RequestBytesMax = payload + 200<<10
		held := make(chan kring.Request, 2)
		s := servertest.Start(t, cfg, holding(held))
		clients := []*servertest.Client{servertest.Dial(t, s), servertest.Dial(t, s)}
		for _, c := range clients {
			go func() { _, _ = c.Write(servertest.Frame(make([]byte, payload))) }()
		}
		first := <-held
		if st := s.Stats(); st.RequestBytes > cfg.Memory.RequestBytesMax {
			t.Errorf("%d request bytes, %d allowed", st.RequestBytes, cfg.Memory.RequestBytesMax)
		}
		select {
		case <-held:
			t.Fatal("both were received")
		default:
		}
		first.Respond([]byte("done"))
		(<-held).Respond([]byte("done"))
		for _, c := range clients {
			if got := c.Receive(); got != "done" {
				t.Errorf("answer %q", got)
			}
		}
	})
}

// Kafka: SE-04.
func TestANameThatDoesNotResolveIsAnErrorOfStart(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners[0].Address = "nobody.invalid:0" // RFC 6761: never resolves
		s, err := kring.New(cfg, servertest.Echo)
		if err == nil {
			err = s.Start()
			ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
			defer cancel()
			_ = s.Shutdown(ctx)
		}
		if err == nil {
			t.Error("it started")
		}
	})
}

// A few hundred clients that ask and then sit idle hold no buffers.
//
// Kafka: many_clients_test, SE-28.
func TestManyIdleClientsHoldNoMemory(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		round := func(n int) {
			for range n {
				servertest.Dial(t, s).Ask("hello", "hello")
			}
		}
		round(32)
		before := s.Stats().MemoryMapped
		round(300)
		if grown := s.Stats().MemoryMapped - before; grown > 300*4096 {
			t.Errorf("300 idle clients hold %d bytes", grown)
		}
		if open := s.Stats().Open; open != 332 {
			t.Errorf("%d open", open)
		}
	})
}
