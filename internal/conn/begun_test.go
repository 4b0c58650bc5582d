package conn

import (
	"strings"
	"testing"
	"time"

	"kring/reqchan"
)

// TestAFrameThatWasBegunComesInItsTimeWhateverIsInFlight: its memory is there and a receive stands,
// so nothing of ours keeps it back, and others wait for that memory. A client may ask for a wait of
// weeks before it begins one.
func TestAFrameThatWasBegunComesInItsTimeWhateverIsInFlight(t *testing.T) {
	frame := testFrame(strings.Repeat("x", 10<<10))
	begun := func(t *testing.T) *testLoop {
		l := newTestLoop(t, Settings{FrameTimeout: 10 * time.Second, PipelineMax: 2}, nil)
		l.receive(testFrame("poll"), true)
		l.receive(frame[:100], true)
		if l.conn.at.begun == 0 || l.conn.InFlight() != 1 || !l.conn.in.receive.up() {
			t.Fatal("no frame was begun behind a request in flight")
		}
		return l
	}
	for name, drips := range map[string]bool{"nothing comes of it": false, "a byte comes now and then": true} {
		t.Run(name, func(t *testing.T) {
			l := begun(t)
			defer l.end()
			from := l.shared.Now()
			for at, now := 0, from; l.conn.Expire(); at++ {
				if now = l.conn.Earliest(now); now-from > int64(time.Minute) {
					t.Fatal("after a minute it holds its memory still")
				}
				if l.shared.Tick(now, 0); drips {
					l.shared.Tick(now-1, 0)
					l.receive(frame[100+at:101+at], true)
					l.shared.Tick(now, 0)
				}
				now++
			}
			if l.conn.reason != reqchan.FrameTimeout {
				t.Errorf("closed for %v", l.conn.reason)
			}
		})
	}
	t.Run("others wait for its memory", func(t *testing.T) {
		l := begun(t)
		defer l.end()
		for range 2 { // looks
			l.shared.Tick(l.shared.Now()+2*int64(time.Second), 0)
			l.conn.CloseSilent()
		}
		if l.conn.reason != reqchan.FrameTimeout {
			t.Error("it holds its memory still")
		}
	})
	t.Run("the rest comes", func(t *testing.T) {
		l := begun(t)
		defer l.end()
		l.shared.Tick(l.shared.Now()+9*int64(time.Second), 0)
		l.receive(frame[100:], true)
		l.shared.Tick(l.shared.Now()+int64(time.Hour), 0)
		if !l.conn.Expire() || l.conn.InFlight() != 2 {
			t.Error("it is whole, and is not served")
		}
	})
}
