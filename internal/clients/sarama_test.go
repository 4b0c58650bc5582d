package clients

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// saramaClient is IBM's client, written in Go.
type saramaClient struct{}

func (saramaClient) name() string     { return "sarama" }
func (saramaClient) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }
func (saramaClient) idempotent() bool { return true }

func saramaConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.MaxVersion
	cfg.ClientID = "kring-clients"
	cfg.Consumer.Return.Errors = true
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	cfg.Consumer.Group.Session.Timeout = 10 * time.Second
	cfg.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	cfg.Producer.MaxMessageBytes = frameBytesMax
	cfg.Producer.Return.Successes = true
	return cfg
}

func (saramaClient) createTopic(_ context.Context, addr, topic string, partitions int) error {
	admin, err := sarama.NewClusterAdmin([]string{addr}, saramaConfig())
	if err != nil {
		return err
	}
	limit := strconv.Itoa(frameBytesMax)
	err = admin.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"max.message.bytes": &limit},
	}, false)
	return errors.Join(err, admin.Close())
}

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

// saramaProducer opens a producer with a batch's settings; a transactional id
// makes it transactional.
func saramaProducer(addr string, b batch, id string) (sarama.AsyncProducer, error) {
	cfg := saramaConfig()
	cfg.Producer.Compression = saramaCodecs[b.codec]
	cfg.Producer.RequiredAcks = sarama.RequiredAcks(b.acks)
	if b.idempotent || id != "" {
		cfg.Producer.Idempotent = true
		cfg.Net.MaxOpenRequests = 1 // sarama insists on it
	}
	cfg.Producer.Transaction.ID = id
	return sarama.NewAsyncProducer([]string{addr}, cfg)
}

func (saramaClient) produce(t *testing.T, addr string, b batch) error {
	p, err := saramaProducer(addr, b, "")
	if err != nil {
		return err
	}
	err = saramaSend(p, b)
	if b.acks == acksNone && err == nil {
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		return nil
	}
	return errors.Join(err, p.Close())
}

// saramaSend produces a batch and waits until every record is reported on.
func saramaSend(p sarama.AsyncProducer, b batch) error {
	var feeding sync.WaitGroup
	feeding.Go(func() {
		for i := b.from; i < b.to; i++ {
			p.Input() <- &sarama.ProducerMessage{
				Topic: b.topic,
				Key:   sarama.ByteEncoder(b.corpus.Key(i)),
				Value: sarama.ByteEncoder(b.corpus.Value(i)),
			}
		}
	})
	var failed error
	for range b.to - b.from {
		select {
		case <-p.Successes():
		case err := <-p.Errors():
			failed = err
		}
	}
	feeding.Wait()
	return failed
}

func (saramaClient) transact(_ context.Context, addr, id string, b batch, commit bool) error {
	p, err := saramaProducer(addr, b, id)
	if err != nil {
		return err
	}
	if err := p.BeginTxn(); err != nil {
		return errors.Join(fmt.Errorf("begin: %w", err), p.Close())
	}
	err = saramaSend(p, b)
	switch {
	case err != nil:
	case commit:
		err = p.CommitTxn()
	default:
		err = p.AbortTxn()
	}
	return errors.Join(err, p.Close())
}

func (saramaClient) consume(ctx context.Context, addr, topic string, partitions int, committed bool, f deliver) (err error) {
	cfg := saramaConfig()
	if committed {
		cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	c, err := sarama.NewConsumer([]string{addr}, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(errDone)
	var reading sync.WaitGroup
	for p := range partitions {
		pc, err := c.ConsumePartition(topic, int32(p), sarama.OffsetOldest)
		if err != nil {
			stop(err)
			break
		}
		reading.Go(func() {
			defer pc.AsyncClose()
			saramaRead(ctx, stop, pc, f)
		})
	}
	reading.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errDone) {
		return cause
	}
	return nil
}

// errDone ends a read that has seen all it wanted.
var errDone = errors.New("all was read")

func saramaRead(ctx context.Context, stop context.CancelCauseFunc, pc sarama.PartitionConsumer, f deliver) {
	for {
		select {
		case m := <-pc.Messages():
			if !f(int(m.Partition), m.Key, m.Value) {
				stop(errDone)
				return
			}
		case err := <-pc.Errors():
			stop(err)
			return
		case <-ctx.Done():
			return
		}
	}
}

// saramaMember hands what a group claims to the test.
type saramaMember struct{ f deliver }

func (saramaMember) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (saramaMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m saramaMember) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			m.f(int(r.Partition), r.Key, r.Value)
			s.MarkMessage(r, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func (saramaClient) reordersUnacknowledged() bool { return false }

func (saramaClient) losesCommits() bool { return false }

func (saramaClient) join(addr, group, topic string, f deliver) (member, error) {
	g, err := sarama.NewConsumerGroup([]string{addr}, group, saramaConfig())
	if err != nil {
		return member{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var failed error
	var running sync.WaitGroup
	running.Go(func() {
		// Consume returns at each rebalance; calling it again joins anew.
		for ctx.Err() == nil && failed == nil {
			if err := g.Consume(ctx, []string{topic}, saramaMember{f}); err != nil && ctx.Err() == nil {
				failed = err
			}
		}
	})
	var asides []error
	running.Go(func() {
		for err := range g.Errors() {
			asides = append(asides, err)
		}
	})
	return member{leave: func() error {
		cancel()
		// Close waits for the session, whose end commits what was marked.
		err := g.Close()
		running.Wait()
		return errors.Join(append(asides, failed, err)...)
	}}, nil
}
