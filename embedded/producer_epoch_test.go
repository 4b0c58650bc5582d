package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A batch with a producer id and the epoch -1 is stored whatever its sequence is, as in Apache Kafka
// (ProducerAppendInfo.checkSequence), before and after a restart. kfake keeps nothing of its producer,
// which takes no room, and for whose sake nothing is stored that nobody sent.
func TestAProducerWithoutAnEpochLeavesNothingBehind(t *testing.T) {
	cfg := Config{KeptBytesMax: 2 * roomInTests, DataDir: t.TempDir()}
	n := filledIn(t, "", cfg, 0, 1)
	sent := int64(0)
	for range 2 {
		step, conn := n.stepClock(), dial(t, n.addr)
		was := n.producersUsed()
		for i := range int64(20) {
			for _, sequence := range []int32{5, 3} {
				if code, _ := idempotent(t, conn, "full", 1000+i, -1, sequence); code != 0 {
					t.Fatalf("producer %d, sequence %d: %v", i, sequence, kerr.ErrorForCode(code))
				}
				sent++
			}
		}
		if used := n.producersUsed(); used != was {
			t.Errorf("%d bytes are used by producers of which kfake keeps nothing", used-was)
		}
		step(producerIdle)
		sent += int64(len(n.fillProducers(t, conn)))
		step(producerIdle)
		for range 20 {
			id, epoch := newProducer(t, conn)
			if code, _ := idempotent(t, conn, "full", id, epoch, 0); code != 0 {
				t.Fatal(kerr.ErrorForCode(code))
			}
			sent++
		}
		if end := n.cluster.partitionInfo("full", 0).HighWatermark; end != sent {
			t.Errorf("%d records are stored, and %d were sent", end, sent)
		}
		n.close()
		n = filledIn(t, "", cfg, 0, 1)
	}
}

// kfake makes a window of a producer that it has, though it refuses the batch, and the window counts.
func TestAWindowOfAProducerWithoutAnEpochCounts(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests}, 0, 1)
	mustCreate(t, n.cluster, "another")
	conn := dial(t, n.addr)
	if code, _ := idempotent(t, conn, "full", 7, 0, 0); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	if code, _ := idempotent(t, conn, "another", 7, -1, 0); code != kerr.InvalidProducerEpoch.Code {
		t.Fatal(kerr.ErrorForCode(code))
	}
	if used := n.producersUsed(); used != producerBytes+2*producerWindowBytes {
		t.Errorf("%d bytes are used", used)
	}
}
