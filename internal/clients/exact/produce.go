package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// numbering is what a producer was told: the numbers up to sent, each of which was acknowledged
// once the producer's goroutine has ended without a fault.
type numbering struct {
	partition int32
	sent      int
}

// pace is what a producer sends at once, and after which time again.
const (
	paceRecords = 10
	paceTime    = 50 * time.Millisecond
)

// produce sends numbered records to one partition until ctx is done, and waits for the last answer.
func (x *exact) produce(ctx context.Context, id int, n *numbering) error {
	n.partition = int32(id % partitions)
	client, err := x.client(kgo.DefaultProduceTopic(x.topic(numberedKind)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	var first error
	done := func(_ *kgo.Record, err error) {
		if err != nil && first == nil {
			first = fmt.Errorf("producer %d: a record failed: %w", id, err)
		} else if err == nil {
			x.produced.Add(1)
		}
	}
	for pause(ctx, paceTime) {
		for range paceRecords {
			// The records go on when ctx ends: what has left has to be answered.
			client.Produce(context.Background(), &kgo.Record{Partition: n.partition, Value: fmt.Appendf(nil, "%d %d", id, n.sent)}, done)
			n.sent++
		}
	}
	last, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := client.Flush(last); err != nil {
		return fmt.Errorf("producer %d: %d records were not answered within %v: %w", id, client.BufferedProduceRecords(), patience, err)
	}
	return first // callbacks have ended with Flush
}

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
