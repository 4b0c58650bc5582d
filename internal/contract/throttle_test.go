package contract

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// long is a time that no test waits for.
const long = time.Hour

// counting counts the requests that h is called for.
func counting(h func(r kring.Request, n int64)) (kring.Handler, *atomic.Int64) {
	var n atomic.Int64
	return kring.HandlerFunc(func(r kring.Request) { h(r, n.Add(1)) }), &n
}

// closedBy is how many connections ended for a reason.
func closedBy(s *kring.Server, why kring.CloseReason) uint64 { return s.Stats().Total.Closed[why] }

// wantMuted wants the one connection of s to be in a mute state, for a reason.
func wantMuted(t *testing.T, s *kring.Server, state string, by processor.MutedBy) {
	t.Helper()
	conns := list(t, s)
	if len(conns) != 1 || conns[0].MuteState != state || conns[0].Muted != by {
		t.Errorf("not one connection that is %s by %q: %+v", state, by, conns)
	}
}

// arrived waits until the server has received n frames of size bytes.
func arrived(t *testing.T, s *kring.Server, n, size int) {
	t.Helper()
	servertest.Eventually(t, "everything arrived", func() bool {
		return s.Stats().Total.BytesIn == uint64(n*(reqchan.SizeBytes+size))
	})
}

// Kafka: SS-14, F-36, F-49, ThrottledChannelTest.
func TestTheResponseOfAThrottledRequestLeavesAtOnceAndTheNextRequestWaits(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.ThrottleMax = long
		h, handled := counting(func(r kring.Request, _ int64) {
			r.Throttle(long)
			r.Respond(r.Payload())
		})
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		c.Send("one", "two")
		if got := c.Receive(); got != "one" {
			t.Errorf("answer %q", got)
		}
		c.Send("six")
		arrived(t, s, 3, 3)
		if n, st := handled.Load(), s.Stats().Total; n != 1 || st.Throttles != 1 {
			t.Errorf("%d requests handled, %d throttles", n, st.Throttles)
		}
		wantMuted(t, s, "MUTED_AND_THROTTLED", processor.MutedThrottled)
		servertest.Shutdown(t, s) // does not wait for the throttle
		c.AwaitClose()
	})
}

// Kafka: SS-15, SS-17.
func TestAThrottleThatIsOverBeforeTheAnswerMutesNothing(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		h, _ := counting(func(r kring.Request, n int64) {
			r.Throttle(time.Nanosecond)
			for start := reqchan.Now(); reqchan.Now() <= start+1; {
			}
			if n%2 == 0 {
				r.NoResponse()
				return
			}
			r.Respond(r.Payload())
		})
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		c.Send("1", "2", "3", "4", "5")
		for _, want := range []string{"1", "3", "5"} {
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}
		if n := s.Stats().Total.Throttles; n != 0 {
			t.Errorf("%d throttles", n)
		}
		wantMuted(t, s, "NOT_MUTED", processor.MutedNot)
	})
}

// Kafka: SS-16, F-38.
func TestARequestWithoutResponseThrottlesToo(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.ThrottleMax = long
		h, handled := counting(func(r kring.Request, _ int64) {
			r.Throttle(long)
			r.NoResponse()
		})
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		c.Send("one", "two")
		servertest.Eventually(t, "it is throttled", func() bool { return s.Stats().Total.Throttles == 1 })
		c.Send("six")
		arrived(t, s, 3, 3)
		if n := handled.Load(); n != 1 {
			t.Errorf("%d requests handled", n)
		}
		wantMuted(t, s, "MUTED_AND_THROTTLED", processor.MutedThrottled)
	})
}

// Kafka: ThrottledChannelTest, ThrottledChannelExpirationTest, F-36.
func TestAThrottleEndsByItselfAndNotBefore(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const each = 3 * time.Millisecond
		var called atomic.Int64
		h, _ := counting(func(r kring.Request, _ int64) {
			if since := reqchan.Now() - called.Load(); called.Load() > 0 && since < int64(each) {
				t.Errorf("served again %d ns after the throttle began", since)
			}
			called.Store(reqchan.Now())
			r.Throttle(each)
			r.Throttle(each / 2) // the later end counts
			r.Respond(r.Payload())
		})
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		c.Send("1", "2", "3", "4")
		for _, want := range []string{"1", "2", "3", "4"} {
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}
	})
}

// Kafka: F-39.
func TestAThrottleIsBounded(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.ThrottleMax = time.Millisecond
		h, _ := counting(func(r kring.Request, _ int64) {
			r.Throttle(long)
			r.Respond(r.Payload())
		})
		c := servertest.Dial(t, servertest.Start(t, cfg, h))
		c.Ask("one", "one")
		c.Ask("two", "two")
	})
}

// TestAThrottleHoldsUpOnlyWhatComesAfterIt is the mute state with a pipeline:
// what is in flight goes on, nothing further is begun.
func TestAThrottleHoldsUpOnlyWhatComesAfterIt(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.ThrottleMax, cfg.Limits.PipelineMax = long, 3
		held := make(chan kring.Request, 4)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { held <- r }))
		c := servertest.Dial(t, s)
		c.Send("a", "b", "c", "d")
		flying := []kring.Request{<-held, <-held, <-held}
		wantMuted(t, s, "MUTED_AND_RESPONSE_PENDING", processor.MutedInFlight)
		slices.SortFunc(flying, func(a, b kring.Request) int { return bytes.Compare(a.Payload(), b.Payload()) })
		for i, want := range []string{"a", "b", "c"} {
			flying[i].Throttle(long)
			flying[i].Respond(flying[i].Payload())
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
			if want == "a" {
				wantMuted(t, s, "MUTED_AND_THROTTLED_AND_RESPONSE_PENDING", processor.MutedThrottled)
			}
		}
		wantMuted(t, s, "MUTED_AND_THROTTLED", processor.MutedThrottled)
		arrived(t, s, 4, 1)
		if st := s.Stats().Total; len(held) > 0 || st.Throttles != 1 || st.Requests != 3 {
			t.Errorf("%d requests begun, %d throttles", st.Requests, st.Throttles)
		}
	})
}

// Kafka: SS-09, F-51.
func TestWhatWasSentBeforeTheEndIsServedAfterTheThrottle(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		h, handled := counting(func(r kring.Request, n int64) {
			if n == 1 {
				r.Throttle(10 * time.Millisecond)
			}
			r.NoResponse()
		})
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		c.Send("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
		_ = c.Close()
		servertest.Eventually(t, "all ten are handled", func() bool { return handled.Load() == 10 })
		servertest.Eventually(t, "it is closed", func() bool { return s.Stats().Open == 0 })
	})
}

// Kafka: SE-24, SS-43.
func TestHalfARequestDoesNotKeepAThrottledConnection(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.ThrottleMax = long
		h, _ := counting(func(r kring.Request, _ int64) {
			r.Throttle(long)
			r.NoResponse()
		})
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		c.Send("one")
		servertest.Eventually(t, "it is throttled", func() bool { return s.Stats().Total.Throttles == 1 })
		if _, err := c.Write(servertest.Frame([]byte("two"))[:6]); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		servertest.Eventually(t, "it is closed", func() bool { return s.Stats().Open == 0 })
	})
}

// Kafka: Q-8, F-55, SS-12.
func TestAThrottledConnectionIsNotIdleAndItsTimeRunsOn(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Timeouts.Idle = 20 * time.Millisecond
		h, handled := counting(func(r kring.Request, n int64) {
			if n == 1 {
				r.Throttle(3 * 20 * time.Millisecond)
			}
			r.Respond(r.Payload())
		})
		s := servertest.Start(t, cfg, h)
		c := dialBusy(t, s, "one", "two")
		before := closedBy(s, reqchan.IdleExpired)
		if a, b := c.Receive(), c.Receive(); a != "one" || b != "two" {
			t.Errorf("answers %q, %q", a, b)
		}
		c.AwaitClose()
		servertest.Eventually(t, "it expired", func() bool { return closedBy(s, reqchan.IdleExpired) > before })
		if n := handled.Load(); n != 2 {
			t.Errorf("%d requests handled", n)
		}
	})
}

// Kafka: F-56.
func TestAFailedAuthenticationIsToldLateAndEndsTheConnection(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const delay = 5 * time.Millisecond
		var called atomic.Int64
		h, handled := counting(func(r kring.Request, _ int64) {
			called.Store(reqchan.Now())
			r.CloseConnectionAfter(reqchan.AuthenticationFailed, delay, []byte("no"))
		})
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		c.Send("guess", "guess again")
		if got := c.Receive(); got != "no" {
			t.Errorf("answer %q", got)
		}
		if took := reqchan.Now() - called.Load(); took < int64(delay) {
			t.Errorf("the answer came after %d ns", took)
		}
		c.AwaitClose()
		servertest.Eventually(t, "it is counted", func() bool {
			return closedBy(s, reqchan.AuthenticationFailed) == 1
		})
		if n, st := handled.Load(), s.Stats().Total; n != 1 || st.Parks != 1 {
			t.Errorf("%d requests handled, %d connections parked", n, st.Parks)
		}
	})
}

func TestAConnectionThatWaitsToBeClosedHoldsUpNobody(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Handlers, cfg.Processors.Count = 1, 1
		h, _ := counting(func(r kring.Request, _ int64) {
			if string(r.Payload()) == "guess" {
				r.CloseConnectionAfter(reqchan.AuthenticationFailed, long, []byte("no"))
				return
			}
			r.Respond(r.Payload())
		})
		s := servertest.Start(t, cfg, h)
		var guessers []*servertest.Client
		for range 20 {
			c := servertest.Dial(t, s)
			c.Send("guess")
			guessers = append(guessers, c)
		}
		servertest.Eventually(t, "all are parked", func() bool { return s.Stats().Total.Parks == 20 })
		for _, conn := range list(t, s) {
			if conn.Muted != processor.MutedParked {
				t.Errorf("%+v", conn)
			}
		}
		guessers[0].Reset()
		servertest.Dial(t, s).Ask("hello", "hello")
		ctx, cancel := context.WithTimeout(t.Context(), servertest.Deadline)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil { // waits for nobody's delay
			t.Error(err)
		}
		for _, c := range guessers[1:] {
			if got := c.Receive(); got != "no" {
				t.Errorf("answer %q", got)
			}
			c.AwaitClose()
		}
	})
}
