package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func franzMechanism(c testCase) sasl.Mechanism {
	switch c.mechanism {
	case "PLAIN":
		return plain.Auth{User: c.user, Pass: c.password}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.user, Pass: c.password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.user, Pass: c.password}.AsSha512Mechanism()
	}
	return oauth.Auth{Token: c.password}.AsMechanism()
}

func tryFranz(ctx context.Context, c testCase, topic string) error {
	opts := []kgo.Opt{kgo.SeedBrokers(c.addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequestRetries(0)}
	config, err := c.tls()
	if err != nil {
		return err
	}
	if config != nil {
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	if c.mechanism != "" {
		opts = append(opts, kgo.SASL(franzMechanism(c)))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return err
	}
	made, err := kadm.NewClient(client).CreateTopics(ctx, 1, 1, nil, topic)
	if err = errors.Join(err, made[topic].Err); err != nil {
		return err
	}
	for i := range records {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value(i))}).FirstErr(); err != nil {
			return err
		}
	}
	for i := 0; i < records; {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return err
		}
		for _, r := range fetched.Records() {
			if string(r.Value) != value(i) {
				return fmt.Errorf("record %d is %q", i, r.Value)
			}
			i++
		}
	}
	return nil
}
