package conn

import (
	"testing"

	"kring/internal/budget"
)

// Requests that were cut to follow others, and not begun, are served before their connection
// goes on with another processor. It must not give up its turn for the memory of responses
// meanwhile: it would begin at the end of the line each time.
func TestWhoLeavesKeepsItsTurnForRequestsThatWereCut(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	b := budget.New(8 << 20)
	l.shared.cfg.Responses, l.shared.jobs.Budget = b, b
	l.receive(append(testFrame("one"), testFrame("two")...), true)
	if n := l.request[0].InRun(); n != 2 {
		t.Fatalf("%d requests came together", n)
	}
	const smalls = 32 // take their share
	for range smalls {
		b.Change(0, budget.SmallBytes)
	}
	b.Change(0, 6<<20)
	before := b.Queue(budget.SmallestBytes, func() {})
	l.conn.Migrate()
	l.answer(echo)
	l.flush()
	l.sent(len(l.sending))
	if l.conn.pipeline.unbegun == nil || l.conn.waits.ticket == nil || len(l.tasks) > 0 {
		t.Fatal("the second does not wait for its turn")
	}
	behind := b.Queue(budget.SmallestBytes, func() {})
	for n := int64(smalls * budget.SmallBytes); len(l.tasks) == 0; n -= 1 << 10 { // for one after the other
		if n == 0 || behind.Granted() {
			t.Fatal("its turn does not come")
		}
		b.Change(1<<10, 0)
	}
	l.tasks[0](l.conn)
	if len(l.request) != 1 {
		t.Errorf("the second is not with a handler; it stands in line behind who came later: %t", behind.Granted())
	}
	before.Release()
	behind.Release()
	l.end()
}
