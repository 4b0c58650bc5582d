// Command kafka is a Kafka service of three APIs: whatever is produced to it is counted. A
// real client of Kafka produces.
package main

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
)

// counter answers ApiVersions, Metadata and Produce.
type counter struct {
	versions kafka.Versions
	batches  atomic.Int64
}

// HandleAPI answers a well-formed request of a served version; the Filter refused all others.
func (c *counter) HandleAPI(r kafka.APIRequest) {
	req, err := r.Decode()
	if err != nil { // not what the Filter lets in; but whoever decodes looks
		r.CloseConnection(kring.ReasonBodyMalformed)
		return
	}
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		c.versions.Answer(r)
	case *kmsg.MetadataRequest:
		r.Respond(metadata(req, r.Conn()))
	case *kmsg.ProduceRequest:
		if resp := c.produce(req); req.Acks == 0 {
			r.NoResponse()
		} else {
			r.Respond(resp)
		}
	}
}

// metadata names one broker, at the address that the client reached it by, and one partition
// for each topic that was asked for.
func metadata(req *kmsg.MetadataRequest, by *kring.Conn) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID, broker.Host, broker.Port = 1, by.Local.Addr().String(), int32(by.Local.Port())
	resp.Brokers = append(resp.Brokers, broker)
	resp.ControllerID = 1
	for _, asked := range req.Topics {
		topic, partition := kmsg.NewMetadataResponseTopic(), kmsg.NewMetadataResponseTopicPartition()
		topic.Topic = asked.Topic
		partition.Leader, partition.Replicas, partition.ISR = 1, []int32{1}, []int32{1}
		topic.Partitions = append(topic.Partitions, partition)
		if asked.Topic == nil { // by its id: this service has none
			topic.TopicID, topic.ErrorCode, topic.Partitions = asked.TopicID, kerr.UnknownTopicID.Code, nil
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func (c *counter) produce(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition = p.Partition
			partition.BaseOffset = c.batches.Add(1) - 1
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

// start serves it on a free port.
func start() (*counter, *kring.Server, error) {
	versions, err := kafka.NewVersions(
		kafka.VersionRange{Key: int16(kmsg.ApiVersions), Min: 0, Max: 4},
		kafka.VersionRange{Key: int16(kmsg.Metadata), Min: 4, Max: 12},
		kafka.VersionRange{Key: int16(kmsg.Produce), Min: 3, Max: 9},
	)
	if err != nil {
		return nil, nil, err
	}
	c := &counter{versions: versions}
	server, err := kring.New(kring.Config{Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}}, kafka.NewFilter(versions, c))
	if err != nil {
		return nil, nil, err
	}
	return c, server, server.Start()
}

func run(ctx context.Context) error {
	service, server, err := start()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(server.Addrs()[0].String()), kgo.DisableIdempotentWrite())
	if err != nil {
		return err
	}
	for i := range 3 {
		record := kgo.Record{Topic: "orders", Value: fmt.Append(nil, "order ", i)}
		if err := client.ProduceSync(ctx, &record).FirstErr(); err != nil {
			return err
		}
	}
	client.Close()
	fmt.Println("batches:", service.batches.Load())
	return server.Shutdown(ctx)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
