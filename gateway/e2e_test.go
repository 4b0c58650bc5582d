package gateway

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var modes = map[string]Mode{"multiplexed": Multiplexed, "dedicated": Dedicated}

// everyWay has a gateway on each engine, in each mode.
func everyWay(t *testing.T, property func(t *testing.T, name string, b *bed)) {
	for _, engine := range servertest.Engines() {
		for name, mode := range modes {
			t.Run(string(engine)+"/"+name, func(t *testing.T) {
				property(t, name, newBed(t, bedOptions{
					gateway: func(c *Config) { c.Mode = mode }, server: func(c *kring.Config) { c.Engine = engine },
				}))
			})
		}
	}
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// produce sends n records to topic and returns when all are acknowledged.
func produce(t testing.TB, cl *kgo.Client, topic string, n int) {
	t.Helper()
	ctx := deadline(t)
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Append(nil, i%17), Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil || t.Failed() {
		t.Fatal(err)
	}
}

// consume reads n records and returns how often each value came.
func consume(t testing.TB, cl *kgo.Client, n int) map[string]int {
	t.Helper()
	ctx, seen := deadline(t), map[string]int{}
	for got := 0; got < n; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", got, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++; got++ })
	}
	return seen
}

func TestRecordsComeBackThroughTheGateway(t *testing.T) {
	everyWay(t, func(t *testing.T, name string, b *bed) {
		const n = 2000
		produce(t, b.client(), "things", n)
		seen := consume(t, b.client(kgo.ConsumeTopics("things"), kgo.ConsumerGroup("g-"+name)), n)
		for v, times := range seen {
			if times != 1 {
				t.Errorf("record %s came %d times", v, times)
			}
		}
		if len(seen) != n {
			t.Errorf("%d of %d records came", len(seen), n)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, w := range b.warnings {
			t.Error(w)
		}
	})
}

func TestTransactionsGoThroughTheGateway(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{gateway: func(c *Config) { c.Mode = mode }})
			cl := b.client(kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("tx"))
			ctx := deadline(t)
			for i := range 10 {
				if err := cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				for k := range 20 {
					cl.Produce(ctx, kgo.StringRecord(fmt.Sprint(i, "-", k)), nil)
				}
				if err := cl.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(i%2 == 0)); err != nil {
					t.Fatal(err)
				}
			}
			seen := consume(t, b.client(kgo.ConsumeTopics("tx"), kgo.FetchIsolationLevel(kgo.ReadCommitted())), 100)
			if len(seen) != 100 {
				t.Errorf("%d records of committed transactions", len(seen))
			}
		})
	}
}

func TestProducersWithoutAnswersLoseNothingInPeace(t *testing.T) {
	b := newBed(t, bedOptions{})
	cl := b.client(kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	produce(t, cl, "silent", 500)
	cl.Close()
	if n := len(consume(t, b.client(kgo.ConsumeTopics("silent")), 500)); n != 500 {
		t.Errorf("%d of 500 records came", n)
	}
}

// TestLargeRecordsComeBackWhole: they are received where they are sent from, both ways.
func TestLargeRecordsComeBackWhole(t *testing.T) {
	everyWay(t, func(t *testing.T, _ string, b *bed) {
		cl := b.client(kgo.ProducerBatchMaxBytes(900_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
		ctx, want := deadline(t), map[string]int{}
		for i := range 12 {
			v := bytes.Repeat([]byte{byte('a' + i)}, 20_000+i*70_000)
			want[string(v)] = 1
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "large", Value: v}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if got := consume(t, b.client(kgo.ConsumeTopics("large")), 12); !maps.Equal(got, want) {
			t.Errorf("%d of 12 records came back whole", len(got))
		}
	})
}

// TestABigGroupJoinsThroughFewConnections: members of a classic group wait for each other,
// so that a bound on connections that wait must not be one on members that join.
func TestABigGroupJoinsThroughFewConnections(t *testing.T) {
	b := newBed(t, bedOptions{gateway: func(c *Config) { c.Waiting, c.Connections = 2, 1 }})
	produce(t, b.client(), "shared", 300)
	const members = 12
	got, done := make(chan string, 300), make(chan struct{})
	t.Cleanup(func() { close(done) })
	for range members {
		cl := b.client(kgo.ConsumeTopics("shared"), kgo.ConsumerGroup("big"), kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit(),
			kgo.HeartbeatInterval(100*time.Millisecond)) // by which a member hears that the group rebalances
		go func() {
			for {
				fetches := cl.PollFetches(context.Background())
				if fetches.IsClientClosed() {
					return
				}
				fetches.EachRecord(func(r *kgo.Record) { // again when the group has rebalanced
					select {
					case got <- string(r.Value):
					case <-done:
					}
				})
			}
		}()
	}
	seen, ctx := map[string]bool{}, deadline(t)
	for len(seen) < 300 {
		select {
		case v := <-got:
			seen[v] = true
		case <-ctx.Done():
			t.Fatalf("%d of 300 records came", len(seen))
		}
	}
}

// TestNothingAcknowledgedIsLostOrDoubledWhenConnectionsBreak cuts all upstream connections
// again and again, and has leaders and coordinators move.
func TestNothingAcknowledgedIsLostOrDoubledWhenConnectionsBreak(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{gateway: func(c *Config) { c.Mode = mode }})
			// Where each client has a connection of its own, the first request of one may be cut off:
			// franz-go would take that for a listener that wants SASL, and give up.
			cl := b.client(kgo.RecordRetries(1<<20), kgo.AlwaysRetryEOF())
			produce(t, cl, "kept", 10)
			const n, rounds = 3000, 12
			ctx := deadline(t)
			acked := make(chan error, n)
			for i := range n {
				cl.Produce(ctx, &kgo.Record{Topic: "kept", Value: fmt.Appendf(nil, "n%d", i)}, func(_ *kgo.Record, err error) { acked <- err })
				if i%(n/rounds) == n/rounds-1 {
					<-acked // some are under way
					b.dialer.cut()
					b.cluster.ShufflePartitionLeaders()
					b.cluster.RehashCoordinators()
				}
			}
			for range n - rounds {
				if err := <-acked; err != nil {
					t.Fatal(err)
				}
			}
			seen := consume(t, b.client(kgo.ConsumeTopics("kept"), kgo.ConsumerGroup("after")), n+10)
			if len(seen) != n+10 {
				t.Errorf("%d of %d records came", len(seen), n+10)
			}
			for v, times := range seen {
				if times != 1 {
					t.Errorf("record %s came %d times", v, times)
				}
			}
		})
	}
}

// TestBrokersThatGoAndComeAreFollowed: one goes, and comes back under another address.
func TestBrokersThatGoAndComeAreFollowed(t *testing.T) {
	b := newBed(t, bedOptions{})
	cl := b.client(kgo.RecordRetries(1 << 20))
	produce(t, cl, "followed", 100)
	for node := range int32(bedNodes) {
		if err := b.cluster.RemoveNode(node); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, "followed", 100)
		if _, _, err := b.cluster.AddNode(node, 0); err != nil {
			t.Fatal(err)
		}
		b.cluster.ShufflePartitionLeaders()
		produce(t, cl, "followed", 100)
	}
	seen := consume(t, b.client(kgo.ConsumeTopics("followed")), 700)
	if len(seen) != 100 {
		t.Errorf("%d values", len(seen))
	}
}

func TestTheUpstreamIsAuthenticatedTo(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			who := &Identity{Name: "test", Mechanism: mechanism, User: "gw", Password: "secret"}
			if err := who.Validate(); err != nil {
				t.Fatal(err)
			}
			b := newBed(t, bedOptions{
				cluster: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(mechanism, "gw", "secret")},
				gateway: func(c *Config) { c.IdentityOf = func(*kring.Conn) *Identity { return who } },
			})
			produce(t, b.client(), "secret", 100)
			if n := len(consume(t, b.client(kgo.ConsumeTopics("secret")), 100)); n != 100 {
				t.Errorf("%d records", n)
			}
		})
	}
}

// TestCredentialsOfClientsAloneFindTheBrokers: a broker that wants SASL tells nobody else of the others.
func TestCredentialsOfClientsAloneFindTheBrokers(t *testing.T) {
	for _, engine := range servertest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			who, err := ReadCredentials(strings.NewReader("User:ANONYMOUS SCRAM-SHA-256 ann secret\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			b := newBed(t, bedOptions{
				cluster: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "ann", "secret")},
				gateway: func(c *Config) { c.IdentityOf = who.Of },
				server:  func(c *kring.Config) { c.Engine = engine },
			})
			produce(t, b.client(), "secret", 10)
			if n := b.gateway.unheard.Load(); n != 0 {
				t.Errorf("the gateway itself was not answered %d times", n)
			}
		})
	}
}

// TestACertificateThatTheDialerLacksIsAnError: with that of another the gateway would be
// somebody else to the brokers.
func TestACertificateThatTheDialerLacksIsAnError(t *testing.T) {
	who, down := &Identity{TLS: "other"}, make(chan error, 1)
	newBed(t, bedOptions{gateway: func(c *Config) {
		c.IdentityOf = func(*kring.Conn) *Identity { return who }
		c.Events.BrokerDown = func(_ int32, _ kafka.Address, err error) {
			select {
			case down <- err:
			default: // another broker
			}
		}
	}})
	select {
	case err := <-down:
		if !strings.Contains(err.Error(), `Identity.TLS "other"`) {
			t.Error(err)
		}
	case <-deadline(t).Done():
		t.Error("it was not refused")
	}
}

// TestClientsAuthenticateThroughTheGateway: in dedicated mode their own exchange goes to the
// broker.
func TestClientsAuthenticateThroughTheGateway(t *testing.T) {
	b := newBed(t, bedOptions{
		cluster: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "ann", "secret")},
		gateway: func(c *Config) { c.Mode, c.PassSASL = Dedicated, true },
	})
	auth := kgo.SASL(scram.Auth{User: "ann", Pass: "secret"}.AsSha256Mechanism())
	// The gateway itself is nobody to such an upstream, and learns the brokers' addresses
	// from what clients are answered.
	produce(t, b.client(auth), "passed", 100)
	if n := len(consume(t, b.client(auth, kgo.ConsumeTopics("passed")), 100)); n != 100 {
		t.Errorf("%d records", n)
	}
}
