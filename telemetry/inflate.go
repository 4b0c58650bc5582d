package telemetry

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The codecs of the protocol. A push may have none, which is not announced.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
	codecMax = codecZstd
)

// codecs are those announced, in Kafka's order.
var codecs = []int8{codecZstd, codecLZ4, codecGzip, codecSnappy}

// errTooLarge: a payload is longer than it may be once it is inflated.
var errTooLarge = errors.New("telemetry: the payload is too long when it is decompressed")

// inflatedKept is how much memory an inflater keeps between two payloads.
const inflatedKept = 256 << 10

// zstdWindowMax bounds the window of a zstd stream, which its header chooses.
const zstdWindowMax = 8 << 20

// inflater decompresses payloads, one at a time, into memory that the next one is written over.
type inflater struct {
	out bytes.Buffer
	in  bytes.Reader
}

// inflate decompresses payload into at most most bytes: they are valid until the next call.
func (f *inflater) inflate(codec int8, payload []byte, most int) ([]byte, error) {
	if codec == codecNone {
		return payload, nil
	}
	if f.out.Cap() > inflatedKept {
		f.out = bytes.Buffer{}
	}
	f.out.Reset()
	f.in.Reset(payload)
	if codec == codecSnappy {
		return f.snappy(payload, most)
	}
	from, end, err := f.stream(codec)
	if err != nil {
		return nil, err
	}
	defer end()
	n, err := io.Copy(&f.out, io.LimitReader(from, int64(most)+1))
	if n > int64(most) {
		return nil, errTooLarge
	}
	return f.out.Bytes(), err
}

func (f *inflater) stream(codec int8) (from io.Reader, end func(), err error) {
	switch codec {
	case codecGzip:
		from, err = gzip.NewReader(&f.in)
	case codecLZ4:
		from = lz4.NewReader(&f.in)
	default:
		z, err := zstd.NewReader(&f.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowMax))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return from, func() {}, err
}

// xerialMagic begins what Java's snappy writes: a version and a compatible version follow, and
// blocks, each behind its length.
var xerialMagic = []byte("\x82SNAPPY\x00")

const xerialHeaderBytes = 16

// snappy inflates a block, or Java's stream of blocks. Their lengths are said in front of them,
// and compared with what there may be before anything is allocated.
func (f *inflater) snappy(payload []byte, most int) ([]byte, error) {
	if !bytes.HasPrefix(payload, xerialMagic) {
		err := f.snappyBlock(payload, most)
		return f.out.Bytes(), err
	}
	if len(payload) < xerialHeaderBytes {
		return nil, io.ErrUnexpectedEOF
	}
	for left := payload[xerialHeaderBytes:]; len(left) > 0; {
		if len(left) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(left)
		if left = left[4:]; uint64(n) > uint64(len(left)) {
			return nil, io.ErrUnexpectedEOF
		}
		if err := f.snappyBlock(left[:n], most); err != nil {
			return nil, err
		}
		left = left[n:]
	}
	return f.out.Bytes(), nil
}

func (f *inflater) snappyBlock(block []byte, most int) error {
	n, err := s2.DecodedLen(block)
	switch {
	case err != nil:
		return fmt.Errorf("snappy: %w", err)
	case n > most-f.out.Len():
		return errTooLarge
	}
	f.out.Grow(n)
	to := f.out.AvailableBuffer()
	if to, err = s2.Decode(to[:0:cap(to)], block); err != nil {
		return fmt.Errorf("snappy: %w", err)
	}
	_, err = f.out.Write(to)
	return err
}
