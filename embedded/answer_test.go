package embedded

import (
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// answer is ask for a request that is answered.
func answer[Resp kmsg.Response](t *testing.T, c *Cluster, version int16, req kmsg.Request) Resp {
	t.Helper()
	req.SetVersion(version)
	kind, resp := ask(t, c, req)
	if kind != reqchan.AnswerSend {
		t.Fatalf("%s v%d was answered with %v", kmsg.NameForKey(req.Key()), version, kind)
	}
	return resp.(Resp)
}

// versionsFrom are the served versions of an API from first on.
func versionsFrom(t *testing.T, c *Cluster, key kmsg.Key, first int16) (versions []int16) {
	t.Helper()
	r, served := c.Versions().Range(int16(key))
	if !served {
		t.Fatalf("%s is not served", key.Name())
	}
	for v := max(r.Min, first); v <= r.Max; v++ {
		versions = append(versions, v)
	}
	return versions
}

// batchOf is a batch of one record.
func batchOf(producer int64, epoch int16, sequence int32, transactional bool) []byte {
	rec := kmsg.Record{Value: []byte("value")}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1)
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, NumRecords: 1, Records: rec.AppendTo(nil),
		ProducerID: producer, ProducerEpoch: epoch, FirstSequence: sequence,
	}
	if transactional {
		b.Attributes = batchTransactional
	}
	b.Length = int32(len(b.AppendTo(nil)) - batchBodyAt)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[batchAttributesAt:], castagnoli))
	return b.AppendTo(nil)
}

// producing is a Produce request of one batch for partition 0.
func producing(transaction *string, topic string, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = transaction, -1, 1000
	req.Topics = append(req.Topics, batchFor(topic, [16]byte{}, batch))
	return req
}

func batchFor(topic string, id [16]byte, batch []byte) kmsg.ProduceRequestTopic {
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	t.Topic, t.TopicID, p.Records = topic, id, batch
	t.Partitions = append(t.Partitions, p)
	return t
}
