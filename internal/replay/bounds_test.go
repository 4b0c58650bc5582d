package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
	"kring/record"
	"kring/reqchan"
)

// summaryOf is of a recording that somebody made by hand.
func summaryOf(entries ...*record.Entry) *Summary {
	s := &Summary{APIs: map[int16]*Recorded{}, Topics: map[string]*Topic{}, names: map[[16]byte]string{}}
	seen, byID := map[string]int{}, map[[16]byte]use{}
	for _, e := range entries {
		s.entry(e, seen, byID)
	}
	s.settle(seen, byID)
	return s
}

// listOffsetsOf asks for one partition of each topic.
func listOffsetsOf(partition int32, topics ...string) *record.Entry {
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version = 6
	for _, name := range topics {
		topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition = partition
		topic.Topic, topic.Partitions = name, []kmsg.ListOffsetsRequestTopicPartition{p}
		q.Topics = append(q.Topics, topic)
	}
	return entryOf(q, record.Whole)
}

// TestPartitionsAreThoseThatTheServerNamed: as many are created as the recording has, and clients
// may have named any.
func TestPartitionsAreThoseThatTheServerNamed(t *testing.T) {
	s := summaryOf(
		listOffsetsOf(math.MaxInt32-1, "guessed", "told", "told much"), listOffsetsOf(3, "guessed little"),
		&record.Entry{Kind: record.Topic, Text: "told", Partitions: 7}, &record.Entry{Kind: record.Topic, Text: "told", Partitions: 5},
		&record.Entry{Kind: record.Topic, Text: "told much", Partitions: math.MaxInt32},
		&record.Entry{Kind: record.Topic, Text: "nobody uses it", Partitions: 7},
	)
	for name, want := range map[string]int{"guessed": partitionsGuessed, "guessed little": 4, "told": 7, "told much": partitionsMost} {
		if is := s.Topics[name]; is == nil || is.Partitions != want {
			t.Errorf("%s: %+v, want %d partitions", name, is, want)
		}
	}
	if len(s.Topics) != 4 {
		t.Errorf("%d topics are used", len(s.Topics))
	}
}

// TestTheTopicsOfARecordingAreBounded, whoever named them, by name or by id.
func TestTheTopicsOfARecordingAreBounded(t *testing.T) {
	s := &Summary{APIs: map[int16]*Recorded{}, Topics: map[string]*Topic{}, names: map[[16]byte]string{}}
	seen, byID := map[string]int{}, map[[16]byte]use{}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 13
	for i := range topicsMax - 1 {
		id, name := [16]byte{1, byte(i), byte(i >> 8), byte(i >> 16)}, fmt.Sprint(i)
		s.Topics[name], s.names[id], seen[name], byID[id] = &Topic{Partitions: 1}, name, 1, use{}
	}
	for i := range byte(3) { // one has room still
		topic := kmsg.NewFetchRequestTopic()
		topic.TopicID = [16]byte{2, i}
		fetch.Topics = append(fetch.Topics, topic)
	}
	s.entry(entryOf(fetch, record.Whole), seen, byID)
	if n := len(byID); n != topicsMax {
		t.Errorf("%d topics wait for their names", n)
	}
	for i := range byte(3) {
		s.entry(&record.Entry{Kind: record.Topic, Text: fmt.Sprint("new ", i), ID: [16]byte{2, i}, Partitions: 2}, seen, byID)
	}
	if len(seen) != topicsMax || len(s.names) != topicsMax {
		t.Errorf("%d topics are known, %d by their ids", len(seen), len(s.names))
	}
	s.entry(listOffsetsOf(0, "by name 1", "by name 2", "by name 3"), seen, byID)
	s.settle(seen, byID)
	if n := len(s.Topics); n != topicsMax {
		t.Errorf("%d topics", n)
	}
}

// TestAReplayThatIsEndedDoesNotReadOn: a recording may be as large as the disk.
func TestAReplayThatIsEndedDoesNotReadOn(t *testing.T) {
	f := new(file)
	r, err := record.New(f, record.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r.Handler(answered{}).(kring.ConnWatcher).ConnOpened(&reqchan.Conn{})
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("somebody ended it")
	cancel(why)
	if _, err := Run(ctx, Config{Open: f.open, Dial: func(context.Context, string) (net.Conn, error) {
		t.Error("it connects")
		return nil, io.EOF
	}}); !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
}

// TestALowSpeedIsNeverAHighOne: times that are more than there are would be in the past.
func TestALowSpeedIsNeverAHighOne(t *testing.T) {
	for _, speed := range []float64{1, 1e-3, 1e-12, math.SmallestNonzeroFloat64} {
		r := &run{cfg: &Config{Speed: speed}, rewrite: &rewriter{of: &Summary{}}, began: time.Now()}
		if early := r.due(&record.Entry{At: 24 * time.Hour}).Sub(r.began); early < 24*time.Hour {
			t.Errorf("at %vx what came after a day is due after %v", speed, early)
		}
	}
}

// fetchFirst is a Fetch of the first partitions of a topic.
func fetchFirst(id, epoch int32, partitions int) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.SessionID, q.SessionEpoch = 12, id, epoch
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "orders"
	for p := range partitions {
		one := kmsg.NewFetchRequestTopicPartition()
		one.Partition = int32(p)
		topic.Partitions = append(topic.Partitions, one)
	}
	q.Topics = append(q.Topics, topic)
	return q
}

// TestThePartitionsOfAllFetchSessionsAreBounded: consumers come and go, and do not end their sessions. Who
// goes on is not forgotten.
func TestThePartitionsOfAllFetchSessionsAreBounded(t *testing.T) {
	s := newSessions()
	s.most = 1000
	ask := func(id, epoch int32, partitions int) string {
		return s.full(reqchan.ConnID{Index: uint64(id)}, fetchFirst(id, epoch, partitions))
	}
	begin := func(id int32, partitions int) {
		s.full(reqchan.ConnID{Index: uint64(id)}, &kmsg.FetchRequest{Version: 12})
		if why := ask(id, 1, partitions); why != "" {
			t.Fatal(why)
		}
	}
	begin(1, 10)
	for id := int32(2); id < 60; id++ {
		begin(id, 100)
		if why := ask(1, id, 1); why != "" {
			t.Fatalf("after %d sessions the one that goes on: %s", id, why)
		}
		held := 0
		for _, set := range s.byID {
			held += len(set.parts)
		}
		if held > s.most || s.parts != held {
			t.Fatalf("%d sessions hold %d partitions, and %d are counted", id, held, s.parts)
		}
	}
	for id := range int32(60) {
		ask(id, -1, 0)
		s.ended(reqchan.ConnID{Index: uint64(id)})
	}
	if len(s.byID)+len(s.of)+s.parts != 0 {
		t.Errorf("%d and %d sessions are left, with %d partitions", len(s.byID), len(s.of), s.parts)
	}
}

// TestATargetThatLiesAboutCountsKeepsNobodyBusy.
func TestATargetThatLiesAboutCountsKeepsNobodyBusy(t *testing.T) {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 12
	resp.Topics = append(resp.Topics, kmsg.NewFetchResponseTopic())
	answer := resp.AppendTo(kafka.AppendResponseHeader(nil, int16(kmsg.Fetch), 12, 1))
	answer = append(answer[:len(answer)-2], 0xff, 0xff, 0xff, 0xff, 0x0f) // tags of its topic
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&target{logs: map[part][2]int64{}}).learn(int16(kmsg.Fetch), 12, answer)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("an answer of a few bytes keeps the replay busy")
	}
}

// TestFetchSessionsAreBounded: those that began, those that have an id, and what is in each.
func TestFetchSessionsAreBounded(t *testing.T) {
	s := newSessions()
	ask := func(conn uint64, id, epoch int32, partitions int) *kmsg.FetchRequest {
		q := fetchFirst(id, epoch, partitions)
		s.full(reqchan.ConnID{Index: conn}, q)
		return q
	}
	one := &fetchSet{at: map[place]int{}}
	for n := range uint64(fetchSetsMax - 1) { // one has room still
		s.of[reqchan.ConnID{Index: n}] = one
		s.byID[int32(n)+1] = one
	}
	for n := range uint64(3) {
		ask(fetchSetsMax+n, 0, 0, 1)
	}
	if len(s.of) != fetchSetsMax {
		t.Errorf("%d sessions have begun", len(s.of))
	}
	for n := range uint64(3) {
		ask(n, fetchSetsMax+int32(n)+1, 1, 0)
	}
	if len(s.of) != fetchSetsMax-3 || len(s.byID) != fetchSetsMax {
		t.Errorf("%d sessions have begun, and %d have an id", len(s.of), len(s.byID))
	}
	s = newSessions()
	ask(1, 0, 0, fetchSetMax+7)
	if q := ask(1, 5, 1, 1); len(q.Topics) != 1 || len(q.Topics[0].Partitions) != fetchSetMax {
		t.Error("a session has more partitions than it may")
	}
}

// TestRecordsOfNoKnownFormatAreNamedAsSuch, in whole bodies and where only headers were kept: the
// formats are 0 to 2, and nobody knows where a batch of another ends.
func TestRecordsOfNoKnownFormatAreNamedAsSuch(t *testing.T) {
	batch := appendBatch(nil, record.Batch{Bytes: 300, Records: 3, Magic: 2}, moment)
	for _, magic := range []int{3, 4, 127, 128, 255} {
		newer := bytes.Clone(batch)
		newer[batchMagicAt] = byte(magic)
		if why := disown(newer); why != newerFormat {
			t.Fatalf("magic %d, whole: %q", magic, why)
		}
		if why := disown(append(bytes.Clone(batch), newer...)); why != newerFormat {
			t.Fatalf("magic %d, behind another: %q", magic, why)
		}
		if _, why := rewriterFor(3, 12).rewrite(recordedProduce(t, newer)); why != newerFormat {
			t.Fatalf("magic %d, cut: %q", magic, why)
		}
	}
	if all, why := rewriterFor(3, 12).rewrite(recordedProduce(t, batch)); why != "" || len(all) != 1 {
		t.Errorf("format 2, cut: %q", why)
	}
	if _, why := rewriterFor(3, 12).rewrite(recordedProduce(t, nil)); why != "" {
		t.Errorf("no records, cut: %q", why)
	}
}

// recordedProduce is the entry that a Recorder writes of a Produce request with these records.
func recordedProduce(t *testing.T, records []byte) *record.Entry {
	t.Helper()
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks = 9, 1
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = records
	q.Topics = []kmsg.ProduceRequestTopic{{Topic: "orders", Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
	var f file
	r, err := record.New(&f, record.Config{})
	if err != nil {
		t.Fatal(err)
	}
	j := reqchan.NewJob(&reqchan.Conn{}, kmsg.NewRequestFormatter().AppendRequest(nil, q, 7))
	j.Begin(nil, nil)
	r.Handler(answered{}).Handle(j.Request())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	in, err := record.NewReader(bytes.NewReader(f.b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var e record.Entry
		if err := in.Next(&e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == record.Request {
			e.Body = bytes.Clone(e.Body)
			return &e
		}
	}
}

// answered answers each request with nothing.
type answered struct{}

func (answered) Handle(r reqchan.Request) { r.NoResponse() }
