package kafka

import (
	"fmt"
	"testing"

	"kring/quota"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicsThere knows ids, and which topics exist.
type topicsThere struct{ namedTopics }

func (n topicsThere) TopicExists(name string) bool { return n.namedTopics[topicID(name)] == name }

// fetched is an answer of two partitions, with 100 and 30 bytes of records, aborted
// transactions among them.
func fetchedOf(version int16, topic string) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = version
	t := kmsg.NewFetchResponseTopic()
	t.Topic, t.TopicID = topic, topicID(topic)
	for p, n := range []int{100, 30} {
		part := kmsg.NewFetchResponseTopicPartition()
		part.Partition, part.RecordBatches = int32(p), make([]byte, n)
		part.AbortedTransactions = make([]kmsg.FetchResponseTopicPartitionAbortedTransaction, 2*p)
		t.Partitions = append(t.Partitions, part)
	}
	resp.Topics = append(resp.Topics, t)
	return resp
}

// producedOf is an answer with an error of the second partition.
func producedOf(req *kmsg.ProduceRequest, code int16) *kmsg.ProduceResponse {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, of := range req.Topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = of.Topic, of.TopicID
		for i := len(of.Partitions) - 1; i >= 0; i-- { // not in the order of the request
			p := kmsg.NewProduceResponseTopicPartition()
			if p.Partition = of.Partitions[i].Partition; p.Partition == 1 && code != 0 {
				p.ErrorCode, p.ErrorMessage = code, kmsg.StringPtr("why")
				p.ErrorRecords = make([]kmsg.ProduceResponseTopicPartitionErrorRecord, 2)
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// TestWhatIsProducedAndFetchedIsCountedByTopic, in every version, as Apache Kafka counts it:
// what was stored and sent, errors by what they mean, with quotas and without.
func TestWhatIsProducedAndFetchedIsCountedByTopic(t *testing.T) {
	for _, limits := range [][]quota.Limit{nil, {limitOf(quota.BytesOut, 1e12)}} {
		code := int16(0)
		door := NewFilter(everything(t), answers(func(r APIRequest) {
			req, err := r.Decode()
			if err != nil {
				t.Fatal(err)
			}
			switch req := req.(type) {
			case *kmsg.ProduceRequest:
				if req.Acks == 0 {
					r.NoResponse()
					return
				}
				r.Respond(producedOf(req, code))
			case *kmsg.FetchRequest:
				r.Respond(fetchedOf(req.Version, "orders"))
			}
		}))
		door.TopicCounts = &TopicCounts{Topics: topicsThere{namedTopics{topicID("orders"): "orders"}}}
		if limits != nil {
			q, err := quota.New(quota.Config{Limits: limits})
			if err != nil {
				t.Fatal(err)
			}
			door.Quotas = q
		}
		c := newClient(t, door)
		var want TopicTraffic
		was := func(what string, change func(*TopicTraffic)) {
			t.Helper()
			change(&want)
			by, other, all := door.TopicCounts.All()
			got := by["orders"]
			if got != want || all != want || other != (TopicTraffic{}) || len(by) != 1 {
				t.Fatalf("%s: %+v, in all %+v, others %+v, %d topics; want %+v", what, got, all, other, len(by), want)
			}
		}
		for version := int16(3); version <= describe(keyProduce).max; version++ {
			for _, code = range []int16{0, codeMessageTooLarge, codeUnknownServerError, codeUnknownTopicOrPartition, 87} {
				c.send(framePayload(produceOf(version, "orders", "", 77), 1, "test"))
				was(fmt.Sprintf("Produce v%d, error %d", version, code), func(w *TopicTraffic) {
					w.BytesIn, w.Records, w.Produces = w.BytesIn+81, w.Records+3, w.Produces+2
					switch code {
					case 0:
						w.BytesIn, w.Records = w.BytesIn+81, w.Records+3
					case codeMessageTooLarge:
						w.BytesRejected += 81
					case codeUnknownServerError:
						w.FailedProduces++
					case codeUnknownTopicOrPartition:
						w.Produces--
					}
				})
			}
			silent := produceOf(version, "orders", "", 77)
			silent.Acks = 0
			c.send(framePayload(silent, 1, "test"))
			was(fmt.Sprintf("Produce v%d, acks 0", version), func(w *TopicTraffic) { w.BytesIn, w.Records, w.Produces = w.BytesIn+162, w.Records+6, w.Produces+2 })
		}
		for version := int16(4); version <= describe(keyFetch).max; version++ {
			req := kmsg.NewPtrFetchRequest()
			req.Version = version
			c.send(framePayload(req, 1, "test"))
			was(fmt.Sprintf("Fetch v%d", version), func(w *TopicTraffic) { w.BytesOut, w.Fetches = w.BytesOut+130, w.Fetches+2 })
		}
	}
}

// TestTopicsAreCountedWithinABound: names that nobody has don't take places, those beyond Max
// count together, and a topic that is gone makes room. The sum never falls.
func TestTopicsAreCountedWithinABound(t *testing.T) {
	names := namedTopics{}
	for _, name := range []string{"a", "b", "c"} {
		names[topicID(name)] = name
	}
	code := int16(0)
	door := NewFilter(everything(t), answers(func(r APIRequest) {
		req, err := r.Decode()
		if err != nil {
			t.Fatal(err)
		}
		r.Respond(producedOf(req.(*kmsg.ProduceRequest), code))
	}))
	counts := &TopicCounts{Max: 2, Topics: topicsThere{names}}
	door.TopicCounts = counts
	c := newClient(t, door)
	produce := func(name string) { c.send(framePayload(produceOf(9, name, "", 1), 1, "test")) }
	expect := func(what string, topics map[string]uint64, others, sum uint64) {
		t.Helper()
		by, other, all := counts.All()
		if len(by) != len(topics) || other.Produces != others || all.Produces != sum {
			t.Errorf("%s: %+v, others %+v, in all %+v", what, by, other, all)
		}
		for name, n := range topics {
			if by[name].Produces != n {
				t.Errorf("%s: %s has %+v", what, name, by[name])
			}
		}
	}
	for i := range 50 {
		req := produceOf(9, fmt.Sprint("nobody ", i), "", 1)
		req.Topics[0].Partitions = req.Topics[0].Partitions[1:] // the one that is refused
		code = codeUnknownTopicOrPartition
		c.send(framePayload(req, 1, "test"))
	}
	expect("names that nobody has", nil, 0, 0)
	many := kmsg.NewPtrProduceRequest()
	many.Version = 9
	for i := range 400 { // more than the walk for the request's own error code looks at
		one := produceOf(9, fmt.Sprint("many ", i), "", 1).Topics[0]
		one.Partitions = one.Partitions[1:]
		many.Topics = append(many.Topics, one)
	}
	c.send(framePayload(many, 1, "test"))
	expect("many names that nobody has", nil, 0, 0)
	code = 0
	for _, name := range []string{"a", "b", "c", "a"} {
		produce(name)
	}
	expect("three topics of two", map[string]uint64{"a": 4, "b": 2}, 2, 8)
	delete(names, topicID("a"))
	expect("one is deleted", map[string]uint64{"b": 2}, 2, 8)
	produce("c")
	expect("there is room again", map[string]uint64{"b": 2, "c": 2}, 2, 10)
	counts = &TopicCounts{Max: -1}
	door.TopicCounts = counts
	produce("c")
	expect("none by itself", nil, 2, 2)
}

// TestAProduceThatWasNotAnsweredIsNotCounted, unless its client wants no answer: its client has
// gone, and nobody says what became of it. And of those that want none, one that is lost.
func TestAProduceThatWasNotAnsweredIsNotCounted(t *testing.T) {
	code := int16(0)
	door := NewFilter(everything(t), answers(func(r APIRequest) {
		r.Raw.SetErrorCode(code)
		r.NoResponse()
	}))
	door.TopicCounts = &TopicCounts{}
	c := newClient(t, door)
	for version := int16(3); version <= describe(keyProduce).max; version++ {
		for _, acks := range []int16{-1, 0, 1} {
			for _, code = range []int16{0, 13} {
				req := produceOf(version, "orders", "", 77)
				req.Acks = acks
				_, _, before := door.TopicCounts.All()
				c.send(framePayload(req, 1, "test"))
				_, _, after := door.TopicCounts.All()
				if counted := after.Produces > before.Produces; counted != (acks == 0 && code == 0) {
					t.Errorf("v%d, acks %d, error %d: counted: %v", version, acks, code, counted)
				}
			}
		}
	}
}

// TestCountingByTopicAllocatesNothing, once a topic has its place.
func TestCountingByTopicAllocatesNothing(t *testing.T) {
	for _, version := range []int16{9, 13} { // by name, by id
		request, answer := produceOf(version, "orders", "", 1).AppendTo(nil), fetchedOf(version, "orders").AppendTo(nil)
		c := &TopicCounts{}
		n := testing.AllocsPerRun(100, func() {
			c.produced(&topicReader{reader: reader{left: request}, version: version, flexible: true}, nil)
			c.fetched(&topicReader{reader: reader{left: answer}, version: version, flexible: version >= 12})
		})
		if by, _, all := c.All(); n != 0 || len(by) != 1 || all.Produces != 202 || all.Fetches != 202 {
			t.Errorf("v%d: %v allocations, %+v", version, n, by)
		}
	}
}
