package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// silence sends numbered records without asking for an acknowledgement, until ctx is done. What
// became of them is only counted: nothing was promised.
func (x *exact) silence(ctx context.Context, id int) error {
	client, err := x.client(kgo.DefaultProduceTopic(x.topic(silentKind)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	if err != nil {
		return err
	}
	defer client.Close()
	for n := 0; pause(ctx, paceTime); {
		for range paceRecords {
			client.Produce(context.Background(), &kgo.Record{Partition: int32(id % partitions), Value: fmt.Appendf(nil, "%d %d", id, n)},
				func(_ *kgo.Record, err error) {
					if err == nil { // it has left the client
						x.silent.Add(1)
					}
				})
			n++
		}
	}
	last, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := client.Flush(last); err != nil {
		return fmt.Errorf("producer %d without acknowledgements: %w", id, err)
	}
	return nil
}

// countSilent counts what is there of what was sent without acknowledgements, each record once.
func (x *exact) countSilent() (there, again int, err error) {
	records, err := x.readAll(x.topic(silentKind))
	seen := map[stored]bool{}
	for _, r := range records {
		if seen[r] {
			again++
		}
		seen[r] = true
	}
	return len(seen), again, err
}
