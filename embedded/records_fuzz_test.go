package embedded

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A batch is judged, whatever bytes a producer sends, and what is stored instead of
// it is a whole one.
func FuzzBatch(f *testing.F) {
	batch := produceOf("orders", 40).Topics[0].Partitions[0].Records
	for codec := range len(codecs) {
		f.Add(uint8(codec), batch)
		seed := append(recordBatch(nil), batch...)
		seed[batchAttributesAt+1] |= byte(codec)
		f.Add(uint8(codec+1), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, to uint8, sent []byte) {
		if len(sent) < batchRecordsAt {
			return
		}
		b := append(recordBatch(nil), sent...)
		b[batchMagicAt] = batchMagic
		binary.BigEndian.PutUint32(b[batchLengthAt:], uint32(len(b)-batchBodyAt))
		b.seal()
		rules := &topicRules{keyed: to&8 != 0, appendTime: to&16 != 0, messageBytes: 1 << 20, codecLevel: 1}
		for name, codec := range codecs {
			if codec == int(to)%len(codecs) {
				rules.codec = name
			}
		}
		answer := kmsg.NewProduceResponseTopicPartition()
		changed, refused := rules.judge(b, time.Now().UnixMilli(), "orders", &answer)
		if refused != (answer.ErrorCode != 0) {
			t.Errorf("refused: %v, with error %d", refused, answer.ErrorCode)
		}
		if changed != nil && !changed.whole() {
			t.Error("what is stored is not whole")
		}
		showAppendTimeOf(b)
	})
}
