package clients

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// segmentClient is segmentio/kafka-go. It speaks old versions of the protocol,
// so it is the one that walks the paths without tagged fields.
type segmentClient struct{}

func (segmentClient) name() string     { return "kafka-go" }
func (segmentClient) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }
func (segmentClient) idempotent() bool { return false }

func (segmentClient) createTopic(ctx context.Context, addr, topic string, partitions int) error {
	c := &kafka.Client{Addr: kafka.TCP(addr), Timeout: patience}
	answer, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(frameBytesMax)}},
	}}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

var segmentCodecs = map[string]kafka.Compression{
	"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

func (segmentClient) produce(t *testing.T, addr string, b batch) error {
	w := &kafka.Writer{
		Addr:         kafka.TCP(addr),
		Topic:        b.topic,
		Balancer:     &kafka.Hash{},
		BatchBytes:   frameBytesMax,
		BatchTimeout: 5 * time.Millisecond,
		RequiredAcks: kafka.RequiredAcks(b.acks),
		Compression:  segmentCodecs[b.codec],
		// A pool of its own: the default one is shared by the whole process
		// and would keep connections to servers that are gone.
		Transport: &kafka.Transport{Dial: (&net.Dialer{Timeout: patience}).DialContext},
	}
	if b.acks == acksNone {
		t.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			w.Transport.(*kafka.Transport).CloseIdleConnections()
		})
	} else {
		defer w.Transport.(*kafka.Transport).CloseIdleConnections()
		defer w.Close() // WriteMessages below has reported on every record
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	messages := make([]kafka.Message, 0, b.to-b.from)
	for i := b.from; i < b.to; i++ {
		messages = append(messages, kafka.Message{Key: b.corpus.Key(i), Value: b.corpus.Value(i)})
	}
	return w.WriteMessages(ctx, messages...)
}

func segmentReader(addr, topic string, committed bool) kafka.ReaderConfig {
	cfg := kafka.ReaderConfig{
		Brokers:  []string{addr},
		Topic:    topic,
		MinBytes: 1,
		MaxBytes: 2 * frameBytesMax,
		MaxWait:  500 * time.Millisecond,
	}
	if committed {
		cfg.IsolationLevel = kafka.ReadCommitted
	}
	return cfg
}

func (segmentClient) consume(ctx context.Context, addr, topic string, partitions int, committed bool, f deliver) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(errDone)
	var reading sync.WaitGroup
	for p := range partitions {
		cfg := segmentReader(addr, topic, committed)
		cfg.Partition = p
		r := kafka.NewReader(cfg)
		reading.Go(func() {
			defer r.Close() // nothing is written through it that could be lost
			for {
				m, err := r.ReadMessage(ctx)
				if err != nil {
					stop(err)
					return
				}
				if !f(m.Partition, m.Key, m.Value) {
					stop(errDone)
					return
				}
			}
		})
	}
	reading.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errDone) {
		return cause
	}
	return nil
}

// reordersUnacknowledged: kafka-go takes any free connection of its pool, and
// waits for nothing before it sends the next batch.
func (segmentClient) reordersUnacknowledged() bool { return true }

// losesCommits: kafka-go gathers commits for a while, and those gathered when
// the group rebalances go with the generation they were for.
func (segmentClient) losesCommits() bool { return true }

func (segmentClient) join(addr, group, topic string, f deliver) (member, error) {
	cfg := segmentReader(addr, topic, false)
	cfg.GroupID = group
	cfg.StartOffset = kafka.FirstOffset
	cfg.HeartbeatInterval = 500 * time.Millisecond
	cfg.SessionTimeout = 10 * time.Second
	cfg.RebalanceTimeout = 10 * time.Second
	cfg.JoinGroupBackoff = 500 * time.Millisecond
	cfg.CommitInterval = 200 * time.Millisecond
	r := kafka.NewReader(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var failed error
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			m, err := r.FetchMessage(ctx)
			if err != nil {
				if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
					failed = err
				}
				return
			}
			f(m.Partition, m.Key, m.Value)
			if err := r.CommitMessages(ctx, m); err != nil && !errors.Is(err, context.Canceled) {
				failed = err
				return
			}
		}
	})
	return member{leave: func() error {
		cancel()
		reading.Wait()
		// Close commits what is outstanding, then leaves.
		return errors.Join(failed, r.Close())
	}}, nil
}
