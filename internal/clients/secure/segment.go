package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// segmentOAuth is OAUTHBEARER, which kafka-go does not bring.
type segmentOAuth string

func (segmentOAuth) Name() string { return "OAUTHBEARER" }

func (o segmentOAuth) Start(context.Context) (sasl.StateMachine, []byte, error) {
	return o, []byte("n,,\x01auth=Bearer " + string(o) + "\x01\x01"), nil
}

func (segmentOAuth) Next(_ context.Context, challenge []byte) (done bool, response []byte, err error) {
	if len(challenge) > 0 {
		return false, []byte{1}, nil // the server's JSON; its error follows
	}
	return true, nil, nil
}

func segmentMechanism(c testCase) (sasl.Mechanism, error) {
	switch c.mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Mechanism{Username: c.user, Password: c.password}, nil
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, c.user, c.password)
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, c.user, c.password)
	}
	return segmentOAuth(c.password), nil
}

func trySegment(ctx context.Context, c testCase, topic string) error {
	config, configErr := c.tls()
	mechanism, mechanismErr := segmentMechanism(c)
	if err := errors.Join(configErr, mechanismErr); err != nil {
		return err
	}
	dialer := &kafka.Dialer{TLS: config, SASLMechanism: mechanism}
	one, err := dialer.DialContext(ctx, "tcp", c.addr) // its client says only that there is no broker
	if err != nil {
		return err
	}
	_, err = one.ApiVersions() // TLS 1.3 refuses a client when its handshake is over
	if err = errors.Join(err, one.Close()); err != nil {
		return err
	}
	transport := &kafka.Transport{TLS: config, SASL: mechanism}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(c.addr), Transport: transport, Timeout: patience}
	made, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}})
	if err != nil {
		return err
	}
	if err := made.Errors[topic]; err != nil {
		return err
	}
	// Its default is no acknowledgement, over as many connections as it likes: no order.
	writer := &kafka.Writer{Addr: kafka.TCP(c.addr), Topic: topic, Transport: transport, BatchSize: 1, RequiredAcks: kafka.RequireAll}
	defer writer.Close()
	for i := range records {
		if err := writer.WriteMessages(ctx, kafka.Message{Value: []byte(value(i))}); err != nil {
			return err
		}
	}
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{c.addr}, Topic: topic, Dialer: dialer})
	defer reader.Close()
	for i := range records {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		if string(m.Value) != value(i) {
			return fmt.Errorf("record %d is %q", i, m.Value)
		}
	}
	return nil
}
