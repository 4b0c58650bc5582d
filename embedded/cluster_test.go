package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/leaktest"
	"kring/reqchan"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const deadline = 3 * time.Minute

// node is a cluster behind a server.
type node struct {
	t       *testing.T
	cluster *Cluster
	server  *kring.Server
	addr    string
	clients []*kgo.Client
	down    bool
}

func serve(t *testing.T, cfg Config) *node { return serveWith(t, cfg, kring.Config{}) }

func serveWith(t *testing.T, cfg Config, sc kring.Config) *node {
	t.Helper()
	cfg.PipelineMax = sc.Limits.PipelineMax
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if sc.Engine == "" {
		sc.Engine = kring.EnginePortable
	}
	sc.Listeners = []kring.ListenerConfig{{Address: "127.0.0.1:0"}}
	s, err := kring.New(sc, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	at := s.Addrs()[0]
	c.Advertise(at.Addr().String(), at.Port())
	n := &node{t: t, cluster: c, server: s, addr: at.String()}
	t.Cleanup(n.close)
	return n
}

// close stops the server at once, then the cluster in an orderly way.
func (n *node) close() {
	if n.down {
		return
	}
	n.down = true
	for _, c := range n.clients {
		c.Close() // while they can still take leave
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.server.Shutdown(ended) // cuts at once: that it says so is no news
	if err := n.cluster.Close(); err != nil {
		n.t.Errorf("close: %v", err)
	}
}

func (n *node) client(opts ...kgo.Opt) *kgo.Client {
	n.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.addr), kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.clients = append(n.clients, c)
	return c
}

func (n *node) produce(topic string, from, to int) {
	n.t.Helper()
	c := n.client()
	for i := from; i < to; i++ {
		c.Produce(n.t.Context(), &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "record %d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				n.t.Errorf("record %d: %v", i, err)
			}
		})
	}
	if err := c.Flush(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// consume reads records from..to of a topic with one partition.
func (n *node) consume(topic string, from, to int, opts ...kgo.Opt) *kgo.Client {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), deadline)
	defer cancel()
	c := n.client(append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	for from < to {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			n.t.Fatalf("record %d: %v", from, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if want := fmt.Sprintf("record %d", from); string(r.Value) != want {
				n.t.Fatalf("got %q, want %q", r.Value, want)
			}
			from++
		})
	}
	return c
}

func TestProducedRecordsComeBackInOrder(t *testing.T) {
	for _, dispatch := range []kring.DispatchMode{kring.DispatchPool, kring.DispatchInline} {
		for _, pipeline := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s pipeline %d", dispatch, pipeline), func(t *testing.T) {
				n := serveWith(t, Config{}, kring.Config{Dispatch: kring.DispatchConfig{Mode: dispatch}, Limits: kring.LimitsConfig{PipelineMax: pipeline}})
				n.produce("orders", 0, 500)
				n.consume("orders", 0, 500)
			})
		}
	}
}

func TestAdvertisedAddressIsOurs(t *testing.T) {
	n := serve(t, Config{})
	admin := kadm.NewClient(n.client())
	m, err := admin.BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Brokers) != 1 || net.JoinHostPort(m.Brokers[0].Host, fmt.Sprint(m.Brokers[0].Port)) != n.addr {
		t.Errorf("brokers %+v, want one at %s", m.Brokers, n.addr)
	}
}

// A listener that answers before it knows its own address would send clients
// somewhere else.
func TestNobodyIsAnsweredBeforeAdvertise(t *testing.T) {
	c, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	conn := &reqchan.Conn{}
	c.ConnOpened(conn)
	defer c.ConnClosed(conn, reqchan.PeerFinished)
	r := newRequest(t, conn, 0, metadata(8, "a"))
	c.Handle(r.Request())
	if r.HandleReturned() {
		t.Fatal("answered before the address was known")
	}
	c.Advertise("broker.example.org", 1234)
	kind, response := r.await()
	if kind != reqchan.AnswerSend || !strings.Contains(string(response), "broker.example.org") {
		t.Errorf("answer %v %q does not have the advertised host", kind, response)
	}
}

func TestTopicsAreCreatedOnDemand(t *testing.T) {
	n := serve(t, Config{Partitions: 3, Seed: []Topic{{"seeded", 5}}})
	conn := dial(t, n.addr)
	for _, version := range []int16{1, 3, 4, 8, 12} {
		topic := fmt.Sprintf("wanted-by-v%d", version)
		var resp kmsg.MetadataResponse
		roundTripOf(t, conn, metadata(version, topic, "seeded"), &resp)
		got := map[string]int{}
		for _, t := range resp.Topics {
			got[*t.Topic] = len(t.Partitions)
		}
		if got[topic] != 3 || got["seeded"] != 5 {
			t.Errorf("version %d: partitions %v, want 3 and 5", version, got)
		}
	}
	m := metadata(8, "unwanted", "../illegal")
	m.AllowAutoTopicCreation = false
	var resp kmsg.MetadataResponse
	roundTripOf(t, conn, m, &resp)
	m = metadata(8, "../illegal")
	roundTripOf(t, conn, m, &resp)
	for _, topic := range resp.Topics {
		if topic.ErrorCode == 0 {
			t.Errorf("topic %q was created", *topic.Topic)
		}
	}
}

// A Produce with acks=0 has no response at all; the next answer on its
// connection is the next request's.
func TestAcksZeroIsAnsweredWithNothing(t *testing.T) {
	n := serveWith(t, Config{Seed: []Topic{{"quiet", 1}}}, kring.Config{Limits: kring.LimitsConfig{PipelineMax: 4}})
	conn := dial(t, n.addr)
	formatter := kmsg.NewRequestFormatter()
	for i, version := range []int16{3, 8, 9} {
		p := kmsg.NewPtrProduceRequest()
		p.Version, p.Acks = version, 0
		both := formatter.AppendRequest(nil, p, int32(2*i))
		m := metadata(8, "quiet")
		both = append(both, formatter.AppendRequest(nil, m, int32(2*i+1))...)
		if _, err := conn.Write(both); err != nil {
			t.Fatal(err)
		}
		if frame := readFrame(t, conn); binary.BigEndian.Uint32(frame) != uint32(2*i+1) {
			t.Fatalf("version %d: answer to request %d, want %d", version, binary.BigEndian.Uint32(frame), 2*i+1)
		}
	}
}

func TestLongPollHoldsNoHandler(t *testing.T) {
	n := serveWith(t, Config{Seed: []Topic{{"quiet", 1}}}, kring.Config{Dispatch: kring.DispatchConfig{Handlers: 1}})
	for range 3 {
		if _, err := dial(t, n.addr).Write(longFetch("quiet")); err != nil {
			t.Fatal(err)
		}
	}
	var resp kmsg.MetadataResponse
	roundTripOf(t, dial(t, n.addr), metadata(8, "quiet"), &resp)
}

func TestClientGoneEndsItsLongPoll(t *testing.T) {
	n := serve(t, Config{Seed: []Topic{{"quiet", 1}}})
	conn := dial(t, n.addr).(*net.TCPConn)
	if _, err := conn.Write(longFetch("quiet")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fetch waits in the cluster", func() bool { return n.sessionsRunning() == 1 })
	if err := conn.SetLinger(0); err != nil { // Close resets
		t.Fatal(err)
	}
	_ = conn.Close()
	eventually(t, "its session is over", func() bool { return n.sessionsOpen() == 0 && n.sessionsRunning() == 0 })
}

func (n *node) sessionsOpen() int {
	n.cluster.sessions.Lock()
	defer n.cluster.sessions.Unlock()
	return len(n.cluster.sessions.open)
}

func (n *node) sessionsRunning() int { return int(n.cluster.sessions.alive.Load()) }

func TestClusterThatEndsClosesItsConnections(t *testing.T) {
	n := serve(t, Config{Seed: []Topic{{"quiet", 1}}})
	conn := dial(t, n.addr)
	if _, err := conn.Write(longFetch("quiet")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fetch waits in the cluster", func() bool { return n.sessionsRunning() == 1 })
	if err := n.cluster.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want the connection closed", err)
	}
	// A later connection finds the cluster gone.
	late := dial(t, n.addr)
	if _, err := late.Write(longFetch("quiet")); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want the connection closed", err)
	}
	eventually(t, "both are counted", func() bool {
		st := n.server.Stats()
		return st.ClosedBy()[reqchan.BackendFailed.String()] == 2
	})
}

func TestRestartKeepsRecordsTopicsGroupsAndOffsets(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			cfg := Config{DataDir: t.TempDir(), SyncWrites: sync, Seed: []Topic{{"orders", 1}}}
			n := serve(t, cfg)
			n.produce("orders", 0, 50)
			n.produce("on-demand", 0, 5)
			group := []kgo.Opt{kgo.ConsumerGroup("readers"), kgo.DisableAutoCommit()}
			c := n.consume("orders", 0, 50, group...)
			if err := c.CommitUncommittedOffsets(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Close()
			n.close()

			cfg.Seed = append(cfg.Seed, Topic{"late", 2})
			n = serve(t, cfg)
			n.consume("orders", 0, 50)
			n.consume("on-demand", 0, 5)
			n.produce("orders", 50, 60)
			n.consume("orders", 50, 60, group...).Close()
			topics, err := kadm.NewClient(n.client()).ListTopics(t.Context())
			if err != nil || len(topics["late"].Partitions) != 2 {
				t.Errorf("seed topic of the second start: %v, %v", topics["late"].Partitions, err)
			}
		})
	}
}

// TestCrashKeepsWhatWasAcknowledged takes a copy of the directory of a running
// cluster, which is what a killed process leaves.
func TestCrashKeepsWhatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	total := 0
	for range 3 {
		n := serve(t, Config{DataDir: dir})
		n.produce("on-demand", total, total+20)
		total += 20
		c := n.consume("on-demand", 0, total)
		commitAt(t, n, int64(total))
		c.Close()
		left := filepath.Join(t.TempDir(), "left")
		if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		n.close()
		dir = left
	}
	n := serve(t, Config{DataDir: dir})
	n.consume("on-demand", 0, total)
	offsets, err := kadm.NewClient(n.client()).FetchOffsets(t.Context(), "readers")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup("on-demand", 0); !ok || o.At != int64(total) {
		t.Errorf("committed offset %+v, want %d", o, total)
	}
}

func commitAt(t *testing.T, n *node, at int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset("on-demand", 0, at, -1)
	if err := kadm.NewClient(n.client()).CommitAllOffsets(t.Context(), "readers", offsets); err != nil {
		t.Fatal(err)
	}
}

func TestSecondClusterIsRefusedTheDirectory(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	n := serve(t, cfg)
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "another process uses this directory") {
		t.Errorf("second Open: %v, want it refused", err)
	}
	n.close()
	serve(t, cfg)
}

func TestDamagedDirectoryIsReportedAndReleased(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "meta.json") {
			t.Errorf("Open: %v, want the damaged file named", err)
		}
	}
}

func TestBadConfigReportsEveryFaultAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{
		DataDir: file, Partitions: -1, BatchBytesMax: -1,
		Seed: []Topic{{"..", 1}, {"a", 0}, {"b", 1}, {"b", 1}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"DataDir", "Partitions", "BatchBytesMax", `".."`, `"a" with 0`, `"b" twice`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if err := (Config{SyncWrites: true}).Validate(); err == nil || !strings.Contains(err.Error(), "DataDir") {
		t.Errorf("SyncWrites alone: %v", err)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("zero value: %v", err)
	}
}

func TestEveryAdvertisedAPIIsKnown(t *testing.T) {
	n := serve(t, Config{Logger: slog.New(slog.DiscardHandler)})
	ranges, err := kadm.NewClient(n.client()).ApiVersions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ranges {
		r.EachKeySorted(func(key, _, most int16) {
			if !n.cluster.Versions().Supported(key, most) {
				t.Errorf("key %d version %d is advertised and would be turned away", key, most)
			}
		})
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func readFrame(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		t.Fatal(err)
	}
	return frame
}

func roundTripOf(t *testing.T, conn net.Conn, req kmsg.Request, resp kmsg.Response) {
	t.Helper()
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)); err != nil {
		t.Fatal(err)
	}
	body := readFrame(t, conn)[4:]
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func metadata(version int16, topics ...string) *kmsg.MetadataRequest {
	m := kmsg.NewPtrMetadataRequest()
	m.Version = version
	m.AllowAutoTopicCreation = version >= metadataChoosesCreation
	for _, name := range topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		m.Topics = append(m.Topics, topic)
	}
	return m
}

// longFetch is a frame that waits in the cluster for longer than any test.
func longFetch(topic string) []byte {
	f := kmsg.NewPtrFetchRequest()
	f.Version, f.MaxWaitMillis, f.MinBytes = 4, 600_000, 1
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	ft.Partitions = append(ft.Partitions, p)
	f.Topics = append(f.Topics, ft)
	return kmsg.NewRequestFormatter().AppendRequest(nil, f, 1)
}
