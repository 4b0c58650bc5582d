package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// place of a record.
type place struct {
	partition int32
	offset    int64
}

// shared is what the share group was given. A record comes again until the broker has
// confirmed that it was accepted, and not after that.
type shared struct {
	mu       sync.Mutex
	seen     map[place]bool
	accepted map[place]bool
	again    int
	faults   []error
}

func newShared() *shared { return &shared{seen: map[place]bool{}, accepted: map[place]bool{}} }

// given notes what came.
func (s *shared) given(records []*kgo.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		p := place{r.Partition, r.Offset}
		if s.accepted[p] && len(s.faults) < 10 {
			s.faults = append(s.faults, fmt.Errorf("share group: the record at offset %d of partition %d came again, delivery %d, after the broker had confirmed that it was accepted", r.Offset, r.Partition, r.DeliveryCount()))
		}
		if s.seen[p] {
			s.again++
		}
		s.seen[p] = true
	}
}

// confirmed notes what the broker confirmed of what came.
func (s *shared) confirmed(records []*kgo.Record, results kgo.ShareAckResults) (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	good, bad := map[int32]bool{}, map[int32]bool{}
	for _, r := range results {
		good[r.Partition] = true
		bad[r.Partition] = bad[r.Partition] || r.Err != nil
	}
	for _, r := range records {
		if good[r.Partition] && !bad[r.Partition] {
			s.accepted[place{r.Partition, r.Offset}] = true
			n++
		}
	}
	return n
}

// count is how many different records came.
func (s *shared) count() (seen, again int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen), s.again
}

// createShareGroup has the group begin with the first record.
func (x *exact) createShareGroup() error {
	return x.admin(func(ctx context.Context, adm *kadm.Client) error {
		value := "earliest"
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value = "share.auto.offset.reset", &value
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, x.shareGroup()
		resource.Configs = append(resource.Configs, config)
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = append(req.Resources, resource)
		client, err := x.client()
		if err != nil {
			return err
		}
		defer client.Close()
		resp, err := req.RequestWith(ctx, client)
		if err == nil && len(resp.Resources) == 1 {
			err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
		}
		if err != nil {
			return fmt.Errorf("settings of the share group %s: %w", x.shareGroup(), err)
		}
		return nil
	})
}

func (x *exact) shareGroup() string { return x.topics + "-shared" }

// share is a member of the share group, which accepts what comes, and is told what became of it,
// before it asks for more.
func (x *exact) share(ctx context.Context, s *shared) error {
	var mu sync.Mutex
	var results kgo.ShareAckResults // guarded by mu
	client, err := x.client(kgo.ShareGroup(x.shareGroup()), kgo.ConsumeTopics(x.topic(numberedKind)),
		kgo.ShareAckCallback(func(_ *kgo.Client, more kgo.ShareAckResults) {
			mu.Lock()
			defer mu.Unlock()
			results = append(results, more...)
		}))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		records := client.PollRecords(ctx, 500).Records()
		s.given(records)
		client.MarkAcks(kgo.AckAccept, records...)
		last, stop := context.WithTimeout(context.Background(), patience)
		err := client.FlushAcks(last)
		stop()
		if err != nil {
			return fmt.Errorf("share group: %d records were not answered for within %v: %w", len(records), patience, err)
		}
		mu.Lock()
		x.accepted.Add(s.confirmed(records, results))
		results = nil
		mu.Unlock()
	}
	return nil
}

// verifyShared wants every record to have come: what is left is read here.
func (x *exact) verifyShared(s *shared, records int) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	rest, done := context.WithCancel(ctx)
	defer done()
	fault := make(chan error, 1)
	go func() { fault <- x.share(rest, s) }()
	seen, _ := s.count()
	for ; seen < records && pause(ctx, paceTime); seen, _ = s.count() {
	}
	done()
	err := <-fault
	if seen, _ = s.count(); seen < records {
		err = errors.Join(err, fmt.Errorf("share group: %d of %d records came", seen, records))
	}
	return errors.Join(append(s.faults, err)...)
}
