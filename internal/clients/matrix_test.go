package clients

import (
	"context"
	"slices"
	"testing"

	"kring/internal/clients/broker"
	"kring/internal/clients/corpus"
)

const records = 10_000

// batches divides the first n records among producers of every codec and
// every acks the client has.
func batches(c client, topic string, content corpus.Corpus, n int) []batch {
	var all []batch
	for _, codec := range c.codecs() {
		for _, a := range []acks{acksNone, acksOne, acksAll} {
			all = append(all, batch{topic: topic, corpus: content, codec: codec, acks: a})
		}
		if c.idempotent() {
			all = append(all, batch{topic: topic, corpus: content, codec: codec, acks: acksAll, idempotent: true})
		}
	}
	for i := range all {
		all[i].from, all[i].to = i*n/len(all), (i+1)*n/len(all)
	}
	return all
}

// streamOf tells which records keep their order: those of one batch, unless the
// client promises none.
func streamOf(c client, all []batch) func(int) int {
	return func(i int) int {
		for n, b := range all {
			if i >= b.to {
				continue
			}
			if b.acks == acksNone && c.reordersUnacknowledged() {
				return len(all) + i
			}
			return n
		}
		return len(all)
	}
}

func TestEveryRecordComesBackByteForByte(t *testing.T) {
	eachClient(t, func(t *testing.T, b *broker.Broker, c client) {
		ctx, topic := testContext(t), "bytes-"+c.name()
		content := corpus.Corpus{Seed: 1}
		const partitions = 4
		if err := c.createTopic(ctx, b.Addr, topic, partitions); err != nil {
			t.Fatal(err)
		}
		all := batches(c, topic, content, records)
		for _, one := range all {
			if err := c.produce(t, b.Addr, one); err != nil {
				t.Fatalf("%v: %v", one, err)
			}
		}
		ledger := corpus.NewLedger(content, streamOf(c, all))
		err := c.consume(ctx, b.Addr, topic, partitions, false, func(p int, key, value []byte) bool {
			return ledger.Deliver(p, key, value) < records
		})
		if err != nil {
			t.Errorf("consuming after %d records: %v", ledger.Count(), err)
		}
		if err := ledger.Verify(records, corpus.Every); err != nil {
			t.Error(err)
		}
		if n := ledger.Repeated(); n > 0 {
			i := ledger.FirstRepeated()
			t.Errorf("%d records were delivered more than once to a consumer that never went back; the first is record %d of %v",
				n, i, all[slices.IndexFunc(all, func(b batch) bool { return i < b.to })])
		}
	})
}

func TestAbortedRecordsAreVisibleOnlyToTheUncommitted(t *testing.T) {
	// kafka-go is not among them: it has no transactions, and hands the markers
	// that end other clients' transactions to its caller as if they were records.
	var able []client
	for _, c := range every {
		if _, ok := c.(transactor); ok {
			able = append(able, c)
		}
	}
	eachOf(t, able, func(t *testing.T, b *broker.Broker, c client) {
		ctx, topic := testContext(t), "transactions-"+c.name()
		content := corpus.Corpus{Seed: 2, BytesMax: 64 << 10}
		const partitions = 3
		if err := c.createTopic(ctx, b.Addr, topic, partitions); err != nil {
			t.Fatal(err)
		}
		// The last transaction commits, so that a committed read that saw all
		// it should has also gone past everything aborted.
		ends := []int{0, 3000, 5000, 6000, 6500, records}
		commits := []bool{true, false, true, false, true}
		for i, commit := range commits {
			one := batch{topic: topic, corpus: content, from: ends[i], to: ends[i+1], codec: "none", acks: acksAll, idempotent: true}
			if err := c.(transactor).transact(ctx, b.Addr, topic, one, commit); err != nil {
				t.Fatalf("transaction of %v: %v", one, err)
			}
		}
		committed := func(i int) bool {
			for n := range commits {
				if i < ends[n+1] {
					return commits[n]
				}
			}
			return false
		}
		readAll(ctx, t, c, b.Addr, topic, content, partitions, true, committed)
		readAll(ctx, t, c, b.Addr, topic, content, partitions, false, corpus.Every)
	})
}

// readAll reads until as many records came as want allows, and compares.
func readAll(ctx context.Context, t *testing.T, c client, addr, topic string, content corpus.Corpus, partitions int, committed bool, want func(int) bool) {
	t.Helper()
	n := 0
	for i := range records {
		if want(i) {
			n++
		}
	}
	ledger := corpus.NewLedger(content, nil)
	err := c.consume(ctx, addr, topic, partitions, committed, func(p int, key, value []byte) bool {
		return ledger.Deliver(p, key, value) < n
	})
	if err != nil {
		t.Errorf("read with committed=%v, after %d records: %v", committed, ledger.Count(), err)
	}
	if err := ledger.Verify(records, want); err != nil {
		t.Errorf("read with committed=%v: %v", committed, err)
	}
}
