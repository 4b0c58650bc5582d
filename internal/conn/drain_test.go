package conn

import (
	"testing"
	"time"

	"kring/engine"
	"kring/reqchan"
)

// TestADrainWaitsForWhoReads, as long as it takes: by what the kernel knows of its peer. Who takes
// nothing for so long as the drain has patience is closed, and time does not count before it.
func TestADrainWaitsForWhoReads(t *testing.T) {
	const patience = int64(time.Second)
	l := newTestLoop(t, Settings{}, func(r reqchan.Request) { r.Respond(make([]byte, 50_000)) })
	l.receive(testFrame("a request"), true)
	l.flush()
	look := func(after time.Duration) {
		l.shared.Tick(l.shared.Now()+int64(after), 0)
		l.conn.EndUnread(0, patience)
	}
	look(time.Hour)
	if l.conn.life != serving {
		t.Fatalf("it is %v although nothing drains", l.conn.life)
	}
	l.from.Drain()
	l.conn.ApplySettings()
	began := l.shared.Now()
	end := func(after time.Duration) {
		l.shared.Tick(l.shared.Now()+int64(after), 0)
		l.conn.EndUnread(began, patience)
	}
	for range 5 {
		end(900 * time.Millisecond)
		l.seen = engine.Progress{Acked: l.seen.Acked + 1}
		end(900 * time.Millisecond) // it has taken a byte since
	}
	l.wanted = nil
	end(900 * time.Millisecond)
	if l.conn.life != draining {
		t.Fatalf("it is %v although its peer reads", l.conn.life)
	}
	end(100 * time.Millisecond)
	if l.conn.life != ending || l.conn.reason != reqchan.ServerDraining {
		t.Fatalf("it is %v, for %v", l.conn.life, l.conn.reason)
	}
	l.sent(-1)
	l.receiveEnds(0)
	l.conn.Closed()
	l.end()
}
