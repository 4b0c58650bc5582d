package embedded

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
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

var errEncodedTooLarge = errors.New("the batch is larger than max.message.bytes in the codec of its topic")

// recompress is a batch with the codec that its topic asks for. As in Apache Kafka it may
// be too large then. It holds no more of the records at once than their codecs need.
func (r *topicRules) recompress(b recordBatch) (recordBatch, error) {
	decoded, done, err := decoder(b.codec(), b[batchRecordsAt:], r.decodedMax)
	if err != nil {
		return nil, err
	}
	defer done()
	out := &cappedBuffer{most: max(r.messageBytes, batchRecordsAt)}
	if _, err := out.Write(b[:batchRecordsAt]); err != nil {
		return nil, err
	}
	codec, records := codecs[r.codec], &io.LimitedReader{R: decoded, N: r.decodedMax + 1}
	if err := encode(out, codec, r.codecLevel, records); records.N == 0 {
		return nil, decodedTooLarge(r.decodedMax)
	} else if err != nil {
		return nil, err
	}
	changed := recordBatch(out.Bytes())
	binary.BigEndian.PutUint32(changed[batchLengthAt:], uint32(len(changed)-batchBodyAt))
	binary.BigEndian.PutUint16(changed[batchAttributesAt:], b.attributes()&^batchCodec|uint16(codec))
	changed.seal()
	return changed, nil
}

// cappedBuffer takes most bytes.
type cappedBuffer struct {
	bytes.Buffer
	most int
}

func (c *cappedBuffer) Write(p []byte) (int, error) {
	if c.Len()+len(p) > c.most {
		return 0, errEncodedTooLarge
	}
	return c.Buffer.Write(p)
}

// encode compresses what it reads; level is the codec's own, as compression.*.level has it.
func encode(out io.Writer, codec, level int, records io.Reader) error {
	switch codec {
	case codecNone:
		_, err := io.Copy(onlyWriter{out}, records)
		return err
	case codecSnappy: // one block
		all, err := io.ReadAll(records)
		if err == nil {
			_, err = out.Write(s2.EncodeSnappy(nil, all))
		}
		return err
	}
	w, err := encoder(out, codec, level)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, records)
	return cmp.Or(err, w.Close())
}

// onlyWriter hides that a buffer reads by itself, past its bound.
type onlyWriter struct{ io.Writer }

func encoder(out io.Writer, codec, level int) (io.WriteCloser, error) {
	switch codec {
	case codecGzip:
		return gzip.NewWriterLevel(out, level)
	case codecLZ4:
		w := lz4.NewWriter(out)
		return w, w.Apply(lz4.CompressionLevelOption(lz4Levels[min(level, len(lz4Levels))-1]))
	case codecZstd:
		return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	}
	return nil, fmt.Errorf("there is no codec %d", codec)
}

var lz4Levels = []lz4.CompressionLevel{
	lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
}
