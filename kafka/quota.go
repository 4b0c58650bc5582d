package kafka

import (
	"slices"
	"strings"
	"time"

	"kring/quota"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const keyFetch = 1

// exemptFromRequestQuotas are the APIs that brokers and controllers use among
// themselves (ApiKeys.clusterAction, less what administrators ask): what they
// ask must not wait for a quota.
var exemptFromRequestQuotas = []int16{
	4,  // LeaderAndISR
	5,  // StopReplica
	6,  // UpdateMetadata
	7,  // ControlledShutdown
	27, // WriteTxnMarkers
	52, // Vote
	53, // BeginQuorumEpoch
	54, // EndQuorumEpoch
	56, // AlterPartition
	58, // Envelope
	62, // BrokerRegistration
	63, // BrokerHeartbeat
	67, // AllocateProducerIDs
	70, // ControllerRegistration
	73, // AssignReplicasToDirs
}

// measure hands r to the Handler, on the account of its client.
func (d *Door) measure(r Request) {
	if !d.Quotas.Bounds(quota.HandlerTime) || slices.Contains(exemptFromRequestQuotas, r.Header.Key) {
		d.next.HandleKafka(r)
		return
	}
	// After the call r may be another's. What the handler does of it on other
	// goroutines, such as waiting for records, is not its client's to pay for.
	who := d.subject(r.Header, r.Request.Conn)
	start := time.Now()
	d.next.HandleKafka(r)
	who.Record(quota.HandlerTime, int64(time.Since(start)))
}

func (d *Door) subject(h Header, c *reqchan.Conn) *quota.Subject {
	user := strings.TrimPrefix(c.Principal(), "User:")
	return d.Quotas.For(user, h.ClientID, c.Remote.Addr())
}

// meteredDoor is a Door that sees the answers to its requests.
type meteredDoor Door

// Answering records what r used, and has its client wait that is over a limit:
// for the longest of the waits (KafkaApis: the larger of bandwidth and request
// throttle). The response says so and leaves at once; the connection is muted
// (KIP-219).
func (m *meteredDoor) Answering(r *reqchan.Request, k reqchan.AnswerKind, payload []byte) []byte {
	h, f := parseHeader(r.Payload)
	if f != nil {
		return payload // the handler wrote its answer over the request
	}
	d := (*Door)(m)
	u := use{who: d.subject(h, r.Conn)}
	if u.who == nil {
		return payload
	}
	if !slices.Contains(exemptFromRequestQuotas, h.Key) {
		u.add(quota.Requests, u.who.Record(quota.Requests, 1))
		if k == reqchan.AnswerSend { // Kafka: acks=0 is exempt
			u.add(quota.HandlerTime, u.who.Throttle(quota.HandlerTime))
		}
	}
	switch {
	case h.Key == keyProduce:
		u.add(quota.BytesIn, u.who.Record(quota.BytesIn, int64(len(r.Payload))))
	case h.Key == keyFetch:
		u.add(quota.BytesOut, u.who.Record(quota.BytesOut, int64(len(payload))))
	}
	if u.wait == 0 {
		return payload
	}
	d.Quotas.Throttled(u.of)
	r.Throttle(u.wait)
	if k != reqchan.AnswerSend {
		return payload
	}
	ms := int32(u.wait / time.Millisecond)
	if h.Key == keyFetch {
		u.who.Record(quota.BytesOut, -int64(len(payload))) // they are not sent now
		return throttledFetch(h, r.Payload[h.Size:], ms, payload)
	}
	return withThrottle(h, payload, ms)
}

// use is what one answer adds to a client's account.
type use struct {
	who  *quota.Subject
	wait time.Duration // the longest
	of   quota.Kind    // what it is for
}

func (u *use) add(k quota.Kind, wait time.Duration) {
	if wait > u.wait {
		u.wait, u.of = wait, k
	}
}

// withThrottle writes the throttle time into an encoded response. One that has
// no such field, or that can't be read, stays as it is: its client is muted all
// the same.
func withThrottle(h Header, payload []byte, ms int32) []byte {
	resp := kmsg.ResponseForKey(h.Key)
	field, ok := resp.(kmsg.SetThrottleResponse)
	head := AppendResponseHeader(nil, h.Key, h.Version, h.CorrelationID)
	if !ok || len(payload) < len(head) {
		return payload
	}
	resp.SetVersion(h.Version)
	if err := resp.ReadFrom(payload[len(head):]); err != nil {
		return payload
	}
	field.SetThrottle(ms)
	return resp.AppendTo(head)
}

// throttledFetch is a Fetch response without records. It ends the session of a
// request that asked for everything and keeps that of one that asked for what
// changed (Kafka: FullFetchContext and IncrementalFetchContext,
// getThrottledResponse).
func throttledFetch(h Header, body []byte, ms int32, payload []byte) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(h.Version)
	if err := req.ReadFrom(body); err != nil {
		return payload
	}
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	resp.ThrottleMillis = ms
	if req.SessionEpoch > 0 {
		resp.SessionID = req.SessionID
	}
	return resp.AppendTo(AppendResponseHeader(nil, h.Key, h.Version, h.CorrelationID))
}
