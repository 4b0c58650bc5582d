package gateways

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/bench/contestant"
)

// The topics: one for single requests, one with more partitions for the producer.
const (
	topic         = "kring-bench"
	producerTopic = "kring-bench-producer"
)

// producer sends records as fast as it is allowed to, idempotently and to all replicas, as
// clients do by default.
func (r *runner) producer(ctx context.Context, round int, c Contestant, batch int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Address), kgo.DefaultProduceTopic(producerTopic), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchMaxBytes(int32(batch)+recordOverhead), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(20_000), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(ctx, r.Window+time.Minute)
	defer stop()
	var done, failed atomic.Int64
	value := make([]byte, recordBytes)
	// Until the producer has its id and its partitions nothing is measured.
	if err := client.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr(); err != nil {
		return fmt.Errorf("producing the first record: %w", err)
	}
	var before, after contestant.Sample
	if c.PID != 0 {
		if before, err = contestant.TakeSample(c.PID); err != nil {
			return err
		}
	}
	begun := time.Now()
	for time.Since(begun) < r.Window {
		client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
				return
			}
			done.Add(1)
		})
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("waiting for the last records: %w", err)
	}
	took := time.Since(begun)
	rec := Record{Round: round, Contestant: c.Name, Step: stepProducer, Kind: fmt.Sprintf("%d KiB", batch>>10), Rate: float64(done.Load()) / took.Seconds()}
	if c.PID != 0 {
		if after, err = contestant.TakeSample(c.PID); err != nil {
			return err
		}
		if rec.CPU = after.Since(before).CPUSeconds() / took.Seconds(); rec.CPU > 0 {
			rec.PerCPU = rec.Rate / rec.CPU
		}
	}
	if n := failed.Load(); n > 0 {
		rec.Invalid = append(rec.Invalid, fmt.Sprintf("%d records failed", n))
	}
	return r.write(rec)
}

// recordOverhead lets a batch of 1 KiB hold one record of 1 KiB.
const recordOverhead = 128

// idle connects clients, each of which asks for versions and metadata as clients do, and
// then for an offset, and counts what that leaves at the gateway and at the broker.
func (r *runner) idle(round int, c Contestant) error {
	pid := c.PID
	if pid == 0 {
		pid = os.Getpid()
	}
	before, err := contestant.TakeSample(pid)
	if err != nil {
		return err
	}
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for range r.Idle {
		conn, err := greet(c.Address)
		if err != nil {
			return fmt.Errorf("idle client %d: %w", len(conns), err)
		}
		conns = append(conns, conn)
	}
	after, err := contestant.TakeSample(pid)
	if err != nil {
		return err
	}
	n, err := upstream(pid, r.port())
	if err != nil {
		return err
	}
	rec := Record{Round: round, Contestant: c.Name, Step: stepIdle, Kind: fmt.Sprintf("%d clients", r.Idle), Upstream: n}
	if c.PID != 0 {
		rec.RSSBytes, rec.Grown = after.RSSBytes, after.RSSBytes-before.RSSBytes
	}
	return r.write(rec)
}

// greet connects and asks what every client asks first.
func greet(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.Version, versions.ClientSoftwareName, versions.ClientSoftwareVersion = 3, "kring-bench", "1"
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 9
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = kmsg.StringPtr(topic)
	metadata.Topics = append(metadata.Topics, one)
	offsets := kmsg.NewPtrListOffsetsRequest()
	offsets.Version, offsets.ReplicaID = 2, -1
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic = topic
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Timestamp = -1
	of.Partitions = append(of.Partitions, partition)
	offsets.Topics = append(offsets.Topics, of)
	for _, request := range []kmsg.Request{versions, metadata, offsets} {
		if err := exchange(conn, request); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s: %w", kmsg.NameForKey(request.Key()), err)
		}
	}
	return conn, nil
}
