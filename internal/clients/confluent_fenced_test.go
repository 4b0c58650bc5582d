package clients

import (
	"errors"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"kring/internal/clients/broker"
)

// begin is a transaction of librdkafka's that nothing was sent in yet.
func begin(t *testing.T, addr, id string) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewProducer(confluentConfig(addr, kafka.ConfigMap{"transactional.id": id, "linger.ms": 0}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.InitTransactions(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	return p
}

// sendOne returns the error of the delivery of one record.
func sendOne(t *testing.T, p *kafka.Producer, topic string) error {
	t.Helper()
	reports := make(chan kafka.Event, 1)
	err := p.Produce(&kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0}, Value: []byte("value"),
	}, reports)
	if err != nil {
		return err
	}
	return (<-reports).(*kafka.Message).TopicPartition.Error
}

// A producer whose place another took learns that it is over: librdkafka calls
// that fatal. Were it told that its transaction is in a wrong state, it would abort
// that and go on.
func TestAFencedProducerIsOver(t *testing.T) {
	eachOf(t, []client{confluentClient{}}, func(t *testing.T, b *broker.Broker, c client) {
		const topic = "fenced"
		if err := c.createTopic(testContext(t), b.Addr, topic, 1); err != nil {
			t.Fatal(err)
		}
		for name, over := range map[string]func(old *kafka.Producer) error{
			"the record is refused": func(old *kafka.Producer) error { return sendOne(t, old, topic) },
			"the commit is refused": func(old *kafka.Producer) error { return old.CommitTransaction(testContext(t)) },
			"the abort is refused":  func(old *kafka.Producer) error { return old.AbortTransaction(testContext(t)) },
		} {
			t.Run(name, func(t *testing.T) {
				old := begin(t, b.Addr, name)
				if err := sendOne(t, old, topic); err != nil {
					t.Fatal(err)
				}
				successor := begin(t, b.Addr, name)
				if err := over(old); err == nil {
					t.Error("the fenced producer was served")
				} else if fatal := old.GetFatalError(); fatal == nil {
					t.Errorf("%v is not fatal", err)
				} else if e := new(kafka.Error); errors.As(fatal, e) && e.Code() != kafka.ErrFenced {
					t.Errorf("fatal, but %v", fatal)
				}
				if err := sendOne(t, successor, topic); err != nil {
					t.Error(err)
				}
				if err := successor.CommitTransaction(testContext(t)); err != nil {
					t.Error(err)
				}
			})
		}
	})
}
