// Package e2e drives the whole path with franz-go's client: a client's bytes
// through an engine, a processor, the request channel, a handler and the
// embedded cluster, and back.
package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kring"
	"kring/embedded"
	"kring/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// deadline bounds every wait of these tests.
const deadline = 3 * time.Minute

// path is one way through the network layer.
type path struct {
	engine   kring.Engine
	dispatch kring.DispatchMode
	wait     kring.Wait
	pipeline int
}

func (p path) String() string {
	return fmt.Sprintf("%s %s %s pipeline %d", p.engine, p.dispatch, p.wait, p.pipeline)
}

// paths are all engines with both dispatch modes; the other dimensions vary
// along with them instead of multiplying.
func paths() []path {
	all := []path{
		{kring.EngineURing, kring.DispatchPool, kring.WaitParked, 1},
		{kring.EngineURing, kring.DispatchInline, kring.WaitLocked, 8},
		{kring.EngineEpoll, kring.DispatchPool, kring.WaitLocked, 8},
		{kring.EngineEpoll, kring.DispatchInline, kring.WaitParked, 1},
		{kring.EnginePortable, kring.DispatchPool, kring.WaitParked, 8},
		{kring.EnginePortable, kring.DispatchInline, kring.WaitLocked, 1},
	}
	if runtime.GOOS != "linux" {
		return all[4:]
	}
	return all
}

// overPaths runs a test once for every way through.
func overPaths(t *testing.T, test func(t *testing.T, n *node)) {
	for _, p := range paths() {
		t.Run(p.String(), func(t *testing.T) { test(t, start(t, p)) })
	}
}

// overEngines runs a test once for every engine, with dispatch modes in turn.
func overEngines(t *testing.T, test func(t *testing.T, n *node)) {
	all := paths()
	for i := 0; i < len(all); i += 2 {
		p := all[i+(i/2)%2]
		t.Run(p.String(), func(t *testing.T) { test(t, start(t, p)) })
	}
}

// node is an embedded cluster behind a server.
type node struct {
	t    *testing.T
	addr string
}

func start(t *testing.T, p path) *node {
	t.Helper()
	return startWith(t, p, embedded.Config{Partitions: 3}, kring.ListenerConfig{Address: "127.0.0.1:0"})
}

// startWith serves a cluster on a listener.
func startWith(t *testing.T, p path, c embedded.Config, l kring.ListenerConfig) *node {
	t.Helper()
	c.PipelineMax = p.pipeline
	cluster, err := embedded.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	server, err := kring.New(kring.Config{
		Listeners: []kring.ListenerConfig{l},
		Engine:    p.engine, Dispatch: kring.DispatchConfig{Mode: p.dispatch}, Processors: kring.ProcessorsConfig{Wait: p.wait, Count: 2}, Limits: kring.LimitsConfig{PipelineMax: p.pipeline},
	}, cluster)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := cluster.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		st := server.Stats()
		if st.Open != 0 || st.RequestBytes != 0 || st.QueuedRequests != 0 {
			t.Errorf("left behind: %d connections, %d requests, %d bytes", st.Open, st.QueuedRequests, st.RequestBytes)
		}
	})
	at := server.Addrs()[0]
	cluster.Advertise(at.Addr().String(), at.Port())
	return &node{t: t, addr: at.String()}
}

func (n *node) client(opts ...kgo.Opt) *kgo.Client {
	n.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(n.addr), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchMaxBytes(2 << 20), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.FetchMaxWait(500 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return c
}

func (n *node) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	n.t.Cleanup(cancel)
	return ctx
}

// valueOf makes the value of a record from its number: mostly small ones, some
// of exactly 0 B and of exactly 1 MiB, about 17 MB in 10,000.
func valueOf(number int) []byte {
	random := rand.New(rand.NewPCG(uint64(number), 20))
	size := random.IntN(600)
	switch {
	case number%2000 == 7:
		size = 1 << 20
	case number%200 == 9:
		size = 64<<10 + random.IntN(192<<10)
	case number%40 == 3:
		size = 1<<10 + random.IntN(15<<10)
	case number%50 == 1:
		size = 0
	}
	value := make([]byte, size)
	for i := 0; i < len(value); i += 16 { // half of it compresses
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], random.Uint64())
		copy(value[i:], b[:])
	}
	return value
}

// recordOf makes a record; its key says its number and its value's checksum.
func recordOf(topic string, number int) *kgo.Record {
	value := valueOf(number)
	key := binary.BigEndian.AppendUint64(nil, uint64(number))
	key = binary.BigEndian.AppendUint32(key, crc32.ChecksumIEEE(value))
	return &kgo.Record{Topic: topic, Key: key, Value: value}
}

// numberOf checks a record against its checksum and gives its number.
func numberOf(t *testing.T, r *kgo.Record) int {
	t.Helper()
	if len(r.Key) != 12 {
		t.Fatalf("key of %d bytes", len(r.Key))
	}
	number := int(binary.BigEndian.Uint64(r.Key))
	if sum := crc32.ChecksumIEEE(r.Value); sum != binary.BigEndian.Uint32(r.Key[8:]) {
		t.Errorf("record %d came back with other bytes: %d of them, checksum %08x", number, len(r.Value), sum)
	}
	return number
}
