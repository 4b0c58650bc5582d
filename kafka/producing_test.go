package kafka

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// namedTopics knows the names of ids.
type namedTopics map[[16]byte]string

func (n namedTopics) TopicName(id [16]byte) string { return n[id] }

// produceOf is a request that writes a batch of 3 records into two partitions.
func produceOf(version int16, topic, transactional string, producerID int64) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = version, -1
	if transactional != "" {
		req.TransactionID = &transactional
	}
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, topicID(topic)
	for p := range int32(2) {
		batch := kmsg.RecordBatch{Magic: 2, LastOffsetDelta: 2, NumRecords: 3, ProducerID: producerID, ProducerEpoch: 4, Records: make([]byte, 20)}
		batch.Length = 20 + batchHeaderBytes - 12
		part := kmsg.NewProduceRequestTopicPartition()
		part.Partition, part.Records = p, batch.AppendTo(nil)
		t.Partitions = append(t.Partitions, part)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// TestWhoProducesIsRemembered, in every version of the request.
func TestWhoProducesIsRemembered(t *testing.T) {
	door := NewFilter(everything(t), &recorder{})
	door.Producers = &Producers{Topics: namedTopics{topicID("orders"): "orders"}}
	c := newClient(t, door)
	var sent uint64
	for version := int16(3); version <= describe(keyProduce).max; version++ {
		c.send(framePayload(produceOf(version, "orders", "tx", 77), 1, "billing"))
		sent++
		all, forgotten := door.Producers.All()
		if forgotten != 0 || len(all) == 0 {
			t.Fatalf("version %d: %d producers, %d forgotten", version, len(all), forgotten)
		}
		var requests, batches, records, bytes uint64
		for _, p := range all {
			if p.Conn != c.conn || p.Conn.ClientID() != "billing" || p.Topic != "orders" || p.TransactionalID != "tx" || p.ProducerID != 77 || p.ProducerEpoch != 4 ||
				p.Acks != -1 || p.Partitions != 2 || p.Last.Before(p.First) {
				t.Errorf("version %d: %+v", version, p)
			}
			requests, batches, records, bytes = requests+p.Requests, batches+p.Batches, records+p.Records, bytes+p.Bytes
		}
		if requests != sent || batches != 2*sent || records != 6*sent || bytes != 2*sent*81 {
			t.Errorf("version %d: %d requests, %d batches, %d records, %d bytes", version, requests, batches, records, bytes)
		}
	}
	door.Producers.Topics = nil
	all, _ := door.Producers.All()
	topics := []string{all[0].Topic, all[len(all)-1].Topic}
	slices.Sort(topics)
	id := topicID("orders")
	want := []string{"orders", base64.RawURLEncoding.EncodeToString(id[:])}
	if slices.Sort(want); len(all) != 2 || !slices.Equal(topics, want) {
		t.Errorf("without names: %+v, want the topics %q", all, want)
	}
}

// TestProducersAreBounded, however many topics and connections there are; the ones that
// wrote last are kept.
func TestProducersAreBounded(t *testing.T) {
	door := NewFilter(everything(t), &recorder{})
	door.Producers = &Producers{}
	c := newClient(t, door)
	for i := range 3 * producingMax {
		c.conn = &reqchan.Conn{ID: reqchan.ConnID{Index: uint64(i)}}
		c.send(framePayload(produceOf(9, fmt.Sprint("topic-", i), strings.Repeat("x", i%1000), -1), 1, ""))
	}
	all, forgotten := door.Producers.All()
	if len(all) != producingMax || forgotten != 2*producingMax {
		t.Errorf("%d remembered, %d forgotten", len(all), forgotten)
	}
	for _, p := range all {
		if p.Conn.ID.Index < 2*producingMax || len(p.TransactionalID) > producerNameBytesMax {
			t.Fatalf("%+v", p)
		}
	}
}

// BenchmarkForgetProducer is what a topic costs that takes another's place.
func BenchmarkForgetProducer(b *testing.B) {
	req := produceOf(9, "", "", -1)
	req.Topics = nil
	for i := range 10_000 {
		t := kmsg.NewProduceRequestTopic()
		t.Topic = fmt.Sprint(i)
		req.Topics = append(req.Topics, t)
	}
	p, c := &Producers{}, newClient(b, NewFilter(everything(b), &recorder{}))
	c.send(framePayload(produceOf(9, "orders", "", 7), 1, "x"))
	r := APIRequest{Header: Header{Key: keyProduce, Version: 9}, Body: req.AppendTo(nil), Raw: c.request.Request()}
	for b.Loop() {
		p.record(r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/topic")
}

// BenchmarkRecordProducer is what a Produce request of one topic and two partitions costs.
func BenchmarkRecordProducer(b *testing.B) {
	p, req := &Producers{}, produceOf(9, "orders", "", 7)
	c := newClient(b, NewFilter(everything(b), &recorder{}))
	c.send(framePayload(req, 1, "x"))
	r := APIRequest{Header: Header{Key: keyProduce, Version: 9}, Body: req.AppendTo(nil), Raw: c.request.Request()}
	b.ReportAllocs()
	for b.Loop() {
		p.record(r)
	}
}
