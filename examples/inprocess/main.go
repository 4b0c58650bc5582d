// Command inprocess has a broker and its clients in one process, without a port: for tests of
// programs that use Kafka.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kring"
	"kring/embedded"
)

func run(ctx context.Context) error {
	cluster, err := embedded.Open(embedded.Config{Seed: []embedded.Topic{{Name: "orders", Partitions: 1}}})
	if err != nil {
		return err
	}
	defer cluster.Close()
	server, err := kring.New(kring.Config{Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}}, cluster)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Close()
	cluster.Advertise("in-process", 9092) // any name: every connection is made by Dial

	client, err := kgo.NewClient(
		kgo.SeedBrokers("in-process:9092"),
		kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return server.Dial(ctx, "") }),
		kgo.ConsumeTopics("orders"),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("a hammer")}).FirstErr(); err != nil {
		return err
	}
	fetched := client.PollFetches(ctx)
	if err := fetched.Err(); err != nil {
		return err
	}
	for _, r := range fetched.Records() {
		fmt.Printf("%s %d: %s\n", r.Topic, r.Offset, r.Value)
	}
	return nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
