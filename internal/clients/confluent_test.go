package clients

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// confluentClient is librdkafka, by way of Confluent's Go binding.
type confluentClient struct{}

func (confluentClient) name() string     { return "librdkafka" }
func (confluentClient) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }
func (confluentClient) idempotent() bool { return true }

// confluentConfig is what every librdkafka client here has in common.
func confluentConfig(addr string, settings kafka.ConfigMap) *kafka.ConfigMap {
	settings["bootstrap.servers"] = addr
	settings["log_level"] = 4 // warnings and worse
	return &settings
}

func (confluentClient) createTopic(ctx context.Context, addr, topic string, partitions int) error {
	admin, err := kafka.NewAdminClient(confluentConfig(addr, kafka.ConfigMap{}))
	if err != nil {
		return err
	}
	defer admin.Close()
	results, err := admin.CreateTopics(ctx, []kafka.TopicSpecification{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1,
		Config: map[string]string{"max.message.bytes": strconv.Itoa(frameBytesMax)},
	}})
	if err != nil {
		return err
	}
	if e := results[0].Error; e.Code() != kafka.ErrNoError {
		return fmt.Errorf("creating %s: %w", topic, e)
	}
	return nil
}

func (confluentClient) produce(t *testing.T, addr string, b batch) error {
	p, err := kafka.NewProducer(confluentConfig(addr, kafka.ConfigMap{
		"acks":               int(b.acks),
		"compression.type":   b.codec,
		"enable.idempotence": b.idempotent,
		"message.max.bytes":  frameBytesMax,
		"linger.ms":          5,
	}))
	if err != nil {
		return err
	}
	if b.acks == acksNone {
		t.Cleanup(p.Close)
	} else {
		defer p.Close()
	}
	return confluentSend(p, b)
}

// confluentSend produces a batch and waits for every delivery report.
func confluentSend(p *kafka.Producer, b batch) error {
	reports := make(chan kafka.Event, b.to-b.from)
	for i := b.from; i < b.to; i++ {
		err := p.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &b.topic, Partition: kafka.PartitionAny},
			Key:            b.corpus.Key(i),
			Value:          b.corpus.Value(i),
		}, reports)
		if err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	deadline := time.After(patience)
	for range b.to - b.from {
		select {
		case e := <-reports:
			if m, ok := e.(*kafka.Message); ok && m.TopicPartition.Error != nil {
				return fmt.Errorf("record %s: %w", m.Key, m.TopicPartition.Error)
			}
		case <-deadline:
			return fmt.Errorf("%d records were not reported on within %v", p.Len(), patience)
		}
	}
	return nil
}

func (confluentClient) transact(ctx context.Context, addr, id string, b batch, commit bool) error {
	p, err := kafka.NewProducer(confluentConfig(addr, kafka.ConfigMap{
		"transactional.id":  id,
		"compression.type":  b.codec,
		"message.max.bytes": frameBytesMax,
	}))
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.InitTransactions(ctx); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := p.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := confluentSend(p, b); err != nil {
		return err
	}
	if commit {
		return p.CommitTransaction(ctx)
	}
	return p.AbortTransaction(ctx)
}

func (confluentClient) consume(ctx context.Context, addr, topic string, partitions int, committed bool, f deliver) error {
	isolation := "read_uncommitted"
	if committed {
		isolation = "read_committed"
	}
	c, err := kafka.NewConsumer(confluentConfig(addr, kafka.ConfigMap{
		"group.id":           "alone", // required, and unused: partitions are assigned by hand
		"enable.auto.commit": false,
		"isolation.level":    isolation,
	}))
	if err != nil {
		return err
	}
	defer c.Close()
	var from []kafka.TopicPartition
	for p := range partitions {
		from = append(from, kafka.TopicPartition{Topic: &topic, Partition: int32(p), Offset: kafka.OffsetBeginning})
	}
	if err := c.Assign(from); err != nil {
		return err
	}
	return confluentPoll(ctx, c, f, func(*kafka.Message) error { return nil })
}

// confluentPoll delivers until f or the context says stop.
func confluentPoll(ctx context.Context, c *kafka.Consumer, f deliver, delivered func(*kafka.Message) error) error {
	for ctx.Err() == nil {
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return e.TopicPartition.Error
			}
			more := f(int(e.TopicPartition.Partition), e.Key, e.Value)
			if err := delivered(e); err != nil {
				return err
			}
			if !more {
				return nil
			}
		case kafka.Error:
			if e.IsFatal() {
				return e
			}
		}
	}
	return ctx.Err()
}

func (confluentClient) reordersUnacknowledged() bool { return false }

func (confluentClient) losesCommits() bool { return false }

func (confluentClient) join(addr, group, topic string, f deliver) (member, error) {
	c, err := kafka.NewConsumer(confluentConfig(addr, kafka.ConfigMap{
		"group.id":                      group,
		"auto.offset.reset":             "earliest",
		"partition.assignment.strategy": "cooperative-sticky",
		"session.timeout.ms":            10_000,
		"heartbeat.interval.ms":         500,
		"auto.commit.interval.ms":       200,
		// Close polls until the group let it go, and drops the records that it
		// polls: only what was delivered may be committed.
		"enable.auto.offset.store": false,
	}))
	if err != nil {
		return member{}, err
	}
	if err := c.Subscribe(topic, nil); err != nil {
		return member{}, errors.Join(err, c.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var polling sync.WaitGroup
	var failed error
	store := func(m *kafka.Message) error {
		_, err := c.StoreMessage(m)
		var code kafka.Error
		if errors.As(err, &code) && code.Code() == kafka.ErrState {
			return nil // the partition was taken away meanwhile: it comes again elsewhere
		}
		return err
	}
	polling.Go(func() {
		if err := confluentPoll(ctx, c, f, store); !errors.Is(err, context.Canceled) {
			failed = err
		}
	})
	return member{leave: func() error {
		cancel()
		polling.Wait()
		// Close commits what was delivered, then leaves.
		return errors.Join(failed, c.Close())
	}}, nil
}
