package contract

import (
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// hoarding has little room for responses that nobody reads.
func hoarding(cfg kring.Config, policy kring.SlowReader) kring.Config {
	cfg.Processors.Count, cfg.Limits.SlowReader, cfg.Limits.QueuedResponseBytesMax = 1, policy, 64<<10
	cfg.Socket.SendBufferBytes = 64 << 10
	return cfg
}

// flood sends requests whose responses are larger, and reads nothing.
func flood(c *servertest.Client, requests int) {
	go func() {
		for range requests {
			if _, err := c.Write(servertest.Frame([]byte("x"))); err != nil {
				return // it is closed
			}
		}
	}()
}

// swell answers "x" with 16 KiB and everything else with itself.
var swell = kring.HandlerFunc(func(r kring.Request) {
	if string(r.Payload()) == "x" {
		r.Respond(make([]byte, 16<<10))
		return
	}
	r.Respond(r.Payload())
})

func TestASlowReaderIsPausedAndGoesOnWhenItReads(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, hoarding(cfg, ""), swell)
		slow := servertest.Dial(t, s)
		const requests = 100 // 1.6 MB of responses: more than the sockets hold
		flood(slow, requests)
		servertest.Eventually(t, "it is paused", func() bool {
			conns := list(t, s)
			return len(conns) == 1 && conns[0].Muted == processor.MutedQueuedResponses && conns[0].MuteState == "MUTED"
		})
		if q := list(t, s)[0].QueuedBytes; q > 64<<10+16<<10+4 {
			t.Errorf("%d response bytes are queued", q)
		}
		servertest.Dial(t, s).Ask("other", "other")
		for range requests {
			if got := slow.Receive(); len(got) != 16<<10 {
				t.Fatalf("answer of %d bytes", len(got))
			}
		}
		if st := s.Stats().Total; st.SlowReaders == 0 || st.Throttles != 0 {
			t.Errorf("%d slow readers, %d throttles", st.SlowReaders, st.Throttles)
		}
	})
}

func TestASlowReaderIsThrottledWhereThatIsThePolicy(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, hoarding(cfg, kring.SlowReaderThrottle), swell)
		readers := uint64(0)
		servertest.Eventually(t, "one is listed as throttled", func() bool {
			for _, c := range list(t, s) {
				if c.MuteState == "MUTED_AND_THROTTLED" && c.Muted == processor.MutedThrottled {
					return true
				}
			}
			if s.Stats().Total.Throttles >= readers { // nobody yet, or it is over: that may take but a second
				flood(servertest.Dial(t, s), 4000)
				readers++
			}
			return false
		})
		servertest.Dial(t, s).Ask("other", "other")
	})
}

func TestASlowReaderIsClosedWhereThatIsThePolicyAndALargeResponseIsNone(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, hoarding(cfg, kring.SlowReaderClose), swell)
		large := servertest.Dial(t, s)
		payload := string(make([]byte, 300<<10)) // alone larger than the bound
		go func() { _, _ = large.Write(servertest.Frame([]byte(payload))) }()
		flood(servertest.Dial(t, s), 4000)
		servertest.Eventually(t, "it is closed", func() bool { return closedBy(s, reqchan.SlowReader) == 1 })
		if got := large.Receive(); got != payload {
			t.Errorf("answer of %d bytes", len(got))
		}
		large.Ask("again", "again")
	})
}

// TestAPeerThatReadsNothingIsClosedInTime also while it is throttled.
func TestAPeerThatReadsNothingIsClosedInTime(t *testing.T) {
	for _, policy := range []kring.SlowReader{kring.SlowReaderPause, kring.SlowReaderThrottle} {
		servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
			cfg = hoarding(cfg, policy)
			cfg.Timeouts.Write = 10 * time.Millisecond
			s := servertest.Start(t, cfg, swell)
			flood(servertest.Dial(t, s), 4000)
			servertest.Eventually(t, "it is closed", func() bool { return closedBy(s, reqchan.WriteTimeout) == 1 })
		})
	}
}
