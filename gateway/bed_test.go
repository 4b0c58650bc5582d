package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cutter is the Server's Dialer; it can close all that it opened.
type cutter struct {
	*ServerDialer
	mu    sync.Mutex
	links map[*cutLink]bool // guarded by mu
}

type cutLink struct {
	LinkEvents
	Link
	of *cutter
}

func (c *cutter) Dial(to Target, events LinkEvents) Link {
	l := &cutLink{LinkEvents: events, of: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links[l] = true
	l.Link = c.ServerDialer.Dial(to, l)
	return l.Link
}

// Closed is of LinkEvents.
func (l *cutLink) Closed(err error) {
	l.of.mu.Lock()
	delete(l.of.links, l)
	l.of.mu.Unlock()
	l.LinkEvents.Closed(err)
}

// cut ends all connections, as a broker that ends would.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.links {
		l.Close(io.EOF)
	}
}

// bed is a gateway in front of three brokers in the process. Clients know brokers by the
// names node-0.test and so on; a dialer of theirs knows where these are.
type bed struct {
	t       testing.TB
	cluster *kfake.Cluster
	server  *kring.Server
	gateway *Gateway
	dialer  *cutter
	ports   map[string]string // by listener

	mu       sync.Mutex
	warnings []string
}

const bedNodes = 3

type bedOptions struct {
	gateway func(*Config)
	server  func(*kring.Config)
	cluster []kfake.Opt
	filter  func(*kafka.Filter, *Gateway)
	// beforeServing is called before anybody connects.
	beforeServing func(*bed)
}

func newBed(t testing.TB, o bedOptions) *bed {
	t.Helper()
	b := &bed{t: t, dialer: &cutter{ServerDialer: NewServerDialer(nil), links: map[*cutLink]bool{}}, ports: map[string]string{}}
	var err error
	b.cluster, err = kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(bedNodes), kfake.DefaultNumPartitions(6), kfake.AllowAutoTopicCreation()}, o.cluster...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cluster.Close)
	cfg := Config{
		Addressing: Addressing{Names: "node-$(node).test", NamesPort: 9092},
		NodeOf: func(c *kring.Conn) int32 {
			if id, err := strconv.Atoi(strings.TrimPrefix(c.Listener, "node-")); err == nil {
				return int32(id)
			}
			return NoNode
		},
		Events: Events{Warning: func(text string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.warnings = append(b.warnings, text)
		}},
	}
	for _, at := range b.cluster.ListenAddrs() {
		a, err := kafka.ParseAddress(at)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Bootstrap = append(cfg.Bootstrap, a)
	}
	if o.gateway != nil {
		o.gateway(&cfg)
	}
	if b.gateway, err = New(cfg, b.dialer); err != nil {
		t.Fatal(err)
	}
	if o.beforeServing != nil {
		o.beforeServing(b)
	}
	b.serve(o)
	return b
}

func (b *bed) serve(o bedOptions) {
	names := []string{"bootstrap"}
	for i := range bedNodes {
		names = append(names, fmt.Sprintf("node-%d", i))
	}
	cfg := kring.Config{Dispatch: kring.DispatchConfig{Mode: kring.DispatchInline}, Limits: kring.LimitsConfig{PipelineMax: 16}}
	for _, name := range names {
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: name, Address: "127.0.0.1:0"})
	}
	if o.server != nil {
		o.server(&cfg)
	}
	filter := kafka.NewFilter(Served(b.gateway.cfg.Announced...), b.gateway)
	if o.filter != nil {
		o.filter(filter, b.gateway)
	}
	b.server = servertest.Start(b.t, cfg, filter)
	for _, l := range b.server.Listeners() {
		b.ports[l.Name] = l.Address
	}
	b.dialer.Use(b.server)
	b.gateway.Start()
	b.t.Cleanup(b.gateway.Close)
}

// client is franz-go's, by the gateway.
func (b *bed) client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers("bootstrap.test:9092"), kgo.Dialer(b.dial), kgo.MetadataMinAge(50 * time.Millisecond), kgo.AllowAutoTopicCreation()}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return cl
}

func (b *bed) dial(ctx context.Context, network, host string) (net.Conn, error) {
	name, _, _ := strings.Cut(host, ".test:")
	at, known := b.ports[name]
	if !known {
		return nil, fmt.Errorf("a client was told to go to %s, which is not the gateway", host)
	}
	return new(net.Dialer).DialContext(ctx, network, at)
}
