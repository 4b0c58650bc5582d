package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

func (r run) producing(change func(*sarama.Config), body func(sarama.SyncProducer) error) error {
	cfg := r.config()
	change(cfg)
	if cfg.Producer.Idempotent {
		cfg.Net.MaxOpenRequests = 1 // sarama insists on it
	}
	p, err := sarama.NewSyncProducer([]string{r.addr}, cfg)
	if err != nil {
		return err
	}
	return errors.Join(body(p), p.Close())
}

func plain(*sarama.Config) {}

// read reads the first n records of partition 0.
func (r run) read(topic string, n int, isolation sarama.IsolationLevel) (got []string, err error) {
	cfg := r.config()
	cfg.Consumer.IsolationLevel = isolation
	c, err := sarama.NewConsumer([]string{r.addr}, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	pc, err := c.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer pc.AsyncClose()
	deadline := time.After(patience)
	for len(got) < n {
		select {
		case m := <-pc.Messages():
			got = append(got, text(m))
		case err := <-pc.Errors():
			return got, err
		case <-deadline:
			return got, fmt.Errorf("only %d of %d records came within %v", len(got), n, patience)
		}
	}
	return got, nil
}

func (r run) codecs() error {
	codecs := []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4}
	if r.protocol.IsAtLeast(sarama.V2_1_0_0) {
		codecs = append(codecs, sarama.CompressionZSTD)
	}
	for _, codec := range codecs {
		topic := r.topic("codec-" + codec.String())
		if err := r.create(topic, 1); err != nil {
			return err
		}
		compressed := func(cfg *sarama.Config) { cfg.Producer.Compression, cfg.Producer.Idempotent = codec, true }
		err := r.producing(compressed, func(p sarama.SyncProducer) error { return send(p, topic, 1, 0, 200) })
		if err != nil {
			return fmt.Errorf("%v: %w", codec, err)
		}
		got, err := r.read(topic, 200, sarama.ReadUncommitted)
		if err := errors.Join(err, same(got, [2]int{0, 200})); err != nil {
			return fmt.Errorf("%v: %w", codec, err)
		}
	}
	return nil
}

// member takes records until it has n, and commits them.
type member struct {
	n    int
	got  chan string
	done context.CancelFunc
}

func (*member) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			s.MarkMessage(r, "")
			m.got <- text(r)
			if len(m.got) >= m.n {
				s.Commit()
				m.done()
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

// group reads half, and another member goes on where the first one stopped.
func (r run) group() error {
	topic := r.topic("group")
	if err := r.create(topic, 3); err != nil {
		return err
	}
	var got []string
	for from := 0; from < 300; from += 150 {
		err := r.producing(plain, func(p sarama.SyncProducer) error { return send(p, topic, 3, from, from+150) })
		if err != nil {
			return err
		}
		half, err := r.half(topic)
		if err != nil {
			return err
		}
		got = append(got, half...)
	}
	return same(got, [2]int{0, 300})
}

// half is 150 records that a member of the group read and committed.
func (r run) half(topic string) (got []string, err error) {
	g, err := sarama.NewConsumerGroup([]string{r.addr}, r.topic("classic"), r.config())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m := &member{n: 150, got: make(chan string, 300), done: cancel}
	for ctx.Err() == nil && err == nil {
		err = g.Consume(ctx, []string{topic}, m)
	}
	if errors.Is(err, sarama.ErrClosedConsumerGroup) || errors.Is(err, context.Canceled) {
		err = nil
	}
	err = errors.Join(err, g.Close())
	close(m.got)
	for s := range m.got {
		got = append(got, s)
	}
	return got, err
}

func (r run) transactional(id string) func(*sarama.Config) {
	return func(cfg *sarama.Config) { cfg.Producer.Idempotent, cfg.Producer.Transaction.ID = true, r.topic(id) }
}

func (r run) transactions() error {
	topic := r.topic("transactions")
	if err := r.create(topic, 1); err != nil {
		return err
	}
	err := r.producing(r.transactional("id"), func(p sarama.SyncProducer) error {
		for from := 0; from < 60; from += 20 {
			if err := errors.Join(p.BeginTxn(), send(p, topic, 1, from, from+20)); err != nil {
				return err
			}
			end := p.CommitTxn
			if from == 20 {
				end = p.AbortTxn
			}
			if err := end(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	committed, err := r.read(topic, 40, sarama.ReadCommitted)
	if err := errors.Join(err, same(committed, [2]int{0, 20}, [2]int{40, 60})); err != nil {
		return fmt.Errorf("committed: %w", err)
	}
	all, err := r.read(topic, 60, sarama.ReadUncommitted)
	return errors.Join(err, same(all, [2]int{0, 60}))
}

// fencing wants the older producer of an id to be refused for its epoch.
func (r run) fencing() error {
	topic := r.topic("fencing")
	if err := r.create(topic, 1); err != nil {
		return err
	}
	var fenced error
	err := r.producing(r.transactional("fenced"), func(older sarama.SyncProducer) error {
		if err := errors.Join(older.BeginTxn(), send(older, topic, 1, 0, 5)); err != nil {
			return err
		}
		err := r.producing(r.transactional("fenced"), func(newer sarama.SyncProducer) error {
			return errors.Join(newer.BeginTxn(), send(newer, topic, 1, 5, 10), newer.CommitTxn())
		})
		fenced = errors.Join(send(older, topic, 1, 10, 15), older.CommitTxn())
		return err
	})
	if fenced == nil {
		return errors.New("the older producer was not fenced")
	}
	for _, right := range []error{sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch} {
		if errors.Is(fenced, right) {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("fenced, but by: %w", fenced), err)
}
