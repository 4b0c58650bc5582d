package conn

import (
	"fmt"
	"testing"
	"time"

	"kring/reqchan"
)

// TestARefusedConnectionEndsWhenItHasNoTimeoutsAnyMore: the wait for its peer is one, and nobody
// looks at the clock for a connection without timeouts. Whether they were taken away before its
// last answer was sent, or afterwards.
func TestARefusedConnectionEndsWhenItHasNoTimeoutsAnyMore(t *testing.T) {
	for _, afterwards := range []bool{false, true} {
		t.Run(fmt.Sprint("afterwards ", afterwards), func(t *testing.T) {
			l := newTestLoop(t, Settings{IdleTimeout: time.Minute}, nil)
			l.receive(testFrame("hello"), true)
			l.answer(func(r reqchan.Request) {
				r.CloseConnectionAfter(reqchan.AuthenticationFailed, 0, []byte("no"))
			})
			l.conn.AlarmRang() // its answer has been put off to a time that has come
			untimed := *l.from.settings.Load()
			untimed.IdleTimeout = 0
			change := func() {
				l.from.Change(untimed)
				l.conn.ApplySettings()
			}
			l.flush()
			if !l.conn.out.sending {
				t.Fatal("its last answer is not sent")
			}
			if !afterwards {
				change()
			}
			l.wanted = nil
			l.sent(len(l.sending))
			if afterwards {
				if l.conn.life >= ending {
					t.Fatal("it does not wait for its peer")
				}
				change()
			}
			if l.conn.life < ending {
				t.Error("it waits for ever: nobody looks at the clock")
			}
			l.receiveEnds(0)
			if l.conn.Closed(); l.why != reqchan.AuthenticationFailed {
				t.Errorf("closed for %v", l.why)
			}
			l.end()
		})
	}
}
