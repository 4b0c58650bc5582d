package gateways

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partitions of the topics: requests go to the first, the producer uses all.
const partitions = 3

// prepare makes the topics, and waits until the broker leads their partitions.
func prepare(ctx context.Context, address string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	adm := kadm.NewClient(client)
	for _, name := range []string{topic, producerTopic} {
		if _, err := adm.CreateTopic(ctx, partitions, 1, nil, name); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("creating the topic %s: %w", name, err)
		}
	}
	for {
		ends, err := adm.ListEndOffsets(ctx, topic, producerTopic)
		if err == nil {
			err = ends.Error()
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the topics are not led: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
