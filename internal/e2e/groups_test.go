package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// audience is a consumer group and what its members have seen together.
type audience struct {
	n     *node
	topic string

	mu      sync.Mutex
	seen    map[int]int
	changed chan struct{} // closed and replaced when seen grew
}

// member is one consumer of the group.
type member struct {
	client *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
	held   chan int // how many partitions it holds, after each change
}

func (a *audience) join() *member {
	a.n.t.Helper()
	m := &member{done: make(chan struct{}), held: make(chan int, 10_000)}
	var mu sync.Mutex
	held := 0
	change := func(sign int, commits bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(ctx context.Context, c *kgo.Client, parts map[string][]int32) {
			if commits {
				if err := c.CommitMarkedOffsets(ctx); err != nil {
					a.n.t.Errorf("commit before giving partitions up: %v", err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			held += sign * len(parts[a.topic])
			m.held <- held
		}
	}
	m.client = a.n.client(
		kgo.ConsumerGroup("audience"), kgo.ConsumeTopics(a.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(100*time.Millisecond), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.OnPartitionsAssigned(change(1, false)), kgo.OnPartitionsRevoked(change(-1, true)),
		kgo.OnPartitionsLost(change(-1, false)), // who was away for too long may not commit any more
	)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	a.n.t.Cleanup(cancel)
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			fetches := m.client.PollRecords(ctx, 20)
			a.note(fetches)
			m.client.MarkCommitRecords(fetches.Records()...)
		}
	}()
	return m
}

// leave makes a member commit and go.
func (m *member) leave() {
	m.cancel()
	<-m.done
	m.client.Close()
}

func (a *audience) note(fetches kgo.Fetches) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) { a.seen[numberOf(a.n.t, r)]++ })
	close(a.changed)
	a.changed = make(chan struct{})
}

// await waits until the group has seen so many different records.
func (a *audience) await(want int) {
	a.n.t.Helper()
	timeout := time.After(deadline)
	for {
		a.mu.Lock()
		got, changed := len(a.seen), a.changed
		a.mu.Unlock()
		if got >= want {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			a.n.t.Fatalf("the group has seen %d of %d records", got, want)
		}
	}
}

// holds waits until a member holds some, but at most so many partitions.
func (a *audience) holds(m *member, most int) {
	a.n.t.Helper()
	timeout := time.After(deadline)
	for {
		select {
		case n := <-m.held:
			if n > 0 && n <= most {
				return
			}
		case <-timeout:
			a.n.t.Fatalf("the member never held 1 to %d partitions", most)
		}
	}
}

// A group whose members come and go while it consumes sees every record, and
// its commits end where the topic does.
func TestGroupThatRebalancesSeesEveryRecord(t *testing.T) {
	overEngines(t, func(t *testing.T, n *node) {
		const topic, partitions, each = "audience", 6, 500
		ctx := n.context()
		admin := kadm.NewClient(n.client())
		if _, err := admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		producer := n.client()
		a := &audience{n: n, topic: topic, seen: make(map[int]int), changed: make(chan struct{})}

		first := a.join()
		n.produce(producer, "first", topic, 0, each)
		a.await(each)
		second, third := a.join(), a.join()
		n.produce(producer, "while two join", topic, each, 2*each)
		a.holds(second, partitions/2)
		a.holds(third, partitions/2)
		n.produce(producer, "with three", topic, 2*each, 3*each)
		a.await(3 * each)
		first.leave()
		n.produce(producer, "after one left", topic, 3*each, 4*each)
		a.await(4 * each)
		second.leave()
		third.leave()

		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		commits, err := admin.FetchOffsets(ctx, "audience")
		if err != nil {
			t.Fatal(err)
		}
		ends.Each(func(end kadm.ListedOffset) {
			if c, ok := commits.Lookup(topic, end.Partition); !ok || c.At != end.Offset {
				t.Errorf("partition %d: committed %d, ends at %d", end.Partition, c.At, end.Offset)
			}
		})
	})
}
