package e2e

import (
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

const recordsTotal = 10_000

// Every producer below produces its share of the records.
var producers = []struct {
	name string
	opts []kgo.Opt
}{
	{"acks 0, uncompressed", []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression())}},
	{"acks 1, gzip", []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.GzipCompression())}},
	{"acks all, snappy", []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.SnappyCompression())}},
	{"idempotent, lz4", []kgo.Opt{kgo.ProducerBatchCompression(kgo.Lz4Compression())}},
	{"idempotent, zstd", []kgo.Opt{kgo.ProducerBatchCompression(kgo.ZstdCompression())}},
}

// What was produced, in every way a client can produce, is consumed again:
// each record once, byte for byte, and in the order of its producer.
func TestRecordsComeBackByteForByte(t *testing.T) {
	overPaths(t, func(t *testing.T, n *node) {
		const topic = "records"
		share := recordsTotal / len(producers)
		var all sync.WaitGroup
		for i, p := range producers {
			c := n.client(p.opts...)
			all.Go(func() { n.produce(c, p.name, topic, i*share, (i+1)*share) })
		}
		all.Wait()
		n.expect(topic, share)
	})
}

func (n *node) produce(c *kgo.Client, name, topic string, from, to int) {
	ctx := n.context()
	for number := from; number < to; number++ {
		c.Produce(ctx, recordOf(topic, number), func(_ *kgo.Record, err error) {
			if err != nil {
				n.t.Errorf("%s: record %d: %v", name, number, err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		n.t.Errorf("%s: flush: %v", name, err)
	}
}

// expect consumes all records; those of one share stand in each partition in
// the order in which they were produced.
func (n *node) expect(topic string, share int) {
	n.t.Helper()
	type line struct {
		partition int32
		share     int
	}
	ctx := n.context()
	c := n.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := make([]bool, recordsTotal)
	last := make(map[line]int)
	for left := recordsTotal; left > 0; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			n.t.Fatalf("%d records are missing: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			number := numberOf(n.t, r)
			if seen[number] {
				n.t.Errorf("record %d came twice", number)
			}
			seen[number] = true
			left--
			at := line{r.Partition, number / share}
			if before, ok := last[at]; ok && before > number {
				n.t.Errorf("record %d came after %d", number, before)
			}
			last[at] = number
		})
	}
}
