package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/kmsgtest"
	"kring/internal/leaktest"
	"kring/kafka"
	"kring/reqchan"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const patience = time.Minute

// sink is a file in memory.
type sink struct {
	mu     sync.Mutex
	b      bytes.Buffer
	closed bool
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// begin makes a Recorder; end closes it, and returns the file.
func begin(t *testing.T, c Config) (r *Recorder, end func() []byte) {
	t.Helper()
	var s sink
	r, err := New(&s, c)
	if err != nil {
		t.Fatal(err)
	}
	return r, func() []byte {
		t.Helper()
		stop(t, r)
		if !s.closed {
			t.Error("the file is not closed")
		}
		return s.b.Bytes()
	}
}

func stop(t *testing.T, r *Recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

// entries reads a file whole.
func entries(t *testing.T, file []byte) (all []Entry) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var e Entry
		switch err := r.Next(&e); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		e.Body = bytes.Clone(e.Body)
		all = append(all, e)
	}
}

// frame is a request as a client sends it.
func frame(q kmsg.Request, clientID string) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(nil, q, 7)
}

// ask gives a frame (with its size) to a handler, without a network.
func ask(h kring.Handler, c *reqchan.Conn, frame []byte) {
	j := reqchan.NewJob(c, frame)
	j.Begin(nil, nil)
	h.Handle(j.Request())
}

var conn = &reqchan.Conn{ID: reqchan.ConnID{Processor: 1, Index: 2}, Listener: "PLAINTEXT"}

// answering answers each request with the same.
func answering(payload string) kring.Handler {
	return kring.HandlerFunc(func(r kring.Request) { r.Respond([]byte(payload)) })
}

func produceOf(version int16, batches ...[]byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks = version, 1
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = 3, bytes.Join(batches, nil)
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "orders", []kmsg.ProduceRequestTopicPartition{p}
	q.Topics = append(q.Topics, topic)
	return q
}

// batchOf is a batch of n records, which are no records but take as many bytes.
func batchOf(n int, records string) []byte {
	b := kmsg.RecordBatch{Magic: 2, Attributes: 1, FirstTimestamp: 99, NumRecords: int32(n), Records: []byte(records), CRC: 77, ProducerID: -1}
	b.Length = int32(49 + len(records))
	return b.AppendTo(nil)
}

// TestARecordingSaysWhatCameAndHowItWasAnswered: connections, requests without their records,
// answers, and the topics that clients were told of.
func TestARecordingSaysWhatCameAndHowItWasAnswered(t *testing.T) {
	r, end := begin(t, Config{Software: "test"})
	told := kmsg.NewPtrMetadataResponse()
	told.Version = 12
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic, topic.TopicID = kmsg.StringPtr("orders"), [16]byte{1, 2}
	topic.Partitions = make([]kmsg.MetadataResponseTopicPartition, 6)
	told.Topics = append(told.Topics, topic)
	answer := told.AppendTo(kafka.AppendResponseHeader(nil, 3, 12, 7))
	h := r.Handler(kring.HandlerFunc(func(q kring.Request) {
		switch key, _ := kafka.APIOf(q.Payload()); key {
		case 0:
			q.NoResponse()
		case 3:
			q.Respond(answer)
		default:
			q.SetErrorCode(35)
			q.CloseConnection(kring.ReasonHandlerClosed)
		}
	}))
	watcher := h.(kring.ConnWatcher)
	watcher.ConnOpened(conn)
	produce := frame(produceOf(7, batchOf(5, "PAYLOAD PAYLOAD"), batchOf(9, "x")), "me")
	ask(h, conn, produce)
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 12
	ask(h, conn, frame(metadata, "me"))
	ask(h, conn, frame(metadata, "me"))
	ask(h, conn, []byte("\x00\x00\x00\x04what"))
	watcher.ConnClosed(conn, kring.ReasonPeerFinished)
	file := end()

	if bytes.Contains(file, []byte("PAYLOAD")) {
		t.Error("a payload is in the file")
	}
	got := byKind(entries(t, file))
	if want := []Kind{Opened, Request, Response, Request, Response, Topic, Request, Response, Request, Response, Closed, End}; !slices.Equal(got.kinds, want) {
		t.Fatalf("entries %v, want %v", got.kinds, want)
	}
	if e := got.topics[0]; e.Text != "orders" || e.ID != topic.TopicID || e.Partitions != 6 {
		t.Errorf("topic %+v", e)
	}
	if e := got.last; e.Number != 4 || e.Lost != 0 || e.Text != "closed" {
		t.Errorf("end %+v", e)
	}
	p := got.requests[0]
	if p.API != 0 || p.APIVersion != 7 || p.CorrelationID != 7 || p.ClientID == nil || *p.ClientID != "me" || p.Bytes != len(produce)-4 || p.Conn != conn.ID || p.Form != Cut {
		t.Errorf("request %+v", p)
	}
	demandBatches(t, p.Body)
	if e := got.requests[3]; e.API != -1 || e.Bytes != 4 || e.Form != NoBody {
		t.Errorf("what is no request: %+v", e)
	}
	if a := got.answers[0]; a.Answer != Nothing || a.Number != p.Number || a.API != 0 || a.Latency < 0 {
		t.Errorf("answer to acks=0: %+v", a)
	}
	if a := got.answers[1]; a.Answer != Sent || a.Bytes != len(answer) || a.CorrelationID != 7 {
		t.Errorf("answer to Metadata: %+v", a)
	}
	if a := got.answers[3]; a.Answer != Cutoff || a.ErrorCode != 35 {
		t.Errorf("a closed connection: %+v", a)
	}
}

// sorted are the entries of a file.
type sorted struct {
	kinds                     []Kind
	requests, answers, topics []Entry
	last                      Entry
}

func byKind(all []Entry) (s sorted) {
	for _, e := range all {
		s.kinds, s.last = append(s.kinds, e.Kind), e
		switch e.Kind {
		case Request:
			s.requests = append(s.requests, e)
		case Response:
			s.answers = append(s.answers, e)
		case Topic:
			s.topics = append(s.topics, e)
		}
	}
	return s
}

// demandBatches looks into a body that is cut.
func demandBatches(t *testing.T, body []byte) {
	t.Helper()
	q := kmsg.NewPtrProduceRequest()
	q.Version = 7
	if err := q.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	want := []Batch{{Bytes: 61 + 15, Records: 5, Magic: 2, Attributes: 1, FirstTimestamp: 99}, {Bytes: 62, Records: 9, Magic: 2, Attributes: 1, FirstTimestamp: 99}}
	if got := BatchesOfCut(q.Topics[0].Partitions[0].Records); !slices.Equal(got, want) {
		t.Errorf("batches %+v, want %+v", got, want)
	}
}

// TestEveryAPIIsDecidedUpon: what is kept of requests that kmsg learns is a decision of somebody.
func TestEveryAPIIsDecidedUpon(t *testing.T) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if _, decided := keeping[key]; !decided && kmsg.RequestForKey(key) != nil {
			t.Errorf("%s (%d) is not in the table of what is kept", kmsg.NameForKey(key), key)
		}
	}
}

const needle = "NEEDLE-in-the-file"

// plant fills every text and every bytes of a message with the needle.
func plant(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				plant(v.Field(i))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			plant(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(needle))
			return
		}
		for i := range v.Len() {
			plant(v.Index(i))
		}
	case reflect.String:
		v.SetString(needle)
	}
}

// TestNoSecretIsInTheFileByWhateverDoor, with payloads as well: of requests that have one nothing
// is kept, and of settings no value that may be one. Without payloads, nothing of requests that
// have any is kept.
func TestNoSecretIsInTheFileByWhateverDoor(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, payloads := range []bool{false, true} {
		r, end := begin(t, Config{Payloads: payloads})
		h := r.Handler(answering("0000"))
		sent := 0
		for key := int16(0); key <= kmsg.MaxKey; key++ {
			if kmsg.RequestForKey(key) == nil || Keep(key) != Never && (payloads || Keep(key) != WithPayloads) {
				continue
			}
			for v := int16(0); v <= kmsg.RequestForKey(key).MaxVersion(); v++ {
				if key == 17 && v == 0 {
					continue // see TestBareTokensAreNotKept
				}
				q := kmsg.RequestForKey(key)
				kmsgtest.Fill(random, reflect.ValueOf(q).Elem())
				q.SetVersion(v)
				plant(reflect.ValueOf(q).Elem())
				ask(h, conn, frame(q, "client"))
				sent++
			}
		}
		for _, q := range settings() {
			ask(h, conn, frame(q, "client"))
			sent++
		}
		ask(h, conn, append(frame(kmsg.NewPtrApiVersionsRequest(), "client"), "behind it: "+needle...))
		file := end()
		if bytes.Contains(file, []byte(needle)) {
			t.Errorf("payloads %v: a secret is in the file", payloads)
		}
		got := 0
		for _, e := range entries(t, file) {
			if e.Kind == Request {
				got++
			}
		}
		if got != sent+1 {
			t.Errorf("payloads %v: %d of %d requests are in the file", payloads, got, sent+1)
		}
		if kept := bytes.Contains(file, []byte("604800000")); kept != payloads {
			t.Errorf("payloads %v: retention.ms, which is no secret, is kept: %v", payloads, kept)
		}
	}
}

// settings are requests with a password, and beside it what is none.
func settings() []kmsg.Request {
	alter, more, create := kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewPtrCreateTopicsRequest()
	var a kmsg.AlterConfigsRequestResource
	var m kmsg.IncrementalAlterConfigsRequestResource
	var c kmsg.CreateTopicsRequestTopic
	a.ResourceType, m.ResourceType = kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBroker
	for name, value := range map[string]string{
		"ssl.keystore.password": needle, "listener.name.a.plain.sasl.jaas.config": needle, "anything.else": needle, "retention.ms": "604800000",
	} {
		a.Configs = append(a.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: name, Value: &value})
		m.Configs = append(m.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Value: &value})
		c.Configs = append(c.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
	}
	alter.Resources, more.Resources, create.Topics = append(alter.Resources, a), append(more.Resources, m), append(create.Topics, c)
	return []kmsg.Request{alter, more, create}
}

// TestBareTokensAreNotKept: behind SaslHandshake 0 they come without a request around them, and
// may look like one.
func TestBareTokensAreNotKept(t *testing.T) {
	r, end := begin(t, Config{Payloads: true})
	h := r.Handler(answering("0000"))
	shake := kmsg.NewPtrSASLHandshakeRequest()
	shake.Mechanism = needle
	token := kmsg.NewPtrListGroupsRequest()
	token.SetVersion(4)
	token.StatesFilter = []string{needle}
	ask(h, conn, frame(shake, "client"))
	ask(h, conn, frame(token, needle))
	if file := end(); bytes.Contains(file, []byte(needle)) {
		t.Errorf("a token is in the file: %q", file)
	}
}

// TestTheFileKeepsItsBound, tells once that it has come to its end, and serves on.
func TestTheFileKeepsItsBound(t *testing.T) {
	told := make(chan error, 2)
	r, end := begin(t, Config{BytesMax: 64 << 10, Payloads: true, Ended: func(err error) { told <- err }})
	h := r.Handler(answering("0000"))
	big := frame(produceOf(7, batchOf(1, strings.Repeat("x", 3000))), "me")
	for deadline := time.Now().Add(patience); !r.Stats().Ended; {
		ask(h, conn, big)
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
	if err := <-told; err != nil {
		t.Errorf("told %v", err)
	}
	ask(h, conn, big)
	file := end()
	all := entries(t, file)
	if last := all[len(all)-1]; len(file) > 64<<10 || last.Kind != End || last.Text != "it has reached its bound" || last.Number == 0 {
		t.Errorf("%d bytes, the last is %+v", len(file), last)
	}
	if len(told) > 0 {
		t.Error("told again")
	}
}

// blocked is a disk that takes nothing, until it is let go.
type blocked struct {
	sink
	let chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.let
	return b.sink.Write(p)
}

// TestADiskThatBlocksHoldsUpNobody: requests go on, what has no room is counted, and the file says
// how much that is.
func TestADiskThatBlocksHoldsUpNobody(t *testing.T) {
	disk := &blocked{let: make(chan struct{})}
	r, err := New(disk, Config{QueueBytesMax: 64 << 10, Payloads: true})
	if err != nil {
		t.Fatal(err)
	}
	h := r.Handler(answering("0000"))
	q := frame(produceOf(7, batchOf(1, strings.Repeat("x", 10_000))), "me")
	for range 1000 { // 10 MB
		ask(h, conn, q)
	}
	held := r.held.Load()
	lost := r.Stats().Lost
	if held > 64<<10 || lost < 900 {
		t.Errorf("%d bytes wait, %d entries were lost", held, lost)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close waits for it: %v", err)
	}
	close(disk.let)
	stop(t, r)
	all := entries(t, disk.b.Bytes())
	if last := all[len(all)-1]; last.Kind != End || last.Lost != lost || last.Number == 0 {
		t.Errorf("the last entry is %+v, and %d were lost", last, lost)
	}
	if !slices.ContainsFunc(all, func(e Entry) bool { return e.Kind == Lost && e.Lost > 0 }) {
		t.Error("the file does not say so where it was")
	}
}

// failing is a disk that becomes full.
type failing struct{ sink }

func (f *failing) Write(p []byte) (int, error) {
	if f.sink.b.Len()+len(p) > 100_000 {
		return 0, errors.New("no space left on device")
	}
	return f.sink.Write(p)
}

// TestAFullDiskEndsTheRecordingAndNothingElse: what was written can be read.
func TestAFullDiskEndsTheRecordingAndNothingElse(t *testing.T) {
	told := make(chan error, 2)
	disk := &failing{}
	r, err := New(disk, Config{Payloads: true, Ended: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	h := r.Handler(answering("0000"))
	q := frame(produceOf(7, batchOf(1, strings.Repeat("x", 5000))), "me")
	for deadline := time.Now().Add(patience); !r.Stats().Ended; {
		ask(h, conn, q)
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
	ask(h, conn, q)
	if err := <-told; err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("told %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Close(ctx); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Close: %v", err)
	}
	reader, err := NewReader(bytes.NewReader(disk.b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var e Entry
	requests := 0
	for err = reader.Next(&e); err == nil; err = reader.Next(&e) {
		if e.Kind == Request {
			requests++
		}
	}
	if requests == 0 || !errors.Is(err, io.EOF) && !errors.Is(err, ErrTorn) {
		t.Errorf("%d requests can be read, then %v", requests, err)
	}
	if len(told) > 0 {
		t.Error("told again")
	}
}

// TestATornFileIsReadAsFarAsItIsWhole, wherever it ends.
func TestATornFileIsReadAsFarAsItIsWhole(t *testing.T) {
	r, end := begin(t, Config{})
	h := r.Handler(answering("0000"))
	for range 3 {
		ask(h, conn, frame(kmsg.NewPtrListGroupsRequest(), "me"))
	}
	file := end()
	whole, before := len(entries(t, file)), 0
	for n := range len(file) {
		in, err := NewReader(bytes.NewReader(file[:n]))
		count := 0
		var e Entry
		for err == nil {
			if err = in.Next(&e); err == nil {
				count++
			}
		}
		if n > 0 && !errors.Is(err, ErrTorn) && !errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if count < before || count >= whole {
			t.Fatalf("%d bytes: %d entries, before %d, whole %d", n, count, before, whole)
		}
		before = count
	}
	for n := len(file) - 1; n > len(magic)+entryHeadBytes+16; n-- {
		damaged := bytes.Clone(file)
		damaged[n] ^= 0x40
		in, err := NewReader(bytes.NewReader(damaged))
		var e Entry
		for err == nil {
			err = in.Next(&e)
		}
		if !errors.Is(err, ErrTorn) {
			t.Fatalf("byte %d is damaged: %v", n, err)
		}
	}
}

// TestWhatIsNoRecordingIsRefusedWithTheRemedy.
func TestWhatIsNoRecordingIsRefusedWithTheRemedy(t *testing.T) {
	newer := Entry{Kind: Start, Version: FormatVersion + 1}
	var s sink
	r := &Recorder{cfg: Config{BytesMax: 1 << 20}, to: &s}
	b := newer.append(make([]byte, entryHeadBytes))
	raw := raised(r, b)
	for want, file := range map[string]string{
		"does not begin as one": "PK\x03\x04 a zip file", "": "", "as new as the file": magic + string(raw), "truncated": magic[:5],
	} {
		if _, err := NewReader(strings.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// TestARecordingIsItsOwnersAlone, and does not write over an earlier one.
func TestARecordingIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traffic")
	for n := range filesMax {
		f, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := path
		if n > 0 {
			want = fmt.Sprint(path, ".", n)
		}
		info, err := f.Stat()
		if err != nil || f.Name() != want || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Fatalf("%s, want %s: mode %v, %v", f.Name(), want, info.Mode(), err)
		}
	}
	if _, err := Create(path); !errors.Is(err, ErrFilesMax) {
		t.Errorf("one more: %v", err)
	}
}

func TestSettingsThatCantBeAreRefused(t *testing.T) {
	err := Config{BytesMax: 1, QueueBytesMax: -1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "BytesMax is 1") || !strings.Contains(err.Error(), "QueueBytesMax is -1") {
		t.Error(err)
	}
}
