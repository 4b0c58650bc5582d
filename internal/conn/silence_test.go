package conn

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"kring/engine"
)

// TestTheReceiveOfABigFrameSaysWhatItHasBeforeItIsGivenUp, however long it takes to: it is
// cancelled for that, and its bytes come with its last completion.
func TestTheReceiveOfABigFrameSaysWhatItHasBeforeItIsGivenUp(t *testing.T) {
	frame := testFrame(strings.Repeat("x", 40<<10))
	for what, brings := range map[string]int{"nothing": 0, "something": 100} {
		l := newTestLoop(t, Settings{FrameTimeout: time.Second}, echo)
		c := l.conn
		l.receive(frame[:100], false)
		l.wanted = nil
		l.shared.Tick(l.shared.Now()+int64(time.Second), 0)
		for range 3 { // the first look cancels the receive, and that goes on
			l.shared.Tick(l.shared.Now()+int64(time.Millisecond), 0)
			if !c.Expire() {
				t.Fatalf("%s: it was given up while its receive was being cancelled", what)
			}
		}
		l.wants(what, "cancel")
		if brings > 0 {
			l.fill(frame[100 : 100+brings])
		} else {
			c.Filled(&engine.Completion{Op: engine.OpRecvInto, Token: testToken, Res: -int32(syscall.ECANCELED)})
		}
		if goesOn := c.Expire(); goesOn != (brings > 0) {
			t.Errorf("%s came: it goes on: %v", what, goesOn)
		}
		l.end()
	}
}
