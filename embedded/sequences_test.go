package embedded

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A producer's batch has a sequence, as in Apache Kafka (LogValidator.validateBatch); where nobody
// produces by an id, none is asked for.
func TestAProducersNegativeSequenceIsRefused(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"orders", 1}}})
	for _, sequence := range []int32{-1, math.MinInt32} {
		for _, epoch := range []int16{-1, 0} {
			p := produced(t, c, "orders", 9, batchOf(7, epoch, sequence, false))
			if p.ErrorCode != kerr.InvalidRecord.Code || p.BaseOffset != -1 {
				t.Errorf("sequence %d, epoch %d: %v, offset %d", sequence, epoch, kerr.ErrorForCode(p.ErrorCode), p.BaseOffset)
			}
		}
	}
	p := produced(t, c, "orders", 9, batchOf(7, 0, -1, false))
	if got, want := text(p.ErrorMessage), "Invalid sequence number -1 in record batch with producerId 7"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	broken := batchOf(7, 0, -1, false)
	broken[len(broken)-1]++ // not what its checksum says
	for what, x := range map[string]struct {
		batch []byte
		want  int16
	}{
		"another's checksum": {broken, kerr.CorruptMessage.Code}, "nobody's": {batchOf(-1, -1, -1, false), 0}, "a first one": {batchOf(7, 0, 0, false), 0},
	} {
		if got := produced(t, c, "orders", 9, x.batch).ErrorCode; got != x.want {
			t.Errorf("%s: %v", what, kerr.ErrorForCode(got))
		}
	}
	if end := c.partitionInfo("orders", 0).HighWatermark; end != 2 {
		t.Errorf("%d records are stored, want 2", end)
	}
}

// It is refused in a transaction too, and the transaction goes on.
func TestANegativeSequenceIsRefusedInATransaction(t *testing.T) {
	c := openForTransactions(t)
	p := initialized(t, c, "txn")
	for _, version := range versionsFrom(t, c, kmsg.Produce, produceBegins) {
		if code := produceIn(t, c, version, p, -1); code != kerr.InvalidRecord.Code {
			t.Errorf("version %d: %v", version, kerr.ErrorForCode(code))
		}
	}
	if code := produceIn(t, c, produceBegins, p, 0); code != 0 {
		t.Error(kerr.ErrorForCode(code))
	}
	if code := end(t, c, 5, p, true); code != 0 {
		t.Error(kerr.ErrorForCode(code))
	}
}
