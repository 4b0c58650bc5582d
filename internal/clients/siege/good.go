package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	bigTopic  = "big"
	goodTopic = "good"
	// answerWithin is how long a good client waits.
	answerWithin = 20 * time.Second
	// pace is how often it asks.
	pace = 100 * time.Millisecond
)

// book is what the good clients note.
type book struct {
	requests, failed, attacks, refused atomic.Int64

	mu     sync.Mutex
	first  error            // guarded by mu
	took   []time.Duration  // guarded by mu
	told   int              // guarded by mu; how many of them lately has seen
	served map[int]struct{} // guarded by mu; by client
}

func (b *book) note(client int, took time.Duration, err error) {
	b.requests.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		if b.failed.Add(1) == 1 {
			b.first = fmt.Errorf("client %d: %w", client, err)
		}
		return
	}
	if b.served == nil {
		b.served = map[int]struct{}{}
	}
	b.served[client] = struct{}{}
	b.took = append(b.took, took)
}

func (b *book) times() (half, most, longest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return quantiles(slices.Clone(b.took))
}

// lately are the times since the last call, and how many there were.
func (b *book) lately() (half, most, longest time.Duration, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := slices.Clone(b.took[b.told:])
	b.told = len(b.took)
	half, most, longest = quantiles(took)
	return half, most, longest, len(took)
}

func quantiles(took []time.Duration) (half, most, longest time.Duration) {
	if len(took) == 0 {
		return 0, 0, 0
	}
	slices.Sort(took)
	at := func(part float64) time.Duration {
		return took[min(int(part*float64(len(took))), len(took)-1)].Round(10 * time.Microsecond)
	}
	return at(0.5), at(0.99), at(1)
}

func (b *book) unserved(of int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return of - len(b.served)
}

// fill puts records into the topic that is fetched.
func (s *siege) fill() error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.address), kgo.ProducerBatchMaxBytes(1<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range s.topic {
		value := make([]byte, 1000<<10)
		for i := range value {
			value[i] = byte(rand.Uint32())
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: bigTopic, Value: value}).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

// goodClient asks, fetches and produces a little, until it is over. What it could not be
// answered is an error, and it connects again.
func (s *siege) goodClient(i int, ready *sync.WaitGroup) {
	asked := []kmsg.Request{metadata(), fetch(goodTopic, int32(i), 4<<10), fetch(goodTopic, int32(i), 4<<10), metadata(), produce(int32(i)),
		metadata(), fetch(goodTopic, int32(i), 4<<10), fetch(goodTopic, int32(i), 4<<10)}
	var c net.Conn
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		var err error
		if c == nil {
			c, err = s.dial(i)
		}
		began := time.Now()
		if err == nil {
			err = exchange(c, asked[(n+i)%len(asked)], int32(n))
		}
		if n == 0 {
			ready.Done()
		} else {
			s.book.note(i, time.Since(began), err)
		}
		if err != nil && c != nil {
			_ = c.Close()
			c = nil
		}
		select {
		case <-s.done:
			if c != nil {
				_ = c.Close()
			}
			return
		case <-tick.C:
		}
	}
}

// exchange sends a request and reads its answer.
func exchange(c net.Conn, r kmsg.Request, correlation int32) error {
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := c.Write(request(r, correlation)); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != correlation {
		return fmt.Errorf("the answer to request %d says it answers %d", correlation, got)
	}
	p, ok := r.(*kmsg.ProduceRequest)
	if !ok {
		return nil
	}
	resp := p.ResponseKind().(*kmsg.ProduceResponse)
	if err := resp.ReadFrom(body); err != nil {
		return err
	}
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		return fmt.Errorf("a produce was answered with error %d", code)
	}
	return nil
}

// produce appends one record of 100 bytes.
func produce(partition int32) kmsg.Request {
	r := kmsg.NewRecord()
	r.Value = make([]byte, 100)
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	b := kmsg.NewRecordBatch()
	b.Magic, b.NumRecords, b.Records = 2, 1, r.AppendTo(nil)
	b.PartitionLeaderEpoch, b.ProducerID, b.ProducerEpoch, b.FirstSequence = -1, -1, -1, -1
	b.FirstTimestamp = time.Now().UnixMilli()
	b.MaxTimestamp = b.FirstTimestamp
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	p := kmsg.NewPtrProduceRequest()
	p.Version, p.Acks, p.TimeoutMillis = 7, -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = goodTopic
	tp := kmsg.NewProduceRequestTopicPartition()
	tp.Partition, tp.Records = partition, raw
	t.Partitions = append(t.Partitions, tp)
	p.Topics = append(p.Topics, t)
	return p
}
