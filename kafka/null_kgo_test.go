package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kring"
	"kring/internal/leaktest"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// serveNull serves the null handler and returns its address.
func serveNull(t *testing.T, engine kring.Engine, dispatch kring.DispatchMode) string {
	t.Helper()
	null, err := kafka.NewNull(kafka.NullConfig{PartitionsDefault: 3})
	if err != nil {
		t.Fatal(err)
	}
	cfg := kring.Config{Engine: engine, Dispatch: kring.DispatchConfig{Mode: dispatch}, Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}}
	s, err := kring.New(cfg, kafka.NewFilter(null.Versions(), null))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		null.Close()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s.Addrs()[0].String()
}

// clients are the kinds of acknowledgement that a producer may ask for.
var clients = map[string][]kgo.Opt{
	"acks0":      {kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()},
	"acks1":      {kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
	"acksAll":    {kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite()},
	"idempotent": {kgo.RequiredAcks(kgo.AllISRAcks())},
}

func TestARealProducerIsHappyWithTheNullHandler(t *testing.T) {
	ways := []struct {
		engine   kring.Engine
		dispatch kring.DispatchMode
	}{
		{kring.EngineURing, kring.DispatchPool}, {kring.EngineURing, kring.DispatchInline},
		{kring.EngineEpoll, kring.DispatchPool}, {kring.EnginePortable, kring.DispatchInline},
	}
	for _, way := range ways {
		t.Run(string(way.engine)+"-"+string(way.dispatch), func(t *testing.T) {
			addr := serveNull(t, way.engine, way.dispatch)
			for topic, opts := range clients {
				produceAll(t, topic, append(opts, kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic)))
			}
			consumeNothing(t, addr)
		})
	}
}

const recordsPerProducer = 500

func produceAll(t *testing.T, topic string, opts []kgo.Opt) {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	failed := make(chan error, recordsPerProducer)
	for range recordsPerProducer {
		cl.Produce(ctx, &kgo.Record{Value: make([]byte, 100)}, func(_ *kgo.Record, err error) { failed <- err })
	}
	for range recordsPerProducer {
		if err := <-failed; err != nil {
			t.Fatalf("%s: %v", topic, err)
		}
	}
	if end := endOf(t, ctx, cl, topic); end != recordsPerProducer {
		t.Errorf("%s: the logs end at %d in all, %d records were sent", topic, end, recordsPerProducer)
	}
}

// endOf adds up the end offsets of the partitions of topic. With acks=0 the requests are
// on another connection, so it waits for them.
func endOf(t *testing.T, ctx context.Context, cl *kgo.Client, topic string) (sum int64) {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for p := range int32(3) {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p, -1
		asked.Partitions = append(asked.Partitions, part)
	}
	req.Topics = append(req.Topics, asked)
	for sum < recordsPerProducer {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			t.Fatalf("%s: %d of %d records arrived: %v", topic, sum, recordsPerProducer, err)
		}
		sum = 0
		for _, p := range resp.Topics[0].Partitions {
			sum += p.Offset
		}
	}
	return sum
}

// consumeNothing polls until its time ends: no record and no error may come.
func consumeNothing(t *testing.T, addr string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("acks1"), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	fetches := cl.PollFetches(ctx)
	for _, f := range fetches.Errors() {
		if !errors.Is(f.Err, context.DeadlineExceeded) {
			t.Errorf("%s-%d: %v", f.Topic, f.Partition, f.Err)
		}
	}
	if n := fetches.NumRecords(); n != 0 {
		t.Errorf("%d records came out of nothing", n)
	}
}
