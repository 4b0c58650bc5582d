package gateway

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var modes = map[string]Mode{"multiplexed": Multiplexed, "dedicated": Dedicated}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// produce sends n records to topic and returns when all are acknowledged.
func produce(t testing.TB, cl *kgo.Client, topic string, n int) {
	t.Helper()
	ctx := deadline(t)
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Append(nil, i%17), Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil || t.Failed() {
		t.Fatal(err)
	}
}

// consume reads n records and returns how often each value came.
func consume(t testing.TB, cl *kgo.Client, n int) map[string]int {
	t.Helper()
	ctx, seen := deadline(t), map[string]int{}
	for got := 0; got < n; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", got, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++; got++ })
	}
	return seen
}

func TestRecordsComeBackThroughTheGateway(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{gateway: func(c *Config) { c.Mode = mode }})
			const n = 2000
			produce(t, b.client(), "things", n)
			seen := consume(t, b.client(kgo.ConsumeTopics("things"), kgo.ConsumerGroup("g-"+name)), n)
			for v, times := range seen {
				if times != 1 {
					t.Errorf("record %s came %d times", v, times)
				}
			}
			if len(seen) != n {
				t.Errorf("%d of %d records came", len(seen), n)
			}
			for _, w := range b.warnings {
				t.Error(w)
			}
		})
	}
}
