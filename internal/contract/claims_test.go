package contract

import (
	"encoding/binary"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// claim begins a frame of n bytes, of which nothing comes.
func claim(c *servertest.Client, n int) {
	_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(n)), 'x'))
}

// claimAll begins frames of many sizes, of more than there is memory for.
func claimAll(t *testing.T, s *kring.Server) (claims []*servertest.Client) {
	for size := 1 << 20; size >= 4<<10; size /= 2 {
		for range 8 {
			c := servertest.Dial(t, s)
			claim(c, size)
			claims = append(claims, c)
		}
	}
	return claims
}

// Those who begin frames and do not send them can hold what requests may hold, but for
// a part; and not for long. Whoever sends a request is served.
func TestFramesThatDoNotComeKeepNobodyWaiting(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Limits.FrameBytesMax, cfg.Memory.RequestBytesMax = 2, 1<<20, 8<<20
		patient := cfg.Listeners[0]
		patient.Name, patient.Timeouts.Frame = "PATIENT", time.Hour
		cfg.Listeners = append(cfg.Listeners, patient)
		cfg.Timeouts.Frame = 500 * time.Millisecond
		s := servertest.Start(t, cfg, servertest.Echo)
		var claims []*servertest.Client
		servertest.Eventually(t, "somebody waits for bytes", func() bool {
			claims = append(claims, claimAll(t, s)...) // on a slow machine those of the last time may be over
			return s.Stats().Total.Waits > 0
		})
		good := func() *servertest.Client { return servertest.DialTo(t, s.Addrs()[1].String()) }
		for range 20 { // whole when they are first seen
			good().Ask("small", "small")
		}
		large := good()
		payload := string(make([]byte, 1<<20))
		go func() { _, _ = large.Write(servertest.Frame([]byte(payload))) }()
		if got := large.Receive(); got != payload {
			t.Fatalf("answer of %d bytes%s", len(got), whyClosed(s))
		}
		for _, c := range claims {
			c.AwaitClose()
		}
		servertest.Eventually(t, "their bytes are back", func() bool {
			st := s.Stats()
			return closedBy(s, reqchan.FrameTimeout) == uint64(len(claims)) && st.RequestBytes <= int64(cfg.Processors.Count)*192<<10
		})
	})
}

// TestAFrameThatComesWaitsOnlyATenthForThoseThatDoNot: claims that are silent are closed when
// somebody else has waited for what they hold, on any processor.
func TestAFrameThatComesWaitsOnlyATenthForThoseThatDoNot(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Limits.FrameBytesMax, cfg.Memory.RequestBytesMax = 2, 1<<20, 8<<20
		cfg.Timeouts.Frame = 40 * time.Second // of which a tenth is little of the test's patience
		s := servertest.Start(t, cfg, servertest.Echo)
		claimAll(t, s)
		servertest.Eventually(t, "somebody waits for bytes", func() bool { return s.Stats().Total.Waits > 0 })
		large := servertest.Dial(t, s)
		payload := string(make([]byte, 1<<20))
		go func() { _, _ = large.Write(servertest.Frame([]byte(payload))) }()
		if got := large.Receive(); got != payload {
			t.Fatalf("answer of %d bytes%s", len(got), whyClosed(s))
		}
	})
}

// Whoever has a request in flight, which may ask to wait for weeks, holds no more with the frame
// that it begins behind it.
func TestAFrameThatDoesNotComeBehindARequestInFlightIsClosed(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const clients = 4
		cfg.Limits.PipelineMax, cfg.Limits.FrameBytesMax, cfg.Memory.RequestBytesMax = 2, 1<<20, 8<<20
		cfg.Timeouts.Frame = 500 * time.Millisecond
		polls := make(chan kring.Request, clients)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { polls <- r }))
		for range clients {
			c := servertest.Dial(t, s)
			c.Send("poll")
			poll := <-polls
			defer poll.Respond(nil) // to nobody
			claim(c, 1<<20)
		}
		servertest.Eventually(t, "they are closed", func() bool { return closedBy(s, reqchan.FrameTimeout) == clients })
	})
}

// A frame that comes slowly but steadily, and fast enough, is served, however long it
// takes in all.
func TestAFrameThatComesSteadilyHasItsTime(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const steps = 40
		cfg.Timeouts.Frame = patient
		s := servertest.Start(t, cfg, servertest.Echo)
		steadily(t, steps, 1, patient/20, uploads(s, 1<<20, steps)) // it may take 5 s
	})
}

// Bytes that drip in do not keep a frame alive, however often something comes.
func TestAFrameThatDripsInIsClosed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const drops = 2000 // 10 s; it has 2
		cfg.Timeouts.Frame = time.Second
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.Dial(t, s)
		claim(c, 2*drops)
		err := paced(drops, 5*time.Millisecond, func(int) error {
			_, err := c.Write([]byte{'x'})
			return err
		})
		if err == nil {
			t.Fatal("all of it was taken")
		}
		servertest.Eventually(t, "it is closed", func() bool { return closedBy(s, reqchan.FrameTimeout) == 1 })
	})
}

// Those who wait for memory for their frames, however many, are tried when there may be
// some, and not with every request of somebody else.
func TestThoseWhoWaitForMemoryCostOthersNothing(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const waiters, asks = 50, 500
		cfg.Processors.Count, cfg.Limits.FrameBytesMax, cfg.Memory.RequestBytesMax = 1, 1<<20, 4<<20
		s := servertest.Start(t, cfg, servertest.Echo)
		for range waiters + 3 {
			claim(servertest.Dial(t, s), 1<<20)
		}
		waits := func() uint64 { return s.Stats().Total.Waits }
		servertest.Eventually(t, "they wait", func() bool { return waits() >= waiters })
		good := servertest.Dial(t, s)
		before := waits()
		for range asks {
			good.Ask("small", "small")
		}
		if n := waits() - before; n > asks {
			t.Errorf("%d connections were tried %d times during %d requests of another", waiters, n, asks)
		}
	})
}
