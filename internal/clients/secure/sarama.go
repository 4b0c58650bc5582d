package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// saramaSCRAM is what sarama's own examples do: it brings no SCRAM.
type saramaSCRAM struct {
	generate scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (s *saramaSCRAM) Begin(user, password, authz string) error {
	client, err := s.generate.NewClient(user, password, authz)
	if err != nil {
		return err
	}
	s.ClientConversation = client.NewConversation()
	return nil
}

type saramaToken string

func (t saramaToken) Token() (*sarama.AccessToken, error) {
	return &sarama.AccessToken{Token: string(t)}, nil
}

func saramaOf(c testCase) (*sarama.Config, error) {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.Return.Successes = true
	cfg.Metadata.Retry.Max = 100 // a new topic takes its time
	config, err := c.tls()
	if config != nil {
		cfg.Net.TLS.Enable, cfg.Net.TLS.Config = true, config
	}
	if c.mechanism != "" {
		cfg.Net.SASL.Enable, cfg.Net.SASL.Mechanism = true, sarama.SASLMechanism(c.mechanism)
		cfg.Net.SASL.User, cfg.Net.SASL.Password = c.user, c.password
		cfg.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient {
			if c.mechanism == "SCRAM-SHA-256" {
				return &saramaSCRAM{generate: sha256.New}
			}
			return &saramaSCRAM{generate: sha512.New}
		}
		cfg.Net.SASL.TokenProvider = saramaToken(c.password)
	}
	return cfg, err
}

func trySarama(ctx context.Context, c testCase, topic string) error {
	cfg, err := saramaOf(c)
	if err != nil {
		return err
	}
	// Its client says only that it has run out of brokers: a broker says why.
	broker := sarama.NewBroker(c.addr)
	if err := broker.Open(cfg); err != nil {
		return err
	}
	defer broker.Close()
	if connected, err := broker.Connected(); !connected || err != nil {
		return fmt.Errorf("connected %v: %w", connected, err)
	}
	if _, err := broker.GetMetadata(&sarama.MetadataRequest{Version: 5}); err != nil {
		return err
	}
	client, err := sarama.NewClient([]string{c.addr}, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return err
	}
	for i := range records {
		if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value(i))}); err != nil {
			return err
		}
	}
	return saramaRead(ctx, client, topic)
}

func saramaRead(ctx context.Context, client sarama.Client, topic string) error {
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer partition.Close()
	for i := range records {
		select {
		case m := <-partition.Messages():
			if string(m.Value) != value(i) {
				return fmt.Errorf("record %d is %q", i, m.Value)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
