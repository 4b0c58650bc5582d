package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stored is one record as it was read.
type stored struct {
	partition  int32
	id, number int
}

// readAll reads a topic from its first to its last committed record, in the order of its partitions.
func (x *exact) readAll(topic string) (all []stored, err error) {
	err = x.admin(func(ctx context.Context, adm *kadm.Client) error {
		ends, err := adm.ListCommittedOffsets(ctx, topic)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return fmt.Errorf("the last offsets of %s: %w", topic, err)
		}
		from, left := map[int32]kgo.Offset{}, map[int32]int64{}
		ends.Each(func(l kadm.ListedOffset) {
			if l.Offset > 0 {
				from[l.Partition], left[l.Partition] = kgo.NewOffset().AtStart(), l.Offset
			}
		})
		all, err = x.read(ctx, topic, from, left)
		return err
	})
	return all, err
}

// read consumes until every partition has come to its end.
func (x *exact) read(ctx context.Context, topic string, from map[int32]kgo.Offset, left map[int32]int64) (all []stored, err error) {
	client, err := x.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s was not read to its end within %v: %v is left", topic, patience, left)
		}
		var fault error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition) // a control record ends a partition of transactions
			}
			if r.Attrs.IsControl() {
				return
			}
			s := stored{partition: r.Partition}
			if _, err := fmt.Sscanf(string(r.Value), "%d %d", &s.id, &s.number); err != nil {
				fault = fmt.Errorf("%s/%d: a record at offset %d that nobody wrote: %q", topic, r.Partition, r.Offset, r.Value)
			}
			all = append(all, s)
		})
		if fault != nil {
			return nil, fault
		}
	}
	return all, nil
}

func (x *exact) verify(r *ran) (faults []error) {
	for kind, holds := range map[string]func([]stored) error{
		numberedKind: func(all []stored) error { return verifyNumbered(all, r.numbered) },
		transactKind: func(all []stored) error { return verifyTransactions(all, r.transactions) },
	} {
		records, err := x.readAll(x.topic(kind))
		if err == nil {
			err = holds(records)
		}
		faults = append(faults, err)
	}
	for _, o := range []*offsets{r.classic, r.next} {
		faults = append(append(faults, o.faults...), x.verifyOffsets(o))
	}
	if x.many.share > 0 {
		sent := 0
		for _, n := range r.numbered {
			sent += n.sent
		}
		faults = append(faults, x.verifyShared(r.shared, sent))
	}
	return faults
}

// verifyNumbered wants of each producer every number once, in order, in its partition.
func verifyNumbered(records []stored, numbered []numbering) error {
	next := make([]int, len(numbered))
	for _, r := range records {
		switch {
		case r.id >= len(numbered) || r.partition != numbered[r.id].partition:
			return fmt.Errorf("record %d of producer %d is in partition %d", r.number, r.id, r.partition)
		case r.number < next[r.id]:
			return fmt.Errorf("record %d of producer %d is there twice, or behind %d", r.number, r.id, next[r.id]-1)
		case r.number > next[r.id]:
			return fmt.Errorf("record %d of producer %d is missing: it was acknowledged, and %d follows %d", next[r.id], r.id, r.number, next[r.id]-1)
		}
		next[r.id]++
	}
	for id, n := range next {
		if n != numbered[id].sent {
			return fmt.Errorf("producer %d: %d records are there of %d", id, n, numbered[id].sent)
		}
	}
	return nil
}

// verifyTransactions wants what was committed once in every partition, in order, and nothing
// of what was aborted.
func verifyTransactions(records []stored, transactions []ledger) error {
	count := make([]map[int]int, len(transactions))
	for i := range count {
		count[i] = map[int]int{}
	}
	last := map[[2]int]int{} // by producer and partition
	for _, r := range records {
		if r.id >= len(transactions) || r.number >= len(transactions[r.id]) {
			return fmt.Errorf("transaction %d of producer %d was never begun", r.number, r.id)
		}
		at := [2]int{r.id, int(r.partition)}
		if before, any := last[at]; any && r.number <= before {
			return fmt.Errorf("transaction %d of producer %d is there twice, or behind %d, in partition %d", r.number, r.id, before, r.partition)
		}
		last[at] = r.number
		count[r.id][r.number]++
	}
	for id, l := range transactions {
		for number, how := range l {
			n := count[id][number]
			if how == committed && n != partitions || how == aborted && n != 0 || n != 0 && n != partitions {
				return fmt.Errorf("transaction %d of producer %d (%v): %d of %d records are there", number, id, how, n, partitions)
			}
		}
	}
	return nil
}

func (o outcome) String() string {
	return [...]string{"aborted", "committed", "not known how it ended"}[o]
}

// verifyOffsets wants a group where it was when it last committed.
func (x *exact) verifyOffsets(o *offsets) error {
	if len(o.known()) == 0 {
		return nil
	}
	return x.admin(func(ctx context.Context, adm *kadm.Client) error {
		kept, err := adm.FetchOffsets(ctx, o.group)
		if err != nil {
			return fmt.Errorf("the offsets of the group %s: %w", o.group, err)
		}
		for p, at := range o.known() {
			k, any := kept.Lookup(p.topic, p.id)
			if !any || k.At < at {
				return fmt.Errorf("group %s: %s/%d was committed at %d, and %d is kept (any: %t)", o.group, p.topic, p.id, at, k.At, any)
			}
		}
		return nil
	})
}
