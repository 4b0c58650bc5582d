package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// dialer connects clients.
type dialer struct {
	seeds     []string
	name      string
	addresses []string // of name
	turn      atomic.Int64
}

func (d *dialer) parse(bootstrap, name string) error {
	d.seeds = list(bootstrap)
	if len(d.seeds) == 0 {
		return errors.New("-bootstrap is empty: give HOST:PORT")
	}
	if name == "" {
		return nil
	}
	host, addresses, found := strings.Cut(name, "=")
	d.name, d.addresses = host, list(addresses)
	if !found || host == "" || len(d.addresses) == 0 {
		return fmt.Errorf("-name %q: NAME=ADDRESS,… is wanted", name)
	}
	return nil
}

// DialContext tries one address of the name after the other, beginning with another one each time.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	to := net.Dialer{Timeout: 5 * time.Second}
	if d.name == "" || host != d.name {
		return to.DialContext(ctx, network, address)
	}
	first := int(d.turn.Add(1))
	for i := range d.addresses {
		var conn net.Conn
		if conn, err = to.DialContext(ctx, network, net.JoinHostPort(d.addresses[(first+i)%len(d.addresses)], port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// client makes one with what all have in common.
func (x *exact) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(x.dial.seeds...), kgo.Dialer(x.dial.DialContext), kgo.ClientID("exact"),
		kgo.RetryTimeout(patience), kgo.AlwaysRetryEOF(), kgo.MetadataMinAge(250 * time.Millisecond),
	}, opts...)...)
}

// admin calls do with a client for administration.
func (x *exact) admin(do func(context.Context, *kadm.Client) error) error {
	client, err := x.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	return do(ctx, kadm.NewClient(client))
}

func (x *exact) createTopics() error {
	return x.admin(func(ctx context.Context, adm *kadm.Client) error {
		for _, kind := range []string{numberedKind, transactKind, silentKind} {
			_, err := adm.CreateTopic(ctx, partitions, -1, nil, x.topic(kind))
			if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
				return fmt.Errorf("creating the topic %s: %w", x.topic(kind), err)
			}
		}
		return nil
	})
}

// awaitBrokers waits until n brokers are there and no partition lacks a replica.
func (x *exact) awaitBrokers(n int) error {
	return x.admin(func(ctx context.Context, adm *kadm.Client) error {
		for {
			err := inSync(ctx, adm, n)
			if err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("after %v: %w", patience, err)
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

func inSync(ctx context.Context, adm *kadm.Client, n int) error {
	m, err := adm.Metadata(ctx)
	if err != nil {
		return err
	}
	if len(m.Brokers) != n {
		return fmt.Errorf("%d brokers of %d", len(m.Brokers), n)
	}
	for _, topic := range m.Topics {
		for _, p := range topic.Partitions {
			if p.Err != nil || p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s/%d: leader %d, %v of %v in sync: %w", topic.Topic, p.Partition, p.Leader, p.ISR, p.Replicas, p.Err)
			}
		}
	}
	return nil
}
