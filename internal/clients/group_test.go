package clients

import (
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/clients/broker"
	"kring/internal/clients/corpus"
)

// groupRun is one consumer group under test: a topic that keeps growing, and
// members that come and go.
type groupRun struct {
	t       *testing.T
	c       client
	addr    string
	topic   string
	content corpus.Corpus
	ledger  *corpus.Ledger
	// written is how many records of the corpus are in the topic.
	// Order: stored after produce returned, so every record below it is there.
	written atomic.Int64
}

// write appends n records.
func (g *groupRun) write(n int) {
	from := int(g.written.Load())
	one := batch{topic: g.topic, corpus: g.content, from: from, to: from + n, codec: g.c.codecs()[from/100%len(g.c.codecs())], acks: acksAll}
	if err := g.c.produce(g.t, g.addr, one); err != nil {
		g.t.Errorf("%v: %v", one, err)
	}
	g.written.Add(int64(n))
}

// pump appends a few records again and again until told to stop, so that a
// member that joins late finds something to read whenever it has joined.
func (g *groupRun) pump() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(100 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-quit:
				return
			case <-pace.C:
				g.write(100)
			}
		}
	}()
	return func() { close(quit); <-done }
}

// join adds a member whose deliveries are counted in the returned counter.
func (g *groupRun) join(ledger *corpus.Ledger) (member, *atomic.Int64) {
	g.t.Helper()
	seen := new(atomic.Int64)
	m, err := g.c.join(g.addr, g.topic, g.topic, func(p int, key, value []byte) bool {
		ledger.Deliver(p, key, value)
		seen.Add(1)
		return true
	})
	if err != nil {
		g.t.Fatalf("joining the group: %v", err)
	}
	return m, seen
}

func (g *groupRun) leave(m member) {
	g.t.Helper()
	if err := m.leave(); err != nil {
		g.t.Errorf("leaving the group: %v", err)
	}
}

func TestRebalancingGroupSeesEveryRecordAndResumesWhereItCommitted(t *testing.T) {
	eachClient(t, func(t *testing.T, b *broker.Broker, c client) {
		g := &groupRun{t: t, c: c, addr: b.Addr, topic: "group-" + c.name(), content: corpus.Corpus{Seed: 3, BytesMax: 1 << 10}}
		// Order holds only within one stay of one member: no stream has two.
		g.ledger = corpus.NewLedger(g.content, func(i int) int { return i })
		if err := c.createTopic(testContext(t), b.Addr, g.topic, 6); err != nil {
			t.Fatal(err)
		}
		g.write(2000)
		stop := g.pump()
		first, seenFirst := g.join(g.ledger)
		second, seenSecond := g.join(g.ledger)
		within(t, "both first members read something", func() bool { return seenFirst.Load() > 0 && seenSecond.Load() > 0 })
		late, seenLate := g.join(g.ledger)
		within(t, "the late member reads something", func() bool { return seenLate.Load() > 0 })
		g.leave(second)
		left := seenSecond.Load()
		stop()
		g.write(max(500, records-int(g.written.Load())))
		total := int(g.written.Load())
		within(t, "the remaining members have read everything", func() bool { return g.ledger.Count() == total })
		g.leave(first)
		g.leave(late)
		if err := g.ledger.Verify(total, corpus.Every); err != nil {
			t.Error(err)
		}
		if seenSecond.Load() != left {
			t.Error("a member got records after it had left")
		}
		t.Logf("%d records; %d delivered again around rebalances", total, g.ledger.Repeated())
		g.resume(total)
	})
}

// resume checks that a new member starts where the group had committed:
// everything written since, and nothing from before that a commit covered.
func (g *groupRun) resume(total int) {
	g.t.Helper()
	g.write(500)
	after := corpus.NewLedger(g.content, func(i int) int { return i })
	isNew := func(i int) bool { return i >= total }
	m, _ := g.join(after)
	within(g.t, "a resumed group reads what was written since", func() bool {
		for i := total; i < total+500; i++ {
			if !after.Has(i) {
				return false
			}
		}
		return true
	})
	g.leave(m)
	if again := after.Count() - 500; again > 0 && g.c.losesCommits() {
		if again > total/2 {
			g.t.Errorf("after resuming: %d of %d old records came again: nothing was committed", again, total)
		}
		g.t.Logf("%d old records came again after resuming", again)
		isNew = func(i int) bool { return after.Has(i) }
	}
	if err := after.Verify(total+500, isNew); err != nil {
		g.t.Errorf("after resuming: %v", err)
	}
}
