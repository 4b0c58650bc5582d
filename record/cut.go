package record

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A record batch (format 2) and its header, and a message of an older message set (formats 0
// and 1) up to its attributes. Both begin with an offset, and their length behind these 12
// bytes.
const (
	batchHeadBytes   = 61
	messageHeadBytes = 18
	lengthEndsAt     = 12
	magicAt          = 16
	crcAt            = 17
	crcBytes         = 4
	magicMax         = 2 // the newest format
)

// cutProduce keeps of a Produce request all but its records: of each batch its header remains,
// which says how large it is and how many records it has. The body is valid. false: what remains does not
// fit. It is asked before anything is copied: messages of older sets may be little more than their headers.
func cutProduce(b []byte, version int16, body []byte, fits func(int) bool) (kept []byte, form Form, ok bool) {
	q := kmsg.NewPtrProduceRequest()
	q.Version = version
	if q.ReadFrom(body) != nil {
		return b, NoBody, true
	}
	size := len(body)
	for i := range q.Topics {
		for k := range q.Topics[i].Partitions {
			records := q.Topics[i].Partitions[k].Records
			size += cutBytes(records) - len(records)
		}
	}
	if !fits(size) {
		return b, NoBody, false
	}
	for i := range q.Topics {
		for k := range q.Topics[i].Partitions {
			p := &q.Topics[i].Partitions[k]
			p.Records = cutBatches(p.Records)
		}
	}
	return q.AppendTo(slices.Grow(b, size)), Cut, true
}

// headOf says how much of the first batch is its header, and how large it is; no bytes: it is none.
func headOf(records []byte) (head, size int) {
	if len(records) <= magicAt || records[magicAt] > magicMax {
		return 0, 0 // of no format that there is: it may be anything
	}
	bytes := lengthEndsAt + int64(int32(binary.BigEndian.Uint32(records[lengthEndsAt-4:])))
	head = batchHeadBytes
	if records[magicAt] < 2 {
		head = messageHeadBytes
	}
	if bytes < int64(head) || bytes > int64(len(records)) {
		return 0, 0
	}
	return head, int(bytes)
}

// cutBytes is how many bytes cutBatches keeps.
func cutBytes(records []byte) (n int) {
	for head, size := headOf(records); head > 0; head, size = headOf(records) {
		n, records = n+head, records[size:]
	}
	return n
}

// cutBatches keeps the headers of batches. What is no batch is left out. The checksum is of the
// records, and could tell which short ones they are: it is left out.
func cutBatches(records []byte) []byte {
	if records == nil {
		return nil
	}
	kept := make([]byte, 0, cutBytes(records))
	for head, size := headOf(records); head > 0; head, size = headOf(records) {
		kept = append(kept, records[:head]...)
		crc := lengthEndsAt // behind the length: checksum, then the format
		if records[magicAt] >= 2 {
			crc = crcAt
		}
		clear(kept[len(kept)-head+crc:][:crcBytes])
		records = records[size:]
	}
	return kept
}

// Batch is what a record batch's header says of it.
type Batch struct {
	Bytes   int // the whole of it
	Records int // in it; 1 for a message of an older message set
	Magic   int8
	// Attributes are those of the batch: compression in the lowest three bits.
	Attributes int16
	// FirstTimestamp is in milliseconds since 1970.
	FirstTimestamp int64
}

// BatchesOfCut reads what is left of the batches of a partition of a Produce request whose Form is
// Cut.
func BatchesOfCut(records []byte) (all []Batch) {
	for len(records) > magicAt {
		var b Batch
		if b, records = cutBatch(records); b.Bytes == 0 {
			break
		}
		all = append(all, b)
	}
	return all
}

// BatchesOf reads what the batches of a partition of a Produce request say of themselves. It ends
// at what is none.
func BatchesOf(records []byte) (all []Batch) {
	for len(records) > magicAt {
		b, _ := cutBatch(records)
		if b.Bytes == 0 || b.Bytes > len(records) {
			break
		}
		all, records = append(all, b), records[b.Bytes:]
	}
	return all
}

// cutBatch reads the first; one of no bytes is none.
func cutBatch(records []byte) (b Batch, rest []byte) {
	b = Batch{Records: 1, Magic: int8(records[magicAt])}
	head := batchHeadBytes
	if b.Magic < 2 {
		head = messageHeadBytes
	}
	size := lengthEndsAt + int64(int32(binary.BigEndian.Uint32(records[lengthEndsAt-4:])))
	if records[magicAt] > magicMax || len(records) < head || size < int64(head) || size > entryBytesMax {
		return Batch{}, nil
	}
	b.Bytes = int(size)
	if b.Magic >= 2 {
		b.Attributes = int16(binary.BigEndian.Uint16(records[21:]))
		b.FirstTimestamp = int64(binary.BigEndian.Uint64(records[27:]))
		b.Records = int(int32(binary.BigEndian.Uint32(records[57:])))
	}
	return b, records[head:]
}
