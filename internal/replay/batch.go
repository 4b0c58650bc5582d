package replay

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"kring/record"
)

// Places in a record batch.
const (
	batchHeadBytes = 61
	batchLengthEnd = 12
	batchMagicAt   = 16
	batchCRCAt     = 17
	batchAttrsAt   = 21
	batchDeltaAt   = 23
	batchTimeAt    = 27
	batchMaxTimeAt = 35
	batchOwnerAt   = 43 // producer id, epoch and first sequence: 14 bytes of ones are none
	batchCountAt   = 57

	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// filler is what the values of made-up records are: it does not compress well, as most data that
// is sent compressed.
var filler = func() []byte {
	b := make([]byte, 1<<16)
	x := uint64(88172645463325252)
	for i := range b { // xorshift
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}()

// recordBytesMin is the least that a made-up record takes.
const recordBytesMin = 7

// appendBatch appends a batch of as many bytes as b, with as many records where so many fit: those of a batch
// that was compressed may not. It is not compressed itself.
func appendBatch(dst []byte, b record.Batch, now time.Time) []byte {
	at := len(dst)
	room := max(b.Bytes-batchHeadBytes, recordBytesMin)
	count := min(max(b.Records, 1), max(room/(recordBytesMin+2), 1))
	dst = append(dst, make([]byte, batchHeadBytes)...)
	left := room
	for i := range count {
		share := left / (count - i)
		if i == count-2 { // of two there is always a pair that fills it
			for ; share > recordBytesMin && !fills(i+1, left-fitting(i, share)); share-- {
			}
		}
		was := len(dst)
		dst = appendRecord(dst, i, share)
		left -= len(dst) - was
	}
	head := dst[at:]
	head[batchMagicAt] = 2
	binary.BigEndian.PutUint32(head[batchDeltaAt:], uint32(count-1))
	binary.BigEndian.PutUint64(head[batchTimeAt:], uint64(now.UnixMilli()))
	binary.BigEndian.PutUint64(head[batchMaxTimeAt:], uint64(now.UnixMilli()))
	binary.BigEndian.PutUint32(head[batchCountAt:], uint32(count))
	seal(head)
	return dst
}

// seal writes length, no producer, and the checksum of a batch.
func seal(batch []byte) {
	binary.BigEndian.PutUint32(batch[batchLengthEnd-4:], uint32(len(batch)-batchLengthEnd))
	for i := batchOwnerAt; i < batchCountAt; i++ {
		batch[i] = 0xff
	}
	binary.BigEndian.PutUint32(batch[batchCRCAt:], crc32.Checksum(batch[batchAttrsAt:], castagnoli))
}

// appendRecord appends record i of a batch, of size bytes where that can be, and else of some
// less: no record has 65, because its length would need another byte.
func appendRecord(dst []byte, i, size int) []byte {
	delta, value := shape(i, fitting(i, size))
	return putRecord(dst, i, delta, value)
}

// fitting is the size of a record of size bytes, or the nearest below it that there is.
func fitting(i, size int) int {
	for ; size > recordBytesMin && !fills(i, size); size-- {
	}
	return size
}

// fills says that record i can have size bytes.
func fills(i, size int) bool {
	_, value := shape(i, size)
	return value >= 0
}

// shape is the record i of size bytes: what its time adds, and how long its value is; -1 if there is
// none.
func shape(i, size int) (delta int64, value int) {
	// A value whose length needs another byte leaves sizes out; a longer time fills them.
	for _, delta := range []int64{0, 64, 8192} {
		if value := valueOf(i, delta, size); value >= 0 {
			return delta, value
		}
	}
	return 0, -1
}

// valueOf is how long the value of a record of exactly size bytes is; -1 if there is none.
func valueOf(i int, delta int64, size int) int {
	for value := size - recordBytesMin; value >= max(0, size-40); value-- {
		if recordSize(i, delta, value) == size {
			return value
		}
	}
	return -1
}

func recordBody(i int, delta int64, value int) int {
	return 3 + varintBytes(delta) + varintBytes(int64(i)) + varintBytes(int64(value)) + value
}

func recordSize(i int, delta int64, value int) int {
	body := recordBody(i, delta, value)
	return varintBytes(int64(body)) + body
}

func varintBytes(v int64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutVarint(b[:], v)
}

func putRecord(dst []byte, i int, delta int64, value int) []byte {
	value = max(value, 0)
	dst = binary.AppendVarint(dst, int64(recordBody(i, delta, value)))
	dst = binary.AppendVarint(append(dst, 0), delta) // attributes
	dst = binary.AppendVarint(dst, int64(i))
	dst = binary.AppendVarint(dst, -1) // no key
	dst = binary.AppendVarint(dst, int64(value))
	for value > 0 {
		n := min(value, len(filler))
		dst = append(dst, filler[:n]...)
		value -= n
	}
	return append(dst, 0) // no headers
}

// newerFormat is why records are not played that are in no format of Kafka's.
const newerFormat = "its message format is none that is known: those are 0 to 2"

// disown takes producer and transaction out of whole batches, in place; "" or why it can't.
func disown(records []byte) string {
	for _, b := range record.BatchesOf(records) {
		size := b.Bytes
		switch attrs := b.Attributes; {
		case b.Magic != 2:
			return "its message format is older than record batches"
		case attrs&attrControl != 0:
			return "it is of a transaction's end"
		default:
			binary.BigEndian.PutUint16(records[batchAttrsAt:], uint16(attrs&^attrTransactional))
		}
		seal(records[:size])
		records = records[size:]
	}
	switch {
	case len(records) > batchMagicAt && records[batchMagicAt] > 2:
		return newerFormat
	case len(records) > 0:
		return "its records can't be read"
	}
	return ""
}
