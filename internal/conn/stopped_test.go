package conn

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/conn/conntest"
	"kring/reqchan"
)

// TestAfterAStopOfTheProcessAHandshakeIsLookedAtTwice: what its peer sent meanwhile has not been
// received. Once: a peer that drips always has bytes on the way.
func TestAfterAStopOfTheProcessAHandshakeIsLookedAtTwice(t *testing.T) {
	for name, unread := range map[string]int{"bytes lie in the kernel": 100, "nobody knows": 0} {
		t.Run(name, func(t *testing.T) {
			l := newTestLoop(t, Settings{HandshakeTimeout: 10 * time.Second, Transport: func(*reqchan.Conn, func()) Transport {
				return conntest.NewServer(func() {})
			}}, nil)
			defer l.end()
			l.seen = engine.Progress{Unread: unread}
			now := int64(time.Hour)
			if l.shared.Tick(now, 0); !l.conn.Expire() {
				t.Fatal("it is closed at the first look")
			}
			now = l.conn.Earliest(now)
			if l.shared.Tick(now, 0); now > int64(time.Hour+time.Second) || l.conn.Expire() {
				t.Error("it is not closed at the second look, a little later")
			}
			if l.conn.reason != reqchan.HandshakeTimeout {
				t.Errorf("closed for %v", l.conn.reason)
			}
		})
	}
}

// TestTwoDeadlinesThatPassAtOnceAreOneLook: between the two looks that close a connection for its
// silence comes what the engine has, however many deadlines ask.
func TestTwoDeadlinesThatPassAtOnceAreOneLook(t *testing.T) {
	l := newTestLoop(t, Settings{AuthTimeout: time.Minute, FrameBytesMaxUnauthenticated: 100, IdleTimeout: time.Minute}, nil)
	defer l.end()
	if l.shared.Tick(int64(time.Hour), 0); !l.conn.Expire() {
		t.Fatalf("it is closed for %v at the first look", l.conn.reason)
	}
	l.receive([]byte{0}, true)
	if l.shared.Tick(int64(time.Hour+time.Second), 0); !l.conn.Expire() {
		t.Errorf("it is closed for %v, and has sent something", l.conn.reason)
	}
}

// TestWhoFindsNoReceiveBufferIsNotSilent: what its peer sent lies there, and nothing to receive it
// into. That wait is ours, before the first look and between the two.
func TestWhoFindsNoReceiveBufferIsNotSilent(t *testing.T) {
	handshakes := func(*reqchan.Conn, func()) Transport { return conntest.NewServer(func() {}) }
	for deadline, settings := range map[string]Settings{
		"idle":         {IdleTimeout: time.Minute},
		"authenticate": {AuthTimeout: time.Minute, FrameBytesMaxUnauthenticated: 100},
		"handshake":    {HandshakeTimeout: time.Minute, Transport: handshakes},
	} {
		for name, doubted := range map[string]bool{"before the first look": false, "between the looks": true} {
			t.Run(deadline+" "+name, func(t *testing.T) {
				l := newTestLoop(t, settings, nil)
				defer l.end()
				now := int64(time.Hour)
				look := func(when string) {
					t.Helper()
					if l.shared.Tick(now, 0); !l.conn.Expire() {
						t.Fatalf("%s: it is closed for %v", when, l.conn.reason)
					}
					now += int64(time.Millisecond)
				}
				if doubted {
					look("nothing has come yet")
				}
				l.receiveEnds(engine.Failed(syscall.ENOBUFS))
				look("it waits for a buffer")
				l.conn.Retry()
				look("it receives again")
				now += int64(10 * time.Second)
				if l.shared.Tick(now, 0); l.conn.Expire() {
					t.Error("it is not closed, and nothing came when there were buffers")
				}
			})
		}
	}
}

// TestAfterAStopOfTheProcessAConnectIsLookedAtTwice: its completion has not been taken, and a TLS
// handshake has the time that the process did not run. Once, and at most as long as it had: whoever
// is not reached is given up.
func TestAfterAStopOfTheProcessAConnectIsLookedAtTwice(t *testing.T) {
	const had = int64(10 * time.Second)
	for name, c := range map[string]struct{ late, more int64 }{
		"a look that comes in time":   {0, 0},
		"a look that comes late":      {int64(time.Second), int64(time.Second)},
		"a look that comes very late": {int64(time.Hour), had},
	} {
		t.Run(name, func(t *testing.T) {
			l, o := upstreamLoop(t, Settings{}, false)
			l.conn.up.openBy, l.conn.up.had = l.shared.Now()+had, had
			first := l.conn.up.openBy + c.late
			for range 2 { // at one moment as often as anybody likes
				if l.shared.Tick(first, 0); !l.conn.Expire() {
					t.Fatal("it is closed at the first look")
				}
			}
			if at := l.conn.Earliest(first); at != first+c.more {
				t.Errorf("the next look is %v after the first, not %v", time.Duration(at-first), time.Duration(c.more))
			}
			if l.shared.Tick(first+c.more+1, 0); l.conn.Expire() {
				t.Fatal("it is not closed at the second look")
			}
			l.wants("when it is late", "shutdown")
			l.conn.Connected(&engine.Completion{Op: engine.OpConnect, Token: testToken, Res: engine.Failed(syscall.ECANCELED)})
			l.wants("when its connect has ended", "close")
			l.overUpstream()
			if o.tells(t, "closed backend_failed"); !errors.Is(o.err, context.DeadlineExceeded) {
				t.Errorf("it was closed with %v", o.err)
			}
		})
	}
	t.Run("its connect had ended", func(t *testing.T) {
		l, o := upstreamLoop(t, Settings{}, false)
		l.conn.up.openBy, l.conn.up.had = l.shared.Now()+had, had
		now := int64(time.Hour)
		if l.shared.Tick(now, 0); !l.conn.Expire() {
			t.Fatal("it is closed at the first look")
		}
		l.conn.Connected(&engine.Completion{Op: engine.OpConnect, Token: testToken})
		o.tells(t, "opened")
		if l.shared.Tick(now+had+1, 0); !l.conn.Expire() {
			t.Error("it is closed, and was open in time")
		}
		l.wants("it is open", "receive")
		l.conn.CloseUpstream(nil)
		l.receiveEnds(0)
		l.overUpstream()
	})
}

// TestAnUpstreamHasOneDeadlineUntilItIsOpen: its TLS handshake has what is left of its connect's time,
// and is looked at twice with it.
func TestAnUpstreamHasOneDeadlineUntilItIsOpen(t *testing.T) {
	const had = int64(10 * time.Second)
	l, o := upstreamLoop(t, Settings{HandshakeTimeout: time.Duration(had), Transport: func(*reqchan.Conn, func()) Transport {
		return conntest.NewServer(func() {})
	}}, false)
	l.conn.up.openBy, l.conn.up.had = l.shared.Now()+had, had
	l.conn.Connected(&engine.Completion{Op: engine.OpConnect, Token: testToken})
	l.wants("when it is connected", "receive")
	first := l.conn.up.openBy + int64(time.Second)
	if l.shared.Tick(first, 0); !l.conn.Expire() {
		t.Fatal("it is closed at the first look")
	}
	if at := l.conn.Earliest(first); at != first+int64(time.Second) {
		t.Errorf("the next look is %v after the first, not a second", time.Duration(at-first))
	}
	if l.shared.Tick(first+int64(time.Second)-1, 0); !l.conn.Expire() {
		t.Error("it is closed before its time is over")
	}
	if l.shared.Tick(first+int64(time.Second), 0); l.conn.Expire() {
		t.Error("it is not closed at the second look")
	}
	l.wants("when it is late", "shutdown")
	l.receiveEnds(0)
	l.wants("when its receive has ended", "close")
	l.overUpstream()
	if o.tells(t, "closed backend_failed"); !errors.Is(o.err, context.DeadlineExceeded) {
		t.Errorf("it was closed with %v", o.err)
	}
}
