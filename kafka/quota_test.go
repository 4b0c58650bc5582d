package kafka

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"kring/quota"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answers is a handler that answers with responses of the test.
type answers func(APIRequest)

func (f answers) HandleAPI(r APIRequest) { f(r) }

// metered is a client of a Filter with limits, whose clock stands still.
func metered(t *testing.T, h APIHandler, limits ...quota.Limit) (*client, *quota.Quotas, *atomic.Int64) {
	t.Helper()
	var now atomic.Int64
	q, err := quota.New(quota.Config{Limits: limits, Now: now.Load})
	if err != nil {
		t.Fatal(err)
	}
	filter := NewFilter(everything(t), h)
	filter.Quotas = q
	return newClient(t, filter), q, &now
}

func limitOf(k quota.Kind, perSecond float64) quota.Limit {
	return quota.Limit{Entity: quota.Entity{ClientID: "test"}, Kind: k, PerSecond: perSecond}
}

// spent brings the client "test" far over its limit of k.
func spent(q *quota.Quotas, k quota.Kind, c *client) {
	q.For("ANONYMOUS", []byte("test"), c.conn.Remote.Addr()).Record(k, 1<<30)
}

// throttled returns how long the answered request mutes its connection.
func throttled(c *client) time.Duration {
	if until := c.request.ThrottledUntil(); until > 0 {
		return time.Duration(until - reqchan.Now())
	}
	return 0
}

// Kafka: RequestQuotaTest, F-36.
func TestEveryAPIIsToldThatItIsThrottledOrIsExempt(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	c, q, _ := metered(t, answers(func(r APIRequest) {
		resp := kmsg.ResponseForKey(r.Header.Key)
		resp.SetVersion(r.Header.Version)
		r.Respond(resp)
	}), limitOf(quota.Requests, 1))
	spent(q, quota.Requests, c)
	everyRequest(r, func(d *description, version int16, req kmsg.Request) {
		if fetch, ok := req.(*kmsg.FetchRequest); ok {
			fetch.SessionEpoch = 0
		}
		_, payload, _ := c.send(framePayload(req, 4711, "test"))
		exempt := slices.Contains(exemptFromRequestQuotas, d.key)
		if muted := throttled(c) > 0; muted == exempt {
			t.Errorf("%s v%d: muted %v, exempt %v", d.name, version, muted, exempt)
		}
		want := kmsg.ResponseForKey(d.key)
		want.SetVersion(version)
		if s, ok := want.(kmsg.SetThrottleResponse); ok && !exempt {
			s.SetThrottle(1000)
		}
		head := AppendResponseHeader(nil, d.key, version, 4711)
		if !bytes.Equal(payload, want.AppendTo(head)) {
			t.Errorf("%s v%d: answer %x, want %x", d.name, version, payload, want.AppendTo(head))
		}
	})
}

func TestWhoIsWithinItsQuotasIsAnsweredUntouched(t *testing.T) {
	body := []byte("not even a response")
	c, q, _ := metered(t, answers(func(r APIRequest) { r.RespondBody(body) }),
		limitOf(quota.Requests, 1e6), limitOf(quota.BytesIn, 1e9), limitOf(quota.BytesOut, 1e9), limitOf(quota.HandlerTime, 1e5))
	for _, key := range []int16{keyProduce, keyFetch, 3} {
		req := kmsg.RequestForKey(key)
		_, payload, _ := c.send(framePayload(req, 4711, "test"))
		if !bytes.HasSuffix(payload, body) || throttled(c) != 0 {
			t.Errorf("%s: answer %q, throttled %v", kmsg.NameForKey(key), payload, throttled(c))
		}
	}
	if st := q.Stats(); st.Throttled != [4]uint64{} {
		t.Errorf("%+v", st)
	}
}

// Kafka: F-37.
func TestTheLongestWaitOfAllQuotasCounts(t *testing.T) {
	c, q, _ := metered(t, answers(func(r APIRequest) {
		resp := kmsg.NewPtrProduceResponse()
		resp.SetVersion(r.Header.Version)
		r.Respond(resp)
	}),
		limitOf(quota.Requests, 1), limitOf(quota.BytesIn, 1))
	spent(q, quota.Requests, c) // a second
	spent(q, quota.BytesIn, c)  // half a minute
	req := kmsg.NewPtrProduceRequest()
	req.Acks = 1
	resp := ask[*kmsg.ProduceResponse](c, req, 7)
	if wait := throttled(c); resp.ThrottleMillis != 30_000 || wait > 30*time.Second || wait < 5*time.Second {
		t.Errorf("told %d ms, muted %v", resp.ThrottleMillis, wait)
	}
	if st := q.Stats(); st.Throttled[quota.BytesIn] != 1 || st.Throttled[quota.Requests] != 0 {
		t.Errorf("%+v", st)
	}
}

// Kafka: F-40.
func TestAFetchOverItsQuotaIsEmptyAndItsBytesAreTakenBack(t *testing.T) {
	full := kmsg.NewPtrFetchResponse()
	full.SessionID = 9
	full.Topics = []kmsg.FetchResponseTopic{{Topic: "a", Partitions: []kmsg.FetchResponseTopicPartition{{RecordBatches: make([]byte, 50_000)}}}}
	c, q, now := metered(t, answers(func(r APIRequest) {
		full.SetVersion(r.Header.Version)
		r.Respond(full)
	}), limitOf(quota.BytesOut, 2000))
	for _, step := range []struct {
		epoch, session int32
		empty          bool
	}{{0, 0, true}, {1, 9, true}, {2, 9, true}} {
		req := kmsg.NewPtrFetchRequest()
		req.SessionID, req.SessionEpoch = 9, step.epoch
		resp := ask[*kmsg.FetchResponse](c, req, 11)
		if len(resp.Topics) != 0 || resp.ThrottleMillis == 0 || resp.SessionID != step.session || throttled(c) == 0 {
			t.Errorf("epoch %d: %d topics, %d ms, session %d", step.epoch, len(resp.Topics), resp.ThrottleMillis, resp.SessionID)
		}
	}
	for _, u := range q.Usage() {
		if u.PerSecond != 0 {
			t.Errorf("%v counts %v though nothing was sent", u.Kind, u.PerSecond)
		}
	}
	if err := q.Set([]quota.Limit{limitOf(quota.BytesOut, 8000)}); err != nil {
		t.Fatal(err)
	}
	now.Add(int64(time.Second))
	if resp := ask[*kmsg.FetchResponse](c, kmsg.NewPtrFetchRequest(), 11); len(resp.Topics) != 1 || resp.ThrottleMillis != 0 {
		t.Errorf("under the limit: %d topics, %d ms", len(resp.Topics), resp.ThrottleMillis)
	}
}

// Kafka: F-38.
func TestARequestWithoutResponseIsMeasuredAsKafkaDoes(t *testing.T) {
	silent := answers(func(r APIRequest) { r.NoResponse() })
	for kind, muted := range map[quota.Kind]bool{quota.BytesIn: true, quota.Requests: true, quota.HandlerTime: false} {
		c, q, _ := metered(t, silent, limitOf(kind, 1))
		spent(q, kind, c)
		if answer, _, _ := c.send(framePayload(kmsg.NewPtrProduceRequest(), 1, "test")); answer != reqchan.AnswerNoResponse {
			t.Errorf("answered with %v", answer)
		}
		if got := throttled(c) > 0; got != muted {
			t.Errorf("%v: muted %v, want %v", kind, got, muted)
		}
	}
}

func TestHandlerTimeIsChargedToItsClient(t *testing.T) {
	c, q, _ := metered(t, answers(func(r APIRequest) {
		for start := reqchan.Now(); reqchan.Now() < start+1000; {
		}
		r.Respond(kmsg.NewPtrMetadataResponse())
	}), limitOf(quota.HandlerTime, 1))
	ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 0)
	if u := q.Usage(); len(u) != 1 || u[0].PerSecond <= 0 {
		t.Errorf("usage %v", u)
	}
}

func TestAQuotaForAUserIsOfThePrincipal(t *testing.T) {
	limit := quota.Limit{Entity: quota.Entity{User: "alice"}, Kind: quota.Requests, PerSecond: 0.01}
	c, _, _ := metered(t, answers(func(r APIRequest) { r.Respond(kmsg.NewPtrMetadataResponse()) }), limit)
	ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 0)
	if throttled(c) != 0 {
		t.Error("ANONYMOUS has alice's limit")
	}
	c.conn.SetPrincipal("User:alice")
	ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 0)
	if throttled(c) == 0 {
		t.Error("alice has no limit")
	}
}
