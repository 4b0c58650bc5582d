package replay

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/record"
)

var moment = time.UnixMilli(1_700_000_000_000)

// TestMadeUpBatchesHaveTheRecordedSizeAndCount, to the byte: for each size from the least that so
// many records take.
func TestMadeUpBatchesHaveTheRecordedSizeAndCount(t *testing.T) {
	for _, count := range []int{1, 2, 3, 70, 9000} {
		least := batchHeadBytes + count*(recordBytesMin+2)
		sizes := []int{least, least + 5000, least + 70_000}
		for extra := range 600 / count {
			sizes = append(sizes, least+extra)
		}
		if count == 1 {
			for extra := range 100 {
				sizes = append(sizes, 8150+batchHeadBytes+extra)
			}
		}
		for _, size := range sizes {
			want := size
			if one := size - batchHeadBytes; count == 1 && (one == 65 || one == 8194) {
				want-- // no record has that size
			}
			demandBatch(t, record.Batch{Bytes: size, Records: count, Attributes: 4, Magic: 2}, want, count)
			if t.Failed() {
				return
			}
		}
	}
}

// TestABatchThatWasCompressedKeepsItsSize: not so many records fit.
func TestABatchThatWasCompressedKeepsItsSize(t *testing.T) {
	demandBatch(t, record.Batch{Bytes: 161, Records: 1000, Attributes: 1, Magic: 2}, 161, 11)
	demandBatch(t, record.Batch{Bytes: 61, Records: 0, Magic: 2}, 68, 1)
	demandBatch(t, record.Batch{Bytes: 200, Records: -5, Magic: 0}, 200, 1)
}

func demandBatch(t *testing.T, b record.Batch, size, count int) {
	t.Helper()
	made := appendBatch(nil, b, moment)
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(made); err != nil {
		t.Fatal(err)
	}
	if len(made) != size || int(batch.NumRecords) != count || batch.Attributes != 0 || batch.ProducerID != -1 || batch.ProducerEpoch != -1 || batch.FirstSequence != -1 {
		t.Errorf("%+v: %d bytes, %d records, attributes %d, producer %d; want %d and %d", b, len(made), batch.NumRecords, batch.Attributes, batch.ProducerID, size, count)
	}
	left := batch.Records
	for i := range batch.NumRecords {
		var r kmsg.Record
		if err := r.ReadFrom(left); err != nil || r.OffsetDelta != i {
			t.Fatalf("%+v: record %d: %v, offset %d", b, i, err, r.OffsetDelta)
		}
		left = left[len(r.AppendTo(nil)):]
	}
	if len(left) > 0 {
		t.Errorf("%+v: %d bytes behind the records", b, len(left))
	}
}

// TestProducersAndTransactionsAreTakenOutOfWholeBatches, and the records stay.
func TestProducersAndTransactionsAreTakenOutOfWholeBatches(t *testing.T) {
	one := appendBatch(nil, record.Batch{Bytes: 300, Records: 3, Magic: 2}, moment)
	owned := bytes.Clone(one)
	owned[batchAttrsAt+1] |= attrTransactional
	copy(owned[batchOwnerAt:], []byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 0, 0, 7})
	both := append(owned, one...)
	if why := disown(both); why != "" || !bytes.Equal(both, append(bytes.Clone(one), one...)) {
		t.Errorf("%q", why)
	}
	end := bytes.Clone(one)
	end[batchAttrsAt+1] |= attrControl
	if disown(end) == "" || disown(one[:100]) == "" || disown(nil) != "" {
		t.Error("what can't be played is")
	}
}
