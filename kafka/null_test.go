package kafka

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"kring/internal/kmsgtest"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func newNull(t testing.TB, c NullConfig) (*Null, *client) {
	t.Helper()
	n, err := NewNull(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n, newClient(t, NewFilter(n.Versions(), n))
}

func metadataOf(c *client, names ...string) *kmsg.MetadataResponse {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	return ask[*kmsg.MetadataResponse](c, req, 12)
}

// batchOf is the header of a record batch of so many records.
func batchOf(records int) []byte {
	b := make([]byte, batchHeaderBytes)
	b[batchMagicAt] = 2
	binary.BigEndian.PutUint32(b[batchLastDeltaAt:], uint32(records-1))
	return b
}

func TestProduceAnswersAreWhatKmsgWouldEncode(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	n, c := newNull(t, NullConfig{})
	metadataOf(c, "known")
	for range 400 {
		req := kmsg.NewPtrProduceRequest()
		fillProduce(r, req)
		req.SetVersion(3 + int16(r.IntN(11)))
		kind, payload, _ := c.send(framePayload(req, 4711, "test"))
		if req.Acks == 0 {
			if kind != reqchan.AnswerNoResponse {
				t.Fatalf("acks=0 answered with %v", kind)
			}
			continue
		}
		resp := decodeResponse[*kmsg.ProduceResponse](t, payload, req)
		header := AppendResponseHeader(nil, 0, req.Version, 4711)
		if !bytes.Equal(resp.AppendTo(header), payload) {
			t.Fatalf("v%d: %x, kmsg %x", req.Version, payload, resp.AppendTo(header))
		}
		checkProduced(t, n, req, resp)
	}
}

// fillProduce makes a request for known and unknown topics and partitions.
func fillProduce(r *rand.Rand, req *kmsg.ProduceRequest) {
	req.Acks = int16(r.IntN(3) - 1)
	for range r.IntN(4) {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic = []string{"known", "new-" + string(rune('a'+r.IntN(9))), "not a name"}[r.IntN(3)]
		topic.TopicID = topicID(topic.Topic)
		kmsgtest.Fill(r, reflect.ValueOf(&topic.UnknownTags).Elem())
		for range r.IntN(200) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = int32(r.IntN(7)-1), batchOf(1+r.IntN(50))
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
	}
}

func checkProduced(t *testing.T, n *Null, req *kmsg.ProduceRequest, resp *kmsg.ProduceResponse) {
	t.Helper()
	if len(resp.Topics) != len(req.Topics) {
		t.Fatalf("%d topics answered, %d asked", len(resp.Topics), len(req.Topics))
	}
	for i, topic := range resp.Topics {
		asked := req.Topics[i]
		for j, p := range topic.Partitions {
			known := n.topics.table.Load().byName[asked.Topic]
			_, there := known.end(p.Partition)
			if p.Partition != asked.Partitions[j].Partition || there != (p.ErrorCode == 0) {
				t.Fatalf("%s-%d: error %d", asked.Topic, p.Partition, p.ErrorCode)
			}
			if there != (p.BaseOffset >= 0) {
				t.Fatalf("%s-%d: base offset %d", asked.Topic, p.Partition, p.BaseOffset)
			}
		}
	}
}

func TestBaseOffsetsGrowByTheRecordsOfTheBatch(t *testing.T) {
	_, c := newNull(t, NullConfig{})
	req := kmsg.NewPtrProduceRequest()
	req.Acks = 1
	topic, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic = "t"
	want := int64(0)
	for _, records := range []int{1, 10, 1000} {
		p.Records = batchOf(records)
		topic.Partitions = []kmsg.ProduceRequestTopicPartition{p}
		req.Topics = []kmsg.ProduceRequestTopic{topic}
		resp := ask[*kmsg.ProduceResponse](c, req, 9)
		if got := resp.Topics[0].Partitions[0]; got.BaseOffset != want || got.ErrorCode != 0 {
			t.Errorf("base offset %d, error %d; want %d", got.BaseOffset, got.ErrorCode, want)
		}
		want += int64(records)
	}
	list := kmsg.NewPtrListOffsetsRequest()
	lt, lp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	lt.Topic, lp.Timestamp = "t", -2
	lt.Partitions = append(lt.Partitions, lp)
	list.Topics = append(list.Topics, lt)
	if got := ask[*kmsg.ListOffsetsResponse](c, list, 7).Topics[0].Partitions[0]; got.Offset != want || got.ErrorCode != 0 {
		t.Errorf("the log starts at %d, error %d; want its end, %d", got.Offset, got.ErrorCode, want)
	}
}

func TestEveryTopicThatIsAskedForExistsAtOurAddress(t *testing.T) {
	_, c := newNull(t, NullConfig{PartitionsDefault: 3})
	resp := metadataOf(c, "a", "b")
	if len(resp.Brokers) != 1 || resp.Brokers[0].Host != "127.0.0.1" || resp.Brokers[0].Port != 9092 {
		t.Errorf("brokers %+v", resp.Brokers)
	}
	for _, topic := range resp.Topics {
		if topic.ErrorCode != 0 || len(topic.Partitions) != 3 || topic.TopicID != topicID(*topic.Topic) {
			t.Errorf("%+v", topic)
		}
	}
	all := ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 1)
	if len(all.Topics) != 2 {
		t.Errorf("%d topics exist, want 2", len(all.Topics))
	}
	_, c = newNull(t, NullConfig{Advertise: "broker.example:1234"})
	if b := metadataOf(c).Brokers[0]; b.Host != "broker.example" || b.Port != 1234 {
		t.Errorf("advertised %s:%d", b.Host, b.Port)
	}
}

func TestTopicsAreBoundedAndTheirNamesKafkas(t *testing.T) {
	n, c := newNull(t, NullConfig{TopicsMax: 2})
	resp := metadataOf(c, "a", "..", "b", strings.Repeat("x", 250), "c")
	var codes []int16
	for _, topic := range resp.Topics {
		codes = append(codes, topic.ErrorCode)
	}
	if want := []int16{0, 17, 0, 17, 3}; !equal(codes, want) {
		t.Errorf("error codes %v, want %v", codes, want)
	}
	if got := len(n.topics.table.Load().byName); got != 2 {
		t.Errorf("%d topics exist, want 2", got)
	}
}

func equal(a, b []int16) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestCreateTopicsSaysWhatItDid(t *testing.T) {
	_, c := newNull(t, NullConfig{PartitionsMax: 10, TopicsMax: 3})
	metadataOf(c, "old")
	req := kmsg.NewPtrCreateTopicsRequest()
	add := func(name string, partitions int32, replication int16) {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, replication
		req.Topics = append(req.Topics, topic)
	}
	add("new", 7, 1)
	add("default", -1, -1)
	add("old", 1, 1)
	add("big", 11, 1)
	add("safe", 1, 3)
	add("no name", 1, 1)
	add("one-too-many", 1, 1)
	want := []int16{0, 0, 36, 37, 38, 17, 44}
	resp := ask[*kmsg.CreateTopicsResponse](c, req, 7)
	for i, topic := range resp.Topics {
		if topic.ErrorCode != want[i] {
			t.Errorf("%s: error %d, want %d", topic.Topic, topic.ErrorCode, want[i])
		}
	}
	if n := len(metadataOf(c, "new").Topics[0].Partitions); n != 7 {
		t.Errorf("%d partitions, want 7", n)
	}
}

func TestProducerIDsAreNeverGivenTwice(t *testing.T) {
	_, c := newNull(t, NullConfig{})
	seen := map[int64]bool{}
	for v := range int16(6) {
		resp := ask[*kmsg.InitProducerIDResponse](c, kmsg.NewPtrInitProducerIDRequest(), v)
		if resp.ErrorCode != 0 || seen[resp.ProducerID] || resp.ProducerID < 0 || resp.ProducerEpoch != 0 {
			t.Errorf("v%d: %+v", v, resp)
		}
		seen[resp.ProducerID] = true
	}
}

func fetchRequest(name string, offset int64, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes = int32(wait.Milliseconds()), 1
	topic, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, topic.TopicID, p.FetchOffset = name, topicID(name), offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}

func TestFetchWaitsAndComesBackEmptyInEveryVersion(t *testing.T) {
	_, c := newNull(t, NullConfig{})
	metadataOf(c, "t")
	for v := range int16(19) {
		start := time.Now()
		resp := ask[*kmsg.FetchResponse](c, fetchRequest("t", 0, 5*time.Millisecond), v)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) != 0 || p.HighWatermark != 0 {
			t.Errorf("v%d: %+v", v, p)
		}
		if took := time.Since(start); took < 5*time.Millisecond {
			t.Errorf("v%d: answered after %v", v, took)
		}
	}
}

func TestFetchWithAnErrorDoesNotWait(t *testing.T) {
	_, c := newNull(t, NullConfig{})
	metadataOf(c, "t")
	for name, want := range map[string]int16{"t": 1, "unknown": 3} {
		if !c.start(framePayloadOf(fetchRequest(name, 99, time.Hour), 11)) {
			t.Fatalf("%s: it waits", name)
		}
		_, payload, _ := c.request.Answer()
		req := fetchRequest(name, 99, time.Hour)
		req.Version = 11
		resp := decodeResponse[*kmsg.FetchResponse](t, payload[4:], req)
		if got := resp.Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("%s: error %d, want %d", name, got, want)
		}
	}
}

func framePayloadOf(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	return framePayload(req, 4711, "test")
}

func TestAWaitingFetchEndsWithItsConnectionAndWithTheHandler(t *testing.T) {
	n, c := newNull(t, NullConfig{FetchWaitMax: time.Hour})
	metadataOf(c, "t")
	if c.start(framePayloadOf(fetchRequest("t", 0, time.Hour), 11)) {
		t.Fatal("it does not wait")
	}
	reqchan.EndConn(c.conn, reqchan.PeerReset)
	c.await()
	if kind, _, _ := c.request.Answer(); kind != reqchan.AnswerNoResponse {
		t.Errorf("the connection ended: answered with %v", kind)
	}
	if !c.start(framePayloadOf(fetchRequest("t", 0, time.Hour), 11)) {
		t.Fatal("a Fetch of an ended connection waits")
	}
	c.conn = &reqchan.Conn{}
	if c.start(framePayloadOf(fetchRequest("t", 0, time.Hour), 11)) {
		t.Fatal("it does not wait")
	}
	n.Close()
	c.await()
	if kind, _, _ := c.request.Answer(); kind != reqchan.AnswerSend {
		t.Errorf("the handler was closed: answered with %v", kind)
	}
	if len(n.waits.open) != 0 {
		t.Errorf("%d wait", len(n.waits.open))
	}
}

func TestGroupsAreToldToComeBackLater(t *testing.T) {
	_, c := newNull(t, NullConfig{})
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = "g", []string{"g", "h"}
	if resp := ask[*kmsg.FindCoordinatorResponse](c, req, 3); resp.ErrorCode != 15 {
		t.Errorf("%+v", resp)
	}
	if resp := ask[*kmsg.FindCoordinatorResponse](c, req, 6); len(resp.Coordinators) != 2 || resp.Coordinators[1].ErrorCode != 15 {
		t.Errorf("%+v", resp)
	}
}

func TestNullConfigReportsEveryFaultAtOnce(t *testing.T) {
	for _, advertise := range []string{"nowhere", "0.0.0.0:1", ":9092", "[::]:1", "h:0", "h:70000"} {
		_, err := NewNull(NullConfig{Advertise: advertise, PartitionsDefault: 2000, TopicsMax: -1, FetchWaitMax: -1})
		for _, field := range []string{"Advertise", "PartitionsDefault", "TopicsMax", "FetchWaitMax"} {
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %v does not name %s", advertise, err, field)
			}
		}
	}
}

func TestEveryWaitingFetchIsAnsweredExactlyOnceWhoeverComesFirst(t *testing.T) {
	for range 200 {
		n, c := newNull(t, NullConfig{})
		metadataOf(c, "t")
		there := c.start(framePayloadOf(fetchRequest("t", 0, time.Millisecond), 11))
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			reqchan.ConnGone(c.conn, reqchan.PeerReset)
		}()
		n.Close()
		<-closed
		if !there {
			c.await() // a second answer would panic
		}
	}
}
