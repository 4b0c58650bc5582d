package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicRules is what a topic's settings, and the broker's behind them, ask of
// those who produce to it and of retention.
type topicRules struct {
	keyed         bool // compacted: every record needs a key
	expires       bool // retention applies
	appendTime    bool // records get the time at which they come
	afterMillis   int64
	beforeMillis  int64
	retainMillis  int64 // negative: without end
	retainBytes   int64 // negative: without bound
	messageBytes  int
	codec         string // compression.type
	codecLevel    int
	segmentsBytes int64
	decodedMax    int64 // bytes of a batch's records, decompressed
}

// recordErrorsMax is how many records of a batch are named in an answer.
const recordErrorsMax = 1000

// noTimestamp is the timestamp of a record that has none.
const noTimestamp = -1

// zstdFrom is the first version of Produce whose batches may have zstd: who reads
// with an older client can't.
const zstdFrom = 7

// formatFault says what is wrong with the bytes of a batch.
func (r *topicRules) formatFault(b recordBatch, version int16) *refusal {
	switch {
	case b == nil:
		return nil // kfake says so
	case len(b) < batchRecordsAt:
		return refuse(kerr.InvalidRecord.Code, fmt.Sprintf("There is no batch of records in %d bytes.", len(b)))
	case b[batchMagicAt] > batchMagic:
		return nil // kfake says that it is corrupt
	case b[batchMagicAt] != batchMagic:
		return refuse(kerr.InvalidRecord.Code, fmt.Sprintf("The records have the format %d; only 2 is known.", b[batchMagicAt]))
	case len(b) != batchBodyAt+int(binary.BigEndian.Uint32(b[batchLengthAt:])):
		return refuse(kerr.InvalidRecord.Code, "A partition has one whole batch in a request.")
	case b.codec() == codecZstd && version < zstdFrom:
		return refuse(kerr.UnsupportedCompressionType.Code, fmt.Sprintf("Produce requests with version %d are not allowed to use ZStandard compression", version))
	case len(b) > r.messageBytes:
		return refuse(kerr.MessageTooLarge.Code, fmt.Sprintf("The batch has %d bytes; max.message.bytes is %d.", len(b), r.messageBytes))
	}
	if h := readHead(b); h.producer >= 0 && h.sequence < 0 && b.whole() {
		return refuse(kerr.InvalidRecord.Code, fmt.Sprintf("Invalid sequence number %d in record batch with producerId %d", h.sequence, h.producer))
	}
	return nil
}

// concerns says that a batch has to be looked at. Most batches do not: it reads
// the header only.
func (r *topicRules) concerns(b recordBatch, now int64) bool {
	if len(b) < batchRecordsAt {
		return false
	}
	return r.keyed || r.appendTime || b.attributes()&batchAppendTime != 0 || r.beforeMillis != math.MaxInt64 ||
		b.maxTimestamp()-now > r.afterMillis || r.recompresses(b)
}

// judge says whether a batch must not be stored, and why in answer; else what it
// is stored as, nil for what it is.
func (r *topicRules) judge(b recordBatch, now int64, topic string, answer *kmsg.ProduceResponseTopicPartition) (changed recordBatch, refused bool) {
	if r.refuse(b, now, topic, answer) {
		return nil, true
	}
	if r.recompresses(b) {
		var err error
		if changed, err = r.recompress(b); err != nil {
			refuseUndecoded(answer, err)
			return nil, true
		}
		b = changed
	}
	if retimed := r.rewrite(b, now); retimed != nil {
		changed = retimed
	}
	return changed, false
}

// refuseUndecoded answers a batch whose records can't be read.
func refuseUndecoded(answer *kmsg.ProduceResponseTopicPartition, err error) {
	answer.ErrorCode, answer.ErrorMessage = kerr.CorruptMessage.Code, kmsg.StringPtr(err.Error())
	if _, large := errors.AsType[decodedTooLarge](err); large || errors.Is(err, errEncodedTooLarge) {
		answer.ErrorCode = kerr.MessageTooLarge.Code
	}
}

// refuse says whether a batch must not be stored, and why in answer.
func (r *topicRules) refuse(b recordBatch, now int64, topic string, answer *kmsg.ProduceResponseTopicPartition) bool {
	if r.appendTime && b.attributes()&batchAppendTime != 0 {
		r.refuseRecords(answer, kerr.InvalidTimestamp, []recordError{{0,
			"Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime."}})
		return true
	}
	timed := !r.appendTime && (r.beforeMillis != math.MaxInt64 || b.maxTimestamp()-now > r.afterMillis)
	if !timed && !r.keyed {
		return false
	}
	var late, keyless []recordError
	err := b.records(r.decodedMax, func(i int, rec record) bool {
		at := b.firstTimestamp() + rec.timestampDelta
		if timed && at != noTimestamp && (now-at > r.beforeMillis || at-now > r.afterMillis) {
			late = append(late, recordError{i, fmt.Sprintf("Timestamp %d of message with offset %d is out of range. "+
				"The timestamp should be within [%d, %d]", at, i, now-r.beforeMillis, saturated(now, r.afterMillis))})
		}
		if r.keyed && !rec.keyed {
			keyless = append(keyless, recordError{i, fmt.Sprintf(
				"Compacted topic cannot accept message without key in topic partition %s-%d", topic, answer.Partition)})
		}
		return len(late) < recordErrorsMax && len(keyless) < recordErrorsMax
	})
	switch {
	case err != nil:
		refuseUndecoded(answer, err)
	case len(late) > 0:
		r.refuseRecords(answer, kerr.InvalidTimestamp, late)
	case len(keyless) > 0:
		r.refuseRecords(answer, kerr.InvalidRecord, keyless)
	default:
		return false
	}
	return true
}

// saturated is a+b, or the largest number.
func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// recordError is what is wrong with one record of a batch.
type recordError struct {
	index int
	text  string
}

// refuseRecords answers a batch for what is wrong with its records. Versions that
// can't name them have the error alone.
func (r *topicRules) refuseRecords(answer *kmsg.ProduceResponseTopicPartition, why *kerr.Error, records []recordError) {
	message := "One or more records have been rejected due to invalid timestamp"
	if why == kerr.InvalidRecord {
		message = fmt.Sprintf("One or more records have been rejected due to %d record errors in total, "+
			"and only showing the first three errors at most: %s", len(records), firstThree(records))
	}
	answer.ErrorCode, answer.ErrorMessage = why.Code, &message
	for _, e := range records {
		named := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		named.RelativeOffset, named.ErrorMessage = int32(e.index), kmsg.StringPtr(e.text)
		answer.ErrorRecords = append(answer.ErrorRecords, named)
	}
}

func firstThree(records []recordError) string {
	text := "["
	for i, e := range records[:min(len(records), 3)] {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", e.index, e.text)
	}
	return text + "]"
}

// rewrite gives a batch the time at which it came, where the topic asks for that,
// and takes from the producer the right to say that it has it; nil: it stays as
// it is.
func (r *topicRules) rewrite(b recordBatch, now int64) recordBatch {
	attributes := b.attributes() &^ (batchAppendTime | stamped)
	if r.appendTime {
		attributes |= stamped
	}
	if attributes == b.attributes() && !r.appendTime {
		return nil
	}
	changed := append(recordBatch(nil), b...) // the client's bytes stay as they came
	binary.BigEndian.PutUint16(changed[batchAttributesAt:], attributes)
	if r.appendTime {
		binary.BigEndian.PutUint64(changed[batchFirstTimeAt:], uint64(now))
		binary.BigEndian.PutUint64(changed[batchMaxTimeAt:], uint64(now))
	}
	changed.seal()
	return changed
}
