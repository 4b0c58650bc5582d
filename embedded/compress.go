package embedded

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// codecs is what compression.type may ask for; "producer" is none of them.
var codecs = map[string]int{
	"uncompressed": codecNone, "gzip": codecGzip, "snappy": codecSnappy, "lz4": codecLZ4, "zstd": codecZstd,
}

// recompresses says that a topic wants another codec than a batch has.
func (r *topicRules) recompresses(b recordBatch) bool {
	codec, asked := codecs[r.codec]
	return asked && codec != b.codec()
}

// recompress is a batch with the codec that its topic asks for.
func (r *topicRules) recompress(b recordBatch) (recordBatch, error) {
	decoded, done, err := decoder(b.codec(), b[batchRecordsAt:])
	if err != nil {
		return nil, err
	}
	defer done()
	records, err := io.ReadAll(io.LimitReader(decoded, decodedBytesMax))
	switch {
	case err != nil:
		return nil, err
	case len(records) == decodedBytesMax:
		return nil, errDecodedTooLarge
	}
	codec := codecs[r.codec]
	encoded, err := encode(codec, r.codecLevel, records)
	if err != nil {
		return nil, err
	}
	changed := append(append(make(recordBatch, 0, batchRecordsAt+len(encoded)), b[:batchRecordsAt]...), encoded...)
	binary.BigEndian.PutUint32(changed[batchLengthAt:], uint32(len(changed)-batchBodyAt))
	binary.BigEndian.PutUint16(changed[batchAttributesAt:], b.attributes()&^batchCodec|uint16(codec))
	changed.seal()
	return changed, nil
}

// encode compresses records; level is the codec's own, as compression.*.level has
// it.
func encode(codec, level int, records []byte) ([]byte, error) {
	switch codec {
	case codecNone:
		return records, nil
	case codecSnappy:
		return s2.EncodeSnappy(nil, records), nil
	case codecZstd:
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
		if err != nil {
			return nil, err
		}
		defer w.Close()
		return w.EncodeAll(records, nil), nil
	}
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch codec {
	case codecGzip:
		w, err = gzip.NewWriterLevel(&out, level)
	case codecLZ4:
		lz := lz4.NewWriter(&out)
		w, err = lz, lz.Apply(lz4.CompressionLevelOption(lz4Levels[min(level, len(lz4Levels))-1]))
	default:
		err = fmt.Errorf("there is no codec %d", codec)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(records); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

var lz4Levels = []lz4.CompressionLevel{
	lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
}
