package embedded

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
)

// The start of a record batch, big-endian (Kafka's message format 2). The
// checksum covers what follows it; the five fields before it are not covered.
const (
	batchHeaderBytes     = 61
	batchLengthAt        = 8
	batchBodyAt          = 12 // the length counts from here
	batchLeaderEpochAt   = 12
	batchMagicAt         = 16
	batchChecksumAt      = 17
	batchAttributesAt    = 21
	batchLastDeltaAt     = 23
	batchFirstTimeAt     = 27
	batchMaxTimeAt       = 35
	batchProducerAt      = 43
	batchProducerEpochAt = 51
	batchSequenceAt      = 53
	batchRecordCountAt   = 57

	batchMagic         = 2
	batchTransactional = 0x10
	batchControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batchHead is the header of a record batch.
type batchHead struct {
	offset        int64
	bytes         int64 // of the whole batch
	leaderEpoch   int32
	magic         byte
	checksum      uint32
	attributes    uint16
	lastDelta     int32
	firstTime     int64 // milliseconds since 1970
	producer      int64 // -1: none
	producerEpoch int16
	sequence      int32
}

func readHead(b []byte) batchHead {
	return batchHead{
		offset:        int64(binary.BigEndian.Uint64(b)),
		bytes:         batchBodyAt + int64(binary.BigEndian.Uint32(b[batchLengthAt:])),
		leaderEpoch:   int32(binary.BigEndian.Uint32(b[batchLeaderEpochAt:])),
		magic:         b[batchMagicAt],
		checksum:      binary.BigEndian.Uint32(b[batchChecksumAt:]),
		attributes:    binary.BigEndian.Uint16(b[batchAttributesAt:]),
		lastDelta:     int32(binary.BigEndian.Uint32(b[batchLastDeltaAt:])),
		firstTime:     int64(binary.BigEndian.Uint64(b[batchFirstTimeAt:])),
		producer:      int64(binary.BigEndian.Uint64(b[batchProducerAt:])),
		producerEpoch: int16(binary.BigEndian.Uint16(b[batchProducerEpochAt:])),
		sequence:      int32(binary.BigEndian.Uint32(b[batchSequenceAt:])),
	}
}

// next is the offset after the batch.
func (h *batchHead) next() int64 { return h.offset + int64(h.lastDelta) + 1 }

func (h *batchHead) control() bool { return h.attributes&batchControl != 0 }

// uncommitted says that the batch belongs to a transaction, whose end is a
// control batch.
func (h *batchHead) uncommitted() bool {
	return h.attributes&(batchTransactional|batchControl) == batchTransactional
}

// The index has one entry per batch: version, checksum, leader epoch, greatest
// timestamp so far (kfake computes that one anew) and flags, little-endian.
const (
	indexEntryBytes   = 15
	indexEntryVersion = 1
	indexEpochAt      = 2
	indexInTxn        = 1
)

func indexEntry(h *batchHead) []byte {
	e := make([]byte, indexEntryBytes)
	e[0] = indexEntryVersion
	binary.LittleEndian.PutUint32(e[indexEpochAt:], uint32(h.leaderEpoch))
	if h.uncommitted() {
		e[14] = indexInTxn
	}
	e[1] = byte(crc32.Checksum(e[indexEpochAt:], castagnoli))
	return e
}

// indexEpoch is the leader epoch of an entry, if the entry is sound.
func indexEpoch(e []byte) (epoch int32, ok bool) {
	if len(e) < indexEntryBytes || e[0] != indexEntryVersion || byte(crc32.Checksum(e[indexEpochAt:indexEntryBytes], castagnoli)) != e[1] {
		return 0, false
	}
	return int32(binary.LittleEndian.Uint32(e[indexEpochAt:])), true
}

// windowBytes is how much of a segment is in memory at a time.
const windowBytes = 256 << 10

// window reads a file through a bounded buffer.
type window struct {
	file *os.File
	size int64
	at   int64  // where held begins in the file
	held []byte // of mem
	mem  []byte
}

func newWindow(file *os.File, size int64, mem []byte) *window {
	return &window{file: file, size: size, mem: mem}
}

// take is n bytes of the file, at most windowBytes, valid until the next take.
func (w *window) take(at int64, n int) ([]byte, error) {
	if at >= w.at && at+int64(n) <= w.at+int64(len(w.held)) {
		return w.held[at-w.at:][:n], nil
	}
	got, err := w.file.ReadAt(w.mem[:min(int64(len(w.mem)), w.size-at)], at)
	w.at, w.held = at, w.mem[:got]
	if got >= n {
		return w.held[:n], nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// ahead is how many bytes from at on take can give without reading.
func (w *window) ahead(at int64) int64 {
	if at < w.at {
		return 0
	}
	return max(0, w.at+int64(len(w.held))-at)
}

// checksum is the CRC-32C of n bytes of the file.
func (w *window) checksum(at, n int64) (uint32, error) {
	sum := uint32(0)
	for n > 0 {
		some := min(n, w.ahead(at))
		if some == 0 {
			some = min(n, int64(len(w.mem)))
		}
		b, err := w.take(at, int(some))
		if err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, b)
		at, n = at+some, n-some
	}
	return sum, nil
}
