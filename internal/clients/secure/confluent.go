package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func confluentOf(c testCase) *kafka.ConfigMap {
	m := kafka.ConfigMap{"bootstrap.servers": c.addr, "group.id": c.name, "auto.offset.reset": "earliest"}
	protocol := "PLAINTEXT"
	if c.ca != "" {
		protocol = "SSL"
		m["ssl.ca.location"] = c.ca
	}
	if c.cert != "" {
		m["ssl.certificate.location"], m["ssl.key.location"] = c.cert, c.key
	}
	if c.mechanism != "" {
		protocol = map[string]string{"PLAINTEXT": "SASL_PLAINTEXT", "SSL": "SASL_SSL"}[protocol]
		m["sasl.mechanism"] = c.mechanism
		if c.mechanism != "OAUTHBEARER" {
			m["sasl.username"], m["sasl.password"] = c.user, c.password
		}
	}
	m["security.protocol"] = protocol
	return &m
}

// refusal waits for the first event that says why there is no connection.
func refusal(ctx context.Context, c testCase, h kafka.Handle, events func() kafka.Event, over func() bool) error {
	for ctx.Err() == nil && !over() {
		switch e := events().(type) {
		case kafka.OAuthBearerTokenRefresh:
			if err := h.SetOAuthBearerToken(kafka.OAuthBearerToken{TokenValue: c.password, Expiration: time.Now().Add(time.Hour), Principal: c.user}); err != nil {
				return err
			}
		case kafka.Error:
			// TLS 1.3 refuses a client when its handshake is over: that is a broken connection.
			if e.Code() == kafka.ErrAuthentication || e.Code() == kafka.ErrSsl || e.Code() == kafka.ErrTransport && strings.Contains(e.String(), "SSL") {
				return e
			}
		}
	}
	return ctx.Err()
}

func tryConfluent(ctx context.Context, c testCase, topic string) error {
	producer, err := kafka.NewProducer(confluentOf(c))
	if err != nil {
		return err
	}
	defer producer.Close()
	for i := range records {
		if err := producer.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Value: []byte(value(i))}, nil); err != nil {
			return err
		}
	}
	delivered := 0
	var failed error
	next := func() kafka.Event {
		select {
		case e := <-producer.Events():
			if m, ok := e.(*kafka.Message); ok {
				delivered++
				failed = errors.Join(failed, m.TopicPartition.Error)
			}
			return e
		case <-ctx.Done():
			return nil
		}
	}
	if err := refusal(ctx, c, producer, next, func() bool { return delivered == records }); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	return confluentRead(ctx, c, topic)
}

func confluentRead(ctx context.Context, c testCase, topic string) error {
	consumer, err := kafka.NewConsumer(confluentOf(c))
	if err != nil {
		return err
	}
	defer consumer.Close()
	if err := consumer.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: kafka.OffsetBeginning}}); err != nil {
		return err
	}
	got := 0
	var wrong error
	next := func() kafka.Event {
		e := consumer.Poll(100)
		if m, ok := e.(*kafka.Message); ok {
			if string(m.Value) != value(got) {
				wrong = fmt.Errorf("record %d is %q", got, m.Value)
			}
			got++
		}
		return e
	}
	err = refusal(ctx, c, consumer, next, func() bool { return got == records || wrong != nil })
	return errors.Join(err, wrong)
}
