package conn

import (
	"testing"
	"time"

	"kring/reqchan"
)

// aStranger is a connection that is throttled for so long behind each of its requests, and
// has AuthTimeout limit.
func aStranger(t *testing.T, limit, throttle time.Duration) *testLoop {
	return newTestLoopAt(t, int64(time.Second), Settings{AuthTimeout: limit, FrameBytesMaxUnauthenticated: 100, ThrottleMax: throttle}, nil)
}

// asks has a stranger ask, and be answered with a throttle.
func (l *testLoop) asks() {
	l.receive(testFrame("who are you"), true)
	l.answer(func(r reqchan.Request) {
		r.Throttle(time.Hour) // ThrottleMax
		r.Respond([]byte("wait"))
	})
	l.flush()
	l.sent(len(l.sending))
}

// TestAThrottleOfAStrangerDoesNotCountAsItsTime: it is the server's wait, so behind it the stranger
// has what it had before.
func TestAThrottleOfAStrangerDoesNotCountAsItsTime(t *testing.T) {
	const limit, throttle = 10 * time.Second, 8 * time.Second
	l := aStranger(t, limit, throttle)
	defer l.end()
	began := l.shared.Now()
	l.shared.Tick(began+int64(4*time.Second), 0)
	l.asks()
	l.shared.Tick(began+int64(limit), 0)
	if due := l.conn.Earliest(l.shared.Now()); due != began+int64(limit+throttle) {
		t.Errorf("it is looked at after %v, not %v", time.Duration(due-began), limit+throttle)
	}
	for range 3 {
		if !l.conn.Expire() {
			t.Fatalf("it is closed for %v while it is throttled", l.conn.reason)
		}
	}
	l.shared.Tick(l.alarm, 0)
	l.conn.AlarmRang()
	for range 3 {
		l.shared.Tick(l.shared.Now()+int64(time.Second), 0)
		if !l.conn.Expire() {
			t.Fatalf("it is closed for %v, %v after it began", l.conn.reason, time.Duration(l.shared.Now()-began))
		}
	}
	l.shared.Tick(began+int64(limit+throttle), 0)
	for on, looks := true, 0; on; looks++ {
		if on = l.conn.Expire(); looks > 2 {
			t.Fatal("it is not closed when its time is over")
		}
		l.shared.Tick(l.shared.Now()+int64(time.Second), 0)
	}
	if l.conn.reason != reqchan.AuthenticationTimeout {
		t.Errorf("closed for %v", l.conn.reason)
	}
}

// TestAThrottleThatIsMadeLongerCountsOnce, whatever part of it was known before.
func TestAThrottleThatIsMadeLongerCountsOnce(t *testing.T) {
	l := aStranger(t, 10*time.Second, 4*time.Second)
	defer l.end()
	began := l.shared.Now()
	l.asks()
	l.shared.Tick(began+int64(3*time.Second), 0)
	l.conn.throttle(began + int64(time.Hour))
	if due, want := l.conn.Earliest(l.shared.Now()), began+int64(17*time.Second); due != want {
		t.Errorf("it has %v, and was throttled for 7 seconds of them", time.Duration(due-began))
	}
}

// TestAStrangerThatAlwaysAsksAgainIsClosed: throttled time counts up to once AuthTimeout.
func TestAStrangerThatAlwaysAsksAgainIsClosed(t *testing.T) {
	const limit = 10 * time.Second
	for _, throttle := range []time.Duration{time.Second, 3 * time.Second, 7 * time.Second, time.Minute} {
		l := aStranger(t, limit, throttle)
		began := l.shared.Now()
		l.asks()
		for on := true; on; on = l.conn.Expire() {
			if l.shared.Tick(l.shared.Now()+int64(100*time.Millisecond), 0); l.shared.Now() >= l.alarm {
				l.conn.AlarmRang()
				l.asks()
			}
			if l.shared.Now() > began+int64(time.Hour) {
				t.Fatalf("throttled for %v each time: it stays", throttle)
			}
		}
		had := time.Duration(l.shared.Now() - began)
		if had < limit || had > 2*limit+limit/8 {
			t.Errorf("throttled for %v each time: it was closed after %v", throttle, had)
		}
		if throttle < limit && had < 2*limit {
			t.Errorf("throttled for %v each time: it was closed after %v, and has waited all the time", throttle, had)
		}
		l.end()
	}
}
