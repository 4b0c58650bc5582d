package kafka

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

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
			if err := Validate(d.key, version, body, 0); err != nil {
				t.Fatalf("%s v%d: %v\n%x", d.name, version, err, body)
			}
			if err := Validate(d.key, version, append(body, 0), 0); err == nil {
				t.Fatalf("%s v%d: a byte too much is accepted\n%x", d.name, version, body)
			}
			if len(body) > 0 && Validate(d.key, version, body[:len(body)-1], 0) == nil {
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
			if Validate(d.key, version, body, 0) == nil {
				accepted++
				mustDecode(t, d.key, version, body)
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
		{"negative array", 3, 1, []byte{0xff, 0xff, 0xff, 0xfb}},
		{"number of six bytes", 18, 3, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}},
		{"number of 35 bits", 18, 3, []byte{0xff, 0xff, 0xff, 0xff, 0x7f, 0}},
		{"known tag too long", 63, 0, append(make([]byte, 23), 1, 0, 2, 1, 0)},
		{"nothing", 0, 9, nil},
	}
	for _, c := range cases {
		start := time.Now()
		err := Validate(c.key, c.version, c.body, 0)
		var f *Fault
		if !errors.As(err, &f) || f.Reason != reqchan.BodyMalformed {
			t.Errorf("%s: %v", c.name, err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("%s: refused after %v", c.name, took)
		}
	}
}

func TestElementsOfARequestAreBounded(t *testing.T) {
	req := kmsg.NewPtrListTransactionsRequest()
	req.ProducerIDFilters = make([]int64, 1000)
	body := req.AppendTo(nil)
	if err := Validate(66, 0, body, 1000); err != nil {
		t.Error(err)
	}
	if err := Validate(66, 0, body, 999); err != faultElements {
		t.Errorf("1000 elements where 999 may be: %v", err)
	}
	tags := []byte{1, 1, 0xe8, 0x07} // two empty arrays, 1000 tags
	tags = append(tags, make([]byte, 2000)...)
	if err := Validate(66, 0, tags, 1000); err != nil {
		t.Error(err)
	}
	if err := Validate(66, 0, tags, 999); err != faultElements {
		t.Errorf("1000 tags where 999 elements may be: %v", err)
	}
}

func TestValidatingAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	everyVersion(func(d *description, version int16) {
		body := randomRequest(r, d.key, version).AppendTo(nil)
		if n := testing.AllocsPerRun(5, func() { validate(d.key, version, body, ElementsMaxDefault) }); n > 0 {
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
		if Validate(key, version, body, 0) == nil {
			mustDecode(t, key, version, body)
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
