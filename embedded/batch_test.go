package embedded

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// oneRecord is a batch of one record, of no producer in particular.
func oneRecord(value string) []byte {
	return encodeBatch(kmsg.RecordBatch{ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1}, value)
}

// inTransaction is a producer's first batch of one record in a transaction.
func inTransaction(id int64, epoch int16) []byte {
	return encodeBatch(kmsg.RecordBatch{ProducerID: id, ProducerEpoch: epoch, Attributes: batchTransactional}, "x")
}

func encodeBatch(b kmsg.RecordBatch, value string) []byte {
	r := kmsg.Record{Value: []byte(value)}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // a length of less than 64 takes one byte
	b.PartitionLeaderEpoch, b.Magic, b.NumRecords, b.Records = -1, 2, 1, r.AppendTo(nil)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw
}
