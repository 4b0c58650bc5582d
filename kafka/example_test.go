package kafka_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
)

// versions are the APIs that the service answers. ApiVersions is always one of them: every
// client asks for it first.
func versions() (kafka.Versions, error) {
	return kafka.NewVersions(
		kafka.VersionRange{Key: int16(kmsg.ApiVersions), Min: 0, Max: 4},
		kafka.VersionRange{Key: int16(kmsg.Metadata), Min: 0, Max: 12},
		kafka.VersionRange{Key: int16(kmsg.CreateTopics), Min: 0, Max: 6},
	)
}

// A service that speaks Kafka: the Filter is the Handler of the server and lets only
// well-formed requests of served versions through to the APIHandler, which answers them by
// kmsg's types. A real client talks to it.
func Example() {
	served, err := versions()
	if err != nil {
		fmt.Println(err)
		return
	}
	service := kafka.APIHandlerFunc(func(r kafka.APIRequest) {
		req, err := r.Decode()
		if err != nil { // not what the filter lets in; but whoever decodes looks
			r.CloseConnection(kring.ReasonBodyMalformed)
			return
		}
		switch req := req.(type) {
		case *kmsg.ApiVersionsRequest:
			served.Answer(r)
		case *kmsg.MetadataRequest:
			resp := req.ResponseKind().(*kmsg.MetadataResponse)
			broker := kmsg.NewMetadataResponseBroker()
			at := r.Conn().Local // the address that this client reached us by
			broker.NodeID, resp.ControllerID = 1, 1
			broker.Host, broker.Port = at.Addr().String(), int32(at.Port())
			resp.Brokers = append(resp.Brokers, broker)
			r.Respond(resp)
		case *kmsg.CreateTopicsRequest:
			resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
			for _, t := range req.Topics {
				topic := kmsg.NewCreateTopicsResponseTopic()
				topic.Topic = t.Topic
				resp.Topics = append(resp.Topics, topic)
			}
			r.Respond(resp)
		}
	})
	server, err := kring.New(kring.Config{Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}}, kafka.NewFilter(served, service))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	client, err := kgo.NewClient(kgo.SeedBrokers(server.Addrs()[0].String()))
	if err != nil {
		fmt.Println(err)
		return
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic = "orders"
	create.Topics = append(create.Topics, topic)
	created, err := create.RequestWith(ctx, client)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("created", created.Topics[0].Topic)
	client.Close()
	fmt.Println(server.Shutdown(ctx))
	// Output:
	// created orders
	// <nil>
}
