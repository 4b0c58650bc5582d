package kafka

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestEveryApiThatKmsgKnowsIsDescribed(t *testing.T) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		d, req := describe(key), kmsg.RequestForKey(key)
		if d == nil || d.key != key || d.max != req.MaxVersion() || !strings.EqualFold(d.name, kmsg.NameForKey(key)) {
			t.Errorf("key %d, %s: described as %+v", key, kmsg.NameForKey(key), d)
		}
	}
	if len(descriptions) != int(kmsg.MaxKey)+1 {
		t.Errorf("%d descriptions for %d APIs", len(descriptions), kmsg.MaxKey+1)
	}
}

func TestRequestAndResponseAreFlexibleFromTheSameVersionOn(t *testing.T) {
	everyVersion(func(d *description, version int16) {
		req := kmsg.RequestForKey(d.key)
		req.SetVersion(version)
		flexible := version >= d.flexible
		if req.IsFlexible() != flexible || req.ResponseKind().IsFlexible() != flexible {
			t.Errorf("%s v%d: flexible %v here; kmsg: request %v, response %v",
				d.name, version, flexible, req.IsFlexible(), req.ResponseKind().IsFlexible())
		}
	})
}

func TestWhatKmsgEncodesIsAcceptedAndUsedUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	everyVersion(func(d *description, version int16) {
		for range 40 {
			body := randomRequest(r, d.key, version).AppendTo(nil)
			if size, err := Validate(d.key, version, body, 0); err != nil || size != len(body) {
				t.Fatalf("%s v%d: %d of %d bytes, %v\n%x", d.name, version, size, len(body), err, body)
			}
			for _, behind := range [][]byte{{0}, {1, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 300)} {
				if size, err := Validate(d.key, version, append(body[:len(body):len(body)], behind...), 0); err != nil || size != len(body) {
					t.Fatalf("%s v%d: with %x behind its %d bytes: %d, %v\n%x", d.name, version, behind, len(body), size, err, body)
				}
			}
			if len(body) == 0 {
				continue
			}
			if _, err := Validate(d.key, version, body[:len(body)-1], 0); err == nil {
				t.Fatalf("%s v%d: a byte too little is accepted\n%x", d.name, version, body)
			}
		}
	})
}

func TestWhatIsAcceptedKmsgDecodesWithinBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	everyVersion(func(d *description, version int16) {
		for range 60 {
			body := randomRequest(r, d.key, version).AppendTo(nil)
			for range 1 + r.IntN(4) {
				mutate(r, body)
			}
			if size, err := Validate(d.key, version, body, 0); err == nil {
				accepted++
				mustDecode(t, d.key, version, body[:size])
			}
		}
	})
	if accepted < 1000 {
		t.Errorf("only %d mutated bodies were accepted: nothing was tested", accepted)
	}
}

// mutate changes a byte to one that matters.
func mutate(r *rand.Rand, body []byte) {
	if len(body) == 0 {
		return
	}
	interesting := []byte{0, 1, 2, 0x7f, 0x80, 0xff, 0x0f, byte(r.Uint32())}
	body[r.IntN(len(body))] = interesting[r.IntN(len(interesting))]
}

func mustDecode(t testing.TB, key, version int16, body []byte) {
	t.Helper()
	before := heapAllocated()
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if err := req.ReadFrom(body); err != nil {
		t.Fatalf("%s v%d: accepted, but kmsg says %v\n%x", describe(key).name, version, err, body)
	}
	runtime.KeepAlive(req)
	if used, bound := heapAllocated()-before, uint64(1<<20+512*len(body)); used > bound {
		t.Fatalf("%s v%d: decoding %d bytes allocated %d", describe(key).name, version, len(body), used)
	}
}

func heapAllocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Kafka: RequestContextTest.
func TestClaimsBeyondTheBytesAreRefusedAtOnce(t *testing.T) {
	bomb := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	createTopics := []byte{0, 0x10, 0, 0} // 1 Mi topics
	cases := []struct {
		name         string
		key, version int16
		body         []byte
	}{
		{"tag count in ApiVersions", 18, 3, append([]byte{2, 'a', 2, 'b'}, bomb...)},
		{"tag size in ApiVersions", 18, 3, append([]byte{2, 'a', 2, 'b', 1, 0}, bomb...)},
		{"string in ApiVersions", 18, 3, append(bomb, 2, 'b', 0)},
		{"array in CreateTopics", 19, 0, append(createTopics, make([]byte, 1<<20)...)},
		{"array in CreateTopics, compact", 19, 5, append(bomb, make([]byte, 100)...)},
		{"null array that can't be", 19, 0, []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}},
		{"negative array that can't be null", 19, 0, []byte{0xff, 0xff, 0xff, 0xfb, 0, 0, 0, 0}},
		{"string of 32 KiB", 18, 3, append([]byte{0x81, 0x80, 0x02}, make([]byte, 40<<10)...)},
		{"number of six bytes", 18, 3, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}},
		{"number of 35 bits", 18, 3, []byte{0xff, 0xff, 0xff, 0xff, 0x7f, 0}},
		{"known tag too long", 63, 0, append(make([]byte, 22), 1, 0, 2, 1, 0)},
		{"nothing", 0, 9, nil},
	}
	for _, c := range cases {
		var err error
		refusedSoon(t, c.name, func() { _, err = Validate(c.key, c.version, c.body, 0) })
		var f *Fault
		if !errors.As(err, &f) || f.Reason != reqchan.BodyMalformed {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Apache Kafka takes every negative length as null in nullable fields.
func TestANegativeLengthIsNullWhereNullMayBe(t *testing.T) {
	topics := []byte{0xff, 0xff, 0xff, 0xfb}
	if size, err := Validate(3, 1, topics, 0); err != nil || size != len(topics) {
		t.Errorf("Metadata of -5 topics: %d, %v", size, err)
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 1
	if err := req.ReadFrom(topics); err != nil || req.Topics != nil {
		t.Errorf("-5 topics are decoded as %v, %v", req.Topics, err)
	}
	transaction := []byte{0xff, 0xfe, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	if size, err := Validate(0, 3, transaction, 0); err != nil || size != len(transaction) {
		t.Errorf("a transactional id of -2 bytes: %d, %v", size, err)
	}
	if h, err := ParseHeader(rawHeader(18, 0, -2)); err != nil || h.ClientID != nil {
		t.Errorf("a client id of -2 bytes: %q, %v", h.ClientID, err)
	}
}

func TestElementsOfARequestAreBounded(t *testing.T) {
	req := kmsg.NewPtrListTransactionsRequest()
	req.ProducerIDFilters = make([]int64, 1000)
	body := req.AppendTo(nil)
	if _, err := Validate(66, 0, body, 1000); err != nil {
		t.Error(err)
	}
	if _, err := Validate(66, 0, body, 999); err != faultElements {
		t.Errorf("1000 elements where 999 may be: %v", err)
	}
	tags := []byte{1, 1, 0xe8, 0x07} // two empty arrays, 1000 tags
	tags = append(tags, make([]byte, 2000)...)
	if _, err := Validate(66, 0, tags, 1000); err != nil {
		t.Error(err)
	}
	if _, err := Validate(66, 0, tags, 999); err != faultElements {
		t.Errorf("1000 tags where 999 elements may be: %v", err)
	}
}

func TestValidatingAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	everyVersion(func(d *description, version int16) {
		body := randomRequest(r, d.key, version).AppendTo(nil)
		if n := allocations(5, func() { validate(d.key, version, body, ElementsMaxDefault) }); n > 0 {
			t.Errorf("%s v%d: %v allocations", d.name, version, n)
		}
	})
}

func FuzzValidator(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, k := range []int16{0, 1, 3, 18, 19, 22, 78, 88} {
		f.Add(k, describe(k).max, randomRequest(r, k, describe(k).max).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		size, err := Validate(key, version, body, 0)
		if err != nil {
			return
		}
		mustDecode(t, key, version, body[:size])
		if again, err := Validate(key, version, body[:size], 0); err != nil || again != size {
			t.Fatalf("%s v%d: of %d bytes %d are the body; of these %d, %v\n%x", describe(key).name, version, len(body), size, again, err, body)
		}
	})
}

// produceBody is a Produce body with topics × partitions of so many bytes.
func produceBody(version int16, topics, partitions, size int) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = version, -1
	for i := range topics {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic = "topic-" + string(rune('a'+i))
		topic.TopicID = topicID(topic.Topic)
		for p := range partitions {
			part := kmsg.NewProduceRequestTopicPartition()
			part.Partition, part.Records = int32(p), make([]byte, size)
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req.AppendTo(nil)
}
