package embedded

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The rest of a record batch's header (see recover_batch.go), big-endian.
const (
	batchRecordsAt = batchHeaderBytes

	batchCodec      = 0x07
	batchAppendTime = 0x08
)

const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// recordBatch is one whole batch as a producer sends it.
type recordBatch []byte

// wholeBatches goes through batches that lie one behind the other, up to one that is cut
// off or that can't be one.
func wholeBatches(batches []byte) iter.Seq2[batchHead, recordBatch] {
	return func(yield func(batchHead, recordBatch) bool) {
		for len(batches) >= batchHeaderBytes {
			h := readHead(batches)
			if h.bytes < batchHeaderBytes || h.bytes > int64(len(batches)) || !yield(h, recordBatch(batches[:h.bytes:h.bytes])) {
				return
			}
			batches = batches[h.bytes:]
		}
	}
}

// whole says that b is one batch with the right checksum. What is not is kfake's
// to refuse.
func (b recordBatch) whole() bool {
	return len(b) >= batchRecordsAt && b[batchMagicAt] == batchMagic &&
		int(binary.BigEndian.Uint32(b[batchLengthAt:])) == len(b)-batchBodyAt &&
		crc32.Checksum(b[batchAttributesAt:], castagnoli) == binary.BigEndian.Uint32(b[batchChecksumAt:])
}

func (b recordBatch) attributes() uint16 { return binary.BigEndian.Uint16(b[batchAttributesAt:]) }
func (b recordBatch) count() int         { return int(int32(binary.BigEndian.Uint32(b[batchRecordCountAt:]))) }
func (b recordBatch) codec() int         { return int(b.attributes() & batchCodec) }

func (b recordBatch) firstTimestamp() int64 {
	return int64(binary.BigEndian.Uint64(b[batchFirstTimeAt:]))
}

func (b recordBatch) maxTimestamp() int64 {
	return int64(binary.BigEndian.Uint64(b[batchMaxTimeAt:]))
}

// seal computes the checksum anew, after the header was changed.
func (b recordBatch) seal() {
	binary.BigEndian.PutUint32(b[batchChecksumAt:], crc32.Checksum(b[batchAttributesAt:], castagnoli))
}

// record is what is looked at of a record.
type record struct {
	timestampDelta int64
	keyed          bool
}

// decodedBytesMax is how many bytes of records one batch may hold once they are
// decompressed, where they are looked at: 16 MiB of zstd can be 16 GiB. Where memory is
// little it is less (decodedIn).
const decodedBytesMax = 128 << 20

// decodedPerKept is how much larger it is than what clients may leave behind, which is a
// sixty-fourth of the memory.
const decodedPerKept = 8

// decodedIn is decodedBytesMax for a cluster with so many bytes for what clients leave
// behind, and never less than a batch that is not compressed.
func decodedIn(kept, batch int64) int64 { return min(max(decodedPerKept*kept, batch), decodedBytesMax) }

// decodedTooLarge is the error of a batch that holds more than so many bytes.
type decodedTooLarge int64

func (most decodedTooLarge) Error() string {
	return fmt.Sprintf("the records of one batch are more than %d MiB when they are decompressed", most>>20)
}

// records calls f for each record of a batch, in its order, until f returns
// false. It holds no more than a block of the compressed records; all of them may
// have most bytes.
func (b recordBatch) records(most int64, f func(index int, r record) bool) error {
	decoded, done, err := decoder(b.codec(), b[batchRecordsAt:], most)
	if err != nil {
		return err
	}
	defer done()
	limited := &io.LimitedReader{R: decoded, N: most}
	in := bufio.NewReaderSize(limited, 4<<10)
	for i := range b.count() {
		r, err := readRecord(in)
		if err != nil {
			if limited.N == 0 {
				return decodedTooLarge(most)
			}
			return fmt.Errorf("record %d: %w", i, err)
		}
		if !f(i, r) {
			return nil
		}
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the last record (%w)", cmp.Or(err, errTrailing))
	}
	return nil
}

var errTrailing = errors.New("more than NumRecords")

// readRecord reads one record: its length, attributes, timestamp delta, offset
// delta and the length of its key (-1: none), and passes over the rest.
func readRecord(in *bufio.Reader) (record, error) {
	length, err := binary.ReadVarint(in)
	if err != nil {
		return record{}, err
	}
	counted := &countingReader{in: in}
	if _, err := counted.ReadByte(); err != nil {
		return record{}, err
	}
	var fields [3]int64 // timestamp delta, offset delta, key length
	for i := range fields {
		if fields[i], err = binary.ReadVarint(counted); err != nil {
			return record{}, err
		}
	}
	rest := length - counted.n
	if rest < 0 || length > math.MaxInt32 {
		return record{}, errors.New("its length is wrong")
	}
	if rest > decodedBytesMax {
		return record{}, decodedTooLarge(decodedBytesMax)
	}
	if _, err := in.Discard(int(rest)); err != nil {
		return record{}, err
	}
	return record{timestampDelta: fields[0], keyed: fields[2] >= 0}, nil
}

type countingReader struct {
	in *bufio.Reader
	n  int64
}

func (c *countingReader) ReadByte() (byte, error) {
	c.n++
	return c.in.ReadByte()
}

// decoder reads what a codec compressed, and holds no more than most bytes of it at once;
// done gives them back.
func decoder(codec int, compressed []byte, most int64) (decoded io.Reader, done func(), err error) {
	src := bytes.NewReader(compressed)
	nothing := func() {}
	switch codec {
	case codecNone:
		return src, nothing, nil
	case codecGzip:
		decoded, err = gzip.NewReader(src)
		return decoded, nothing, err
	case codecSnappy:
		return &snappyReader{rest: compressed, most: most}, nothing, nil
	case codecLZ4:
		return lz4.NewReader(src), nothing, nil
	case codecZstd:
		d, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(uint64(most)), zstd.WithDecoderMaxWindow(uint64(min(most, zstdWindowMax))))
		if err != nil {
			return nil, nil, err
		}
		return zstdReader{d, most}, d.Close, nil
	}
	return nil, nil, fmt.Errorf("there is no codec %d", codec)
}

// zstdReader says in our words that there is too much.
type zstdReader struct {
	*zstd.Decoder
	most int64
}

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.Decoder.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = decodedTooLarge(z.most)
	}
	return n, err
}

// zstdWindowMax is the largest window that the format's own library opens
// without being told to.
const zstdWindowMax = 128 << 20

// xerialMagic begins what Java compresses with snappy: a header of 16 bytes, then
// blocks, each behind its length. Other clients send one bare block.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeaderBytes = 16
	xerialLengthBytes = 4
)

// snappyReader decodes snappy block by block.
type snappyReader struct {
	rest    []byte // what is compressed
	most    int64  // of a block, decoded
	started bool
	framed  bool
	block   []byte // decoded and not read yet
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.block) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.block)
	s.block = s.block[n:]
	return n, nil
}

func (s *snappyReader) next() error {
	if !s.started {
		s.started = true
		if s.framed = len(s.rest) >= xerialHeaderBytes && bytes.HasPrefix(s.rest, xerialMagic); s.framed {
			s.rest = s.rest[xerialHeaderBytes:]
		}
	}
	if len(s.rest) == 0 {
		return io.EOF
	}
	block := s.rest
	if s.framed {
		if len(block) < xerialLengthBytes || uint64(binary.BigEndian.Uint32(block)) > uint64(len(block)-xerialLengthBytes) {
			return io.ErrUnexpectedEOF
		}
		block = block[xerialLengthBytes:][:binary.BigEndian.Uint32(block)]
		s.rest = s.rest[xerialLengthBytes:]
	}
	s.rest = s.rest[len(block):]
	if n, err := s2.DecodedLen(block); err != nil {
		return err
	} else if int64(n) > s.most {
		return decodedTooLarge(s.most)
	}
	var err error
	s.block, err = s2.Decode(nil, block)
	return err
}
