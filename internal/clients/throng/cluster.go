package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The newest versions without tagged fields, and with topics by name.
const (
	produceVersion  = 8
	fetchVersion    = 11
	metadataVersion = 8
)

// partitions of the topic, each with as many clients as the next.
const partitions = 30

// cluster is where the leaders of the topic's partitions are.
type cluster struct {
	topic   string
	leaders []string
}

// learn makes the topic and asks for its leaders.
func (c *cluster) learn(bootstrap, topic string) error {
	c.topic = topic
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	adm := kadm.NewClient(client)
	if _, err := adm.CreateTopic(ctx, partitions, -1, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating the topic %s: %w", topic, err)
	}
	for {
		err := c.leadersOf(ctx, adm)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *cluster) leadersOf(ctx context.Context, adm *kadm.Client) error {
	m, err := adm.Metadata(ctx, c.topic)
	if err != nil {
		return err
	}
	at := map[int32]string{}
	for _, b := range m.Brokers {
		at[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	c.leaders = nil
	for p := range int32(partitions) {
		address, known := at[m.Topics[c.topic].Partitions[p].Leader]
		if !known {
			return fmt.Errorf("partition %d has no leader", p)
		}
		c.leaders = append(c.leaders, address)
	}
	return nil
}

func metadataRequest(topic string) kmsg.Request {
	r := kmsg.NewPtrMetadataRequest()
	r.Version = metadataVersion
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	r.Topics = append(r.Topics, t)
	return r
}

// fetchRequest asks for more than there is, so that the broker waits.
func fetchRequest(topic string, partition int32, offset int64) kmsg.Request {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.SessionEpoch = fetchVersion, int32(fetchWait.Milliseconds()), 1<<20, 4<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	t.Partitions = append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return r
}

func produceRequest(topic string, partition int32) kmsg.Request {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = produceVersion, -1, int32(patience.Milliseconds())
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch()
	t.Partitions = append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return r
}

// recordBytes is the value of each record.
const recordBytes = 200

// Where fields of a record batch are.
const (
	lengthAt, crcAt, attributesAt, lastDeltaAt, countAt, batchHead = 8, 17, 21, 23, 57, 61
)

// batch is a record batch of one record.
func batch() []byte {
	record := kmsg.NewRecord()
	record.Value = make([]byte, recordBytes)
	record.Length = int32(len(record.AppendTo(nil)) - 1) // its own varint has one byte while it is 0
	b := kmsg.NewRecordBatch()
	b.Magic, b.NumRecords, b.Records = 2, 1, record.AppendTo(nil)
	b.PartitionLeaderEpoch, b.ProducerID, b.ProducerEpoch, b.FirstSequence = -1, -1, -1, -1
	b.FirstTimestamp = time.Now().UnixMilli()
	b.MaxTimestamp = b.FirstTimestamp
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[lengthAt:], uint32(len(raw)-lengthAt-4))
	binary.BigEndian.PutUint32(raw[crcAt:], crc32.Checksum(raw[attributesAt:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// span is where a batch that was fetched ends, and how much it holds.
type span struct {
	end     int64
	records int
}

// batches walks what a Fetch brought; the last batch may be cut off.
func batches(raw []byte) iter.Seq[span] {
	return func(yield func(span) bool) {
		for len(raw) >= batchHead {
			size := int(binary.BigEndian.Uint32(raw[lengthAt:])) + lengthAt + 4
			if size < batchHead || size > len(raw) {
				return
			}
			first := int64(binary.BigEndian.Uint64(raw))
			if !yield(span{first + int64(binary.BigEndian.Uint32(raw[lastDeltaAt:])) + 1, int(binary.BigEndian.Uint32(raw[countAt:]))}) {
				return
			}
			raw = raw[size:]
		}
	}
}
