package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type partition struct {
	topic string
	id    int32
}

// offsets are the highest that a group's coordinator acknowledged.
type offsets struct {
	group   string
	commits atomic.Int64

	mu     sync.Mutex
	at     map[partition]int64
	faults []error
}

func newOffsets(group string) *offsets { return &offsets{group: group, at: map[partition]int64{}} }

// known copies them: what a commit that is yet to be sent must not fall behind.
func (o *offsets) known() map[partition]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	copied := make(map[partition]int64, len(o.at))
	for p, at := range o.at {
		copied[p] = at
	}
	return copied
}

// acknowledged notes a commit. One behind what was known before it was sent means that a member
// was given a place that the group had passed.
func (o *offsets) acknowledged(sent, before map[partition]int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for p, at := range sent {
		if at < before[p] && len(o.faults) < 10 {
			o.faults = append(o.faults, fmt.Errorf("group %s: %s/%d went back from offset %d to %d", o.group, p.topic, p.id, before[p], at))
		}
		o.at[p] = max(o.at[p], at)
	}
}

// follow is a member of a group that reads what is committed, and commits as it goes.
func (x *exact) follow(ctx context.Context, o *offsets, opts ...kgo.Opt) error {
	client, err := x.client(append([]kgo.Opt{kgo.ConsumerGroup(o.group), kgo.ConsumeTopics(x.topic(numberedKind), x.topic(transactKind)),
		kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.BlockRebalanceOnPoll()}, opts...)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 500)
		x.consumed.Add(int64(fetches.NumRecords()))
		x.commit(client, o)
		client.AllowRebalance()
	}
	return nil
}

// commit commits what was polled, and counts only what the coordinator acknowledged.
func (x *exact) commit(client *kgo.Client, o *offsets) {
	uncommitted, before := client.UncommittedOffsets(), o.known()
	if len(uncommitted) == 0 {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	client.CommitOffsetsSync(ctx, uncommitted, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			return // not acknowledged, so nothing is promised
		}
		sent := map[partition]int64{}
		for _, topic := range response.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode == 0 {
					sent[partition{topic.Topic, p.Partition}] = uncommitted[topic.Topic][p.Partition].Offset
				}
			}
		}
		o.commits.Add(int64(len(sent)))
		o.acknowledged(sent, before)
	})
}
