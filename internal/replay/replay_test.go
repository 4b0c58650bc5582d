package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/embedded"
	"kring/internal/leaktest"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/record"
	"kring/reqchan"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// file is a recording in memory.
type file struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (f *file) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.b.Write(b)
}

func (f *file) Close() error { return nil }

func (f *file) open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.b.Bytes())), nil }

// cluster serves a cluster, recorded into f unless that is nil.
func cluster(t *testing.T, cfg kring.Config, f *file, rc record.Config) (address string, end func()) {
	t.Helper()
	c, err := embedded.Open(embedded.Config{Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	var h kring.Handler = c
	var r *record.Recorder
	if f != nil {
		if r, err = record.New(f, rc); err != nil {
			t.Fatal(err)
		}
		h = r.Handler(h)
	}
	s := servertest.Start(t, cfg, h)
	at := s.Addrs()[0]
	c.Advertise(at.Addr().String(), at.Port())
	end = sync.OnceFunc(func() {
		c.Drain()
		servertest.Shutdown(t, s)
		if r != nil {
			ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
			defer cancel()
			if err := r.Close(ctx); err != nil {
				t.Error(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return at.String(), end
}

const payload = "PAYLOAD of a record"

// drive produces to a cluster and consumes what it has produced.
func drive(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("orders"), kgo.ConsumeTopics("orders"),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ClientID("driver"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range 20 {
		var records []*kgo.Record
		for k := range i + 1 {
			records = append(records, &kgo.Record{Value: bytes.Repeat([]byte(payload), 1+k*i)})
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for got := 0; got < 20*21/2; {
		polled := cl.PollFetches(ctx)
		if err := polled.Err(); err != nil {
			t.Fatal(err)
		}
		got += polled.NumRecords()
	}
}

func scanned(t *testing.T, f *file) *Summary {
	t.Helper()
	s, err := scanFile(t.Context(), f.open)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// to plays f against a server at address.
func to(t *testing.T, f *file, address string, c Config) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
	defer cancel()
	c.Open, c.Target = f.open, address
	c.Dial = dial
	r, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Interrupted {
		t.Fatal("it does not end")
	}
	return r
}

// TestWhatAClientDidIsDoneToAnotherServer, on every engine, with payloads and without: as many requests
// of each API that is played, and batches of the same sizes with as many records.
func TestWhatAClientDidIsDoneToAnotherServer(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for _, payloads := range []bool{false, true} {
			var first, second file
			address, end := cluster(t, cfg, &first, record.Config{Payloads: payloads})
			drive(t, address)
			end()
			was := scanned(t, &first)
			if bytes.Contains(first.b.Bytes(), []byte(payload)) != payloads {
				t.Errorf("payloads %v: they are in the file, or not", payloads)
			}
			address, end = cluster(t, cfg, &second, record.Config{})
			var notices []string
			r := to(t, &first, address, Config{CreateTopics: true, Notice: func(text string) { notices = append(notices, text) }})
			end()
			is := scanned(t, &second)
			if a, b := was.Topics["orders"], is.Topics["orders"]; a == nil || b == nil || a.Partitions != 2 || a.Batches != b.Batches || a.Records != b.Records || a.Bytes != b.Bytes || a.Records != 20*21/2 {
				t.Errorf("payloads %v: topics %+v were recorded, %+v played", payloads, a, b)
			}
			if r.Errors > 0 || r.Unanswered > 0 || r.ConnectFailures > 0 || int(r.Connections) != was.Connections || len(notices) > 0 {
				t.Errorf("payloads %v: %+v, %q", payloads, r, notices)
			}
			demandSent(t, r, was)
			if was.Lost > 0 || was.Ended != "closed" || was.Torn != nil {
				t.Errorf("payloads %v: %+v", payloads, was)
			}
		}
	})
}

// demandSent demands that what is played was sent, and the rest is accounted for.
func demandSent(t *testing.T, r *Report, was *Summary) {
	t.Helper()
	sent := map[int16]uint64{}
	for _, a := range r.APIs {
		sent[a.Key] = a.Sent
		if a.Sent != a.Answered || a.Latency.Max == 0 || a.Latency.Max < a.Latency.P50 {
			t.Errorf("%+v", a)
		}
	}
	for _, s := range r.Skipped {
		if sent[s.Key] > 0 {
			t.Errorf("skipped: %+v", s)
		}
		sent[s.Key] += s.Count
	}
	for key, a := range was.APIs {
		if sent[key] != a.Requests {
			t.Errorf("%s: %d recorded, %d sent or skipped", APIName(key), a.Requests, sent[key])
		}
	}
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.Metadata, kmsg.ApiVersions} {
		if sent[int16(key)] == 0 {
			t.Errorf("no %v was sent", key)
		}
	}
}

// recorded is a recording of requests that a client sent, each of which was answered.
func recorded(t *testing.T, all ...kmsg.Request) *file {
	t.Helper()
	f := &file{}
	r, err := record.New(f, record.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := r.Handler(kring.HandlerFunc(func(q kring.Request) { q.Respond([]byte("0000")) }))
	for _, q := range all {
		j := reqchan.NewJob(&reqchan.Conn{}, kmsg.NewRequestFormatter().AppendRequest(nil, q, 1))
		j.Begin(nil, nil)
		h.Handle(j.Request())
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return f
}

// listGroups is n requests.
func listGroups(n int) (all []kmsg.Request) {
	for range n {
		all = append(all, kmsg.NewPtrListGroupsRequest())
	}
	return all
}

// impostor answers what is asked at the beginning, and has answer see the ListGroups requests of a
// connection: it returns the correlation ids to be answered now.
func impostor(t *testing.T, answer func(seen []uint32) []uint32) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { pretend(c, answer) })
		}
	})
	return l.Addr().String()
}

func pretend(c net.Conn, answer func(seen []uint32) []uint32) {
	defer c.Close()
	var seen []uint32
	for {
		payload, err := servertest.ReadFrame(c)
		if err != nil {
			return
		}
		correlation := binary.BigEndian.Uint32(payload[4:])
		key, version := kafka.APIOf(payload)
		var resp kmsg.Response
		switch key {
		case int16(kmsg.ApiVersions):
			r := kmsg.NewPtrApiVersionsResponse()
			for _, k := range []int16{3, 16, 18} {
				r.ApiKeys = append(r.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: 4})
			}
			resp = r
		case int16(kmsg.Metadata):
			resp = kmsg.NewPtrMetadataResponse()
		default:
			seen = append(seen, correlation)
			for _, correlation := range answer(seen) {
				out := kmsg.NewPtrListGroupsResponse()
				out.ErrorCode = 15
				if _, err := c.Write(servertest.Frame(out.AppendTo(kafka.AppendResponseHeader(nil, key, version, int32(correlation))))); err != nil {
					return
				}
			}
			continue
		}
		resp.SetVersion(version)
		if _, err := c.Write(servertest.Frame(resp.AppendTo(kafka.AppendResponseHeader(nil, key, version, int32(correlation))))); err != nil {
			return
		}
	}
}

// TestARequestDoesNotWaitForTheAnswersBeforeIt: the target answers none before it has seen all.
// At full speed each waits for the one before it.
func TestARequestDoesNotWaitForTheAnswersBeforeIt(t *testing.T) {
	const n = 20
	f := recorded(t, listGroups(n)...)
	atOnce := impostor(t, func(seen []uint32) []uint32 {
		if len(seen) < n {
			return nil
		}
		return seen
	})
	r := to(t, f, atOnce, Config{Speed: 1000})
	if len(r.APIs) != 1 {
		t.Fatalf("%+v", r)
	}
	if a := r.APIs[0]; a.Answered != n || a.Errors["COORDINATOR_NOT_AVAILABLE"] != n || r.Unanswered > 0 {
		t.Errorf("%+v", r)
	}
	order := impostor(t, func(seen []uint32) []uint32 { return seen[len(seen)-1:] })
	if r := to(t, f, order, Config{ConnectionsPer: 3}); r.Answered != 3*n || r.Connections != 3 {
		t.Errorf("%+v", r)
	}
}

// TestAnAnswerThatNeverComesEndsByADeadline, at each speed, and is counted.
func TestAnAnswerThatNeverComesEndsByADeadline(t *testing.T) {
	f := recorded(t, listGroups(3)...)
	never := impostor(t, func([]uint32) []uint32 { return nil })
	for _, speed := range []float64{0, 1000} {
		r := to(t, f, never, Config{Speed: speed, Timeout: 50 * time.Millisecond})
		if r.Answered > 0 || r.Unanswered != 3 || r.APIs[0].Sent == 0 {
			t.Errorf("speed %v: %+v", speed, r)
		}
	}
	wrong := impostor(t, func(seen []uint32) []uint32 { return []uint32{99} })
	if r := to(t, f, wrong, Config{}); r.Answered > 0 || r.APIs[0].Unanswered[wrongAnswer] != 3 {
		t.Errorf("answers to other requests: %+v", r)
	}
}

// TestTopicsThatAreNotThereAreSaidWithTheRemedy, and requests for them are not sent.
func TestTopicsThatAreNotThereAreSaidWithTheRemedy(t *testing.T) {
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version = 1
	q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "orders"}}
	var notices []string
	address := impostor(t, func([]uint32) []uint32 { return nil })
	r := to(t, recorded(t, append(listGroups(0), q)...), address, Config{Notice: func(text string) { notices = append(notices, text) }})
	if len(r.APIs) > 0 || len(r.Skipped) != 1 || len(notices) != 1 || !strings.Contains(notices[0], "--create-topics") || !strings.Contains(notices[0], "orders") {
		t.Errorf("%+v, %q", r, notices)
	}
}

// TestATargetThatIsNotThereIsAnError, and a file that is no recording.
func TestATargetThatIsNotThereIsAnError(t *testing.T) {
	f := recorded(t, listGroups(1)...)
	gone := func(context.Context, string) (net.Conn, error) { return nil, fmt.Errorf("refused") }
	if _, err := Run(t.Context(), Config{Open: f.open, Dial: gone}); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Error(err)
	}
	no := &file{}
	no.b.WriteString("something else")
	if _, err := Run(t.Context(), Config{Open: no.open, Dial: gone}); err == nil || !strings.Contains(err.Error(), "--record") {
		t.Error(err)
	}
	err := Config{Speed: -1, ConnectionsPer: -1, Timeout: -1}.Validate()
	if err == nil || !slices.Equal([]bool{true, true, true}, []bool{strings.Contains(err.Error(), "Speed is -1"), strings.Contains(err.Error(), "ConnectionsPer is -1"), strings.Contains(err.Error(), "Timeout is -1")}) {
		t.Error(err)
	}
}

// TestAReplayEndsWhenItIsAskedTo, whatever the target does not do, and reports what was until then.
func TestAReplayEndsWhenItIsAskedTo(t *testing.T) {
	f := recorded(t, listGroups(3)...)
	for _, speed := range []float64{0, 1000} {
		ctx, cancel := context.WithCancel(context.Background())
		never := impostor(t, func([]uint32) []uint32 { cancel(); return nil })
		r, err := Run(ctx, Config{Open: f.open, Speed: speed, Timeout: time.Hour, Target: never, Dial: dial})
		if err != nil || !r.Interrupted || r.Answered > 0 || r.Sent == 0 {
			t.Errorf("speed %v: %+v, %v", speed, r, err)
		}
	}
}

// TestRequestsGoToTheLeadersOfTheirPartitions where the target is a cluster of several brokers: none gets
// an error, and all records are there.
func TestRequestsGoToTheLeadersOfTheirPartitions(t *testing.T) {
	var f file
	address, end := cluster(t, servertest.Config(kring.EnginePortable, kring.DispatchPool), &f, record.Config{})
	drive(t, address)
	end()
	three, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(6, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer three.Close()
	r := to(t, &f, three.ListenAddrs()[0], Config{Speed: 1000})
	for _, a := range r.APIs {
		if a.Key <= int16(kmsg.ListOffsets) && (len(a.Errors) > 0 || a.Answered == 0) {
			t.Errorf("%+v", a)
		}
	}
	if r.Unanswered > 0 || int(r.Connections) <= scanned(t, &f).Connections {
		t.Errorf("%+v", r)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(three.ListenAddrs()...), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
	defer cancel()
	for got := 0; got < 20*21/2; {
		polled := cl.PollFetches(ctx)
		if err := polled.Err(); err != nil {
			t.Fatal(err)
		}
		got += polled.NumRecords()
	}
}
