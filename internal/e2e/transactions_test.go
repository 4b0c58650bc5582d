package e2e

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A consumer of committed records sees committed transactions only, all of
// them; one of uncommitted records sees everything.
func TestAbortedTransactionsStayInvisible(t *testing.T) {
	overEngines(t, func(t *testing.T, n *node) {
		const (
			topic        = "transactions"
			transactions = 20
			each         = 50
		)
		ctx := n.context()
		c := n.client(kgo.TransactionalID("writer"))
		for i := range transactions {
			if err := c.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			n.produce(c, "transactional", topic, i*each, (i+1)*each)
			if err := c.EndTransaction(ctx, kgo.TransactionEndTry(committed(i))); err != nil {
				t.Fatalf("transaction %d: %v", i, err)
			}
		}
		n.count(topic, kgo.ReadCommitted(), transactions*each/2, func(number int) bool { return committed(number / each) })
		n.count(topic, kgo.ReadUncommitted(), transactions*each, func(int) bool { return true })
	})
}

func committed(transaction int) bool { return transaction%2 == 0 }

// count consumes n records, each of which must be wanted, and each once.
func (n *node) count(topic string, level kgo.IsolationLevel, want int, wanted func(number int) bool) {
	n.t.Helper()
	ctx := n.context()
	c := n.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level))
	seen := make(map[int]bool)
	for len(seen) < want {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			n.t.Fatalf("%d of %d records: %v", len(seen), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			number := numberOf(n.t, r)
			if !wanted(number) || seen[number] {
				n.t.Errorf("record %d was not wanted, or came twice", number)
			}
			seen[number] = true
		})
	}
}

// Records that a transaction moves from one topic to another, offsets and all,
// arrive exactly once although half of the transactions are aborted.
func TestMovedRecordsArriveExactlyOnce(t *testing.T) {
	overEngines(t, func(t *testing.T, n *node) {
		const from, to, total = "moved-from", "moved-to", 600
		n.produce(n.client(), "source", from, 0, total)
		ctx := n.context()
		s, err := kgo.NewGroupTransactSession(
			kgo.SeedBrokers(n.addr), kgo.AllowAutoTopicCreation(), kgo.TransactionalID("mover"),
			kgo.ProducerBatchMaxBytes(2<<20), kgo.ConsumerGroup("movers"), kgo.ConsumeTopics(from),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.FetchMaxWait(500*time.Millisecond),
		)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		moved := 0
		for round := 0; moved < total; round++ {
			records := s.PollRecords(ctx, 100)
			if err := records.Err(); err != nil {
				t.Fatalf("%d of %d moved: %v", moved, total, err)
			}
			if err := s.Begin(); err != nil {
				t.Fatal(err)
			}
			records.EachRecord(func(r *kgo.Record) {
				s.Produce(ctx, &kgo.Record{Topic: to, Key: r.Key, Value: r.Value}, nil)
			})
			done, err := s.End(ctx, kgo.TransactionEndTry(round%2 == 1))
			if err != nil {
				t.Fatal(err)
			}
			if done {
				moved += records.NumRecords()
			}
		}
		n.count(to, kgo.ReadCommitted(), total, func(number int) bool { return number < total })
	})
}
