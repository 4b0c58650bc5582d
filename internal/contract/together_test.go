package contract

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// sendTogether sends n requests, numbered from 0, in one piece.
func sendTogether(c *servertest.Client, n int) {
	payloads := make([]string, n)
	for i := range payloads {
		payloads[i] = fmt.Sprintf("%02d", i)
	}
	c.Send(payloads...)
}

// wantAnswers reads the answers to the first n of them.
func wantAnswers(t *testing.T, c *servertest.Client, n int) {
	t.Helper()
	for i := range n {
		if got := c.Receive(); got != fmt.Sprintf("%02d", i) {
			t.Fatalf("answer %q, want %02d", got, i)
		}
	}
}

func number(r kring.Request) int {
	var n int
	_, _ = fmt.Sscanf(string(r.Payload()), "%d", &n)
	return n
}

// Kafka: SS-11.
func TestRequestsThatCameTogetherAreHandledOneAtATime(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		var open, next atomic.Int32
		var late sync.WaitGroup
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if n := open.Add(1); n != 1 || number(r) != int(next.Add(1))-1 {
				t.Errorf("request %s is handled, with %d others", r.Payload(), n-1)
			}
			answer := func() {
				open.Add(-1)
				r.Respond(r.Payload())
			}
			if number(r)%4 == 3 {
				late.Go(answer)
			} else {
				answer()
			}
		}))
		c := servertest.Dial(t, s)
		sendTogether(c, 90)
		wantAnswers(t, c, 90)
		late.Wait()
		servertest.Eventually(t, "each is counted once", func() bool {
			st := s.Stats().Total
			return st.Requests == 90 && st.Responses == 90
		})
	})
}

// What ends the service of a connection, or holds it up, keeps the requests behind it from
// their handler, also if they came together with it.
func TestWhatSpeaksAgainstTheNextRequestKeepsThoseThatCameWithIt(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.ThrottleMax = long
		held := make(chan kring.Request, 1)
		for name, answer := range map[string]func(r kring.Request){
			"throttle": func(r kring.Request) { r.Throttle(long); r.Respond(r.Payload()) },
			"close":    func(r kring.Request) { r.CloseConnection(reqchan.HandlerClosed) },
			"panic":    func(kring.Request) { panic("as asked") },
			"later":    func(r kring.Request) { held <- r },
		} {
			h, handled := counting(func(r kring.Request, _ int64) {
				if number(r) == 5 {
					answer(r)
					return
				}
				r.Respond(r.Payload())
			})
			s := servertest.Start(t, cfg, h)
			c := servertest.Dial(t, s)
			sendTogether(c, 12)
			wantAnswers(t, c, 5)
			switch name {
			case "throttle":
				if got := c.Receive(); got != "05" {
					t.Errorf("answer %q", got)
				}
				servertest.Eventually(t, "it is throttled", func() bool { return s.Stats().Total.Throttles == 1 })
				wantMuted(t, s, "MUTED_AND_THROTTLED", processor.MutedThrottled)
			case "later":
				servertest.Eventually(t, "the sixth is with its handler", func() bool { return handled.Load() == 6 })
				if conns := list(t, s); len(conns) != 1 || conns[0].InFlight != 1 {
					t.Errorf("listed as %+v", conns)
				}
			default:
				c.AwaitClose()
			}
			if n := handled.Load(); n != 6 {
				t.Errorf("%s: %d requests were handled, want 6", name, n)
			}
			if name == "later" { // else the server waits for it
				(<-held).CloseConnection(reqchan.HandlerClosed)
				c.AwaitClose()
			}
		}
	})
}

// Requests that came together wait for the end of a throttle, and no longer.
func TestRequestsThatCameTogetherGoOnAfterAThrottle(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		h, _ := counting(func(r kring.Request, n int64) {
			if n%3 == 0 {
				r.Throttle(cfg.Limits.ThrottleMax)
			}
			r.Respond(r.Payload())
		})
		cfg.Limits.ThrottleMax = 1e6
		s := servertest.Start(t, cfg, h)
		c := servertest.Dial(t, s)
		sendTogether(c, 20)
		wantAnswers(t, c, 20)
	})
}

// A handler that blocks keeps neither the answers before it, nor other connections.
func TestAnswersBeforeARequestThatBlocksLeaveThoughTheyCameTogether(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		if cfg.Dispatch.Mode == kring.DispatchInline {
			return // there a handler must not block
		}
		cfg.Dispatch.Handlers = 2
		release := make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "07" {
				<-release
			}
			r.Respond(r.Payload())
		}))
		c, other := servertest.Dial(t, s), servertest.Dial(t, s)
		sendTogether(c, 12)
		wantAnswers(t, c, 7)
		sendTogether(other, 7)
		wantAnswers(t, other, 7)
		close(release)
		for i := 7; i < 12; i++ {
			if got := c.Receive(); got != fmt.Sprintf("%02d", i) {
				t.Errorf("answer %q, want %02d", got, i)
			}
		}
	})
}
