package kafka

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"kring/quota"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const keyFetch = 1

// exemptFromRequestQuotas are the APIs that brokers and controllers use among themselves
// (ApiKeys.clusterAction, except what administrators use): they must not be throttled.
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

// measure passes r to the Handler, and charges the handler time to its client.
func (d *Filter) measure(r APIRequest) {
	if !d.Quotas.Bounds(quota.HandlerTime) || slices.Contains(exemptFromRequestQuotas, r.Header.Key) {
		d.pass(r)
		return
	}
	// The subject is found before the call, because the answer ends r. What the handler
	// does on other goroutines, such as waiting for records, is not charged.
	who := d.subject(r.Header, r.Raw.Conn())
	start := time.Now()
	d.pass(r)
	who.Record(quota.HandlerTime, int64(time.Since(start)))
}

// chargeBehind records the bytes behind a Produce request's body, which the client sent
// too. The client waits for them when the request is charged.
func (d *Filter) chargeBehind(r APIRequest, bytes int) {
	if bytes > 0 && r.Header.Key == keyProduce {
		d.subject(r.Header, r.Raw.Conn()).Record(quota.BytesIn, int64(bytes))
	}
}

func (d *Filter) subject(h Header, c *reqchan.Conn) *quota.Subject {
	user := strings.TrimPrefix(c.Principal(), "User:")
	return d.Quotas.For(user, h.ClientID, c.ClientAddr())
}

// meteredFilter is a Filter as the observer of answers to its requests.
type meteredFilter Filter

// Answering records what r used, and throttles a client that is over a limit, for the
// longest of the waits (KafkaApis: the larger of bandwidth and request throttle). The
// response says so and is sent at once; the connection is muted (KIP-219).
func (m *meteredFilter) Answering(r reqchan.Request, k reqchan.AnswerKind, payload []byte) []byte {
	u := (*Filter)(m).charge(r, k, len(payload))
	switch {
	case u.wait == 0 || k != reqchan.AnswerSend:
		return payload
	case u.of.Key == keyFetch:
		if empty := u.takeBack(r, len(payload)); empty != nil {
			return empty
		}
		return payload
	}
	at := throttleAt(u.of.Key, u.of.Version, payload)
	if at < 0 {
		return payload // no such field; the client is muted without being told
	}
	b := append(r.Buffer(len(payload))[:0], payload...) // in place, when it lies there
	u.tell(b[at:])
	return b
}

// AnsweringParts is Answering for a response with files. If the throttle time lies behind
// the first file, the client is muted without being told.
func (m *meteredFilter) AnsweringParts(r reqchan.Request, head []byte, size int) []byte {
	u := (*Filter)(m).charge(r, reqchan.AnswerSend, size)
	if u.wait == 0 {
		return nil
	}
	if u.of.Key == keyFetch {
		return u.takeBack(r, size)
	}
	if at := throttleAt(u.of.Key, u.of.Version, head); at >= 0 {
		u.tell(head[at:])
	}
	return nil
}

// charge records what r used, with a response of size bytes, and mutes its connection for
// as long as the client has to wait.
func (d *Filter) charge(r reqchan.Request, k reqchan.AnswerKind, size int) (u use) {
	h, f := parseHeader(r.Payload())
	if f != nil {
		return u // the handler wrote the response over the request
	}
	u = use{who: d.subject(h, r.Conn()), of: h}
	if u.who == nil {
		return u
	}
	if !slices.Contains(exemptFromRequestQuotas, h.Key) {
		u.add(quota.Requests, u.who.Record(quota.Requests, 1))
		if k == reqchan.AnswerSend { // Kafka: acks=0 is exempt
			u.add(quota.HandlerTime, u.who.Throttle(quota.HandlerTime))
		}
	}
	switch {
	case h.Key == keyProduce:
		u.add(quota.BytesIn, u.who.Record(quota.BytesIn, int64(len(r.Payload()))))
	case h.Key == keyFetch:
		u.add(quota.BytesOut, u.who.Record(quota.BytesOut, int64(size)))
	}
	if u.wait > 0 {
		d.Quotas.Throttled(u.kind)
		r.Throttle(u.wait)
	}
	return u
}

// use is what one request is charged.
type use struct {
	who  *quota.Subject
	of   Header
	wait time.Duration // the longest
	kind quota.Kind    // what it is for
}

func (u *use) add(k quota.Kind, wait time.Duration) {
	if wait > u.wait {
		u.wait, u.kind = wait, k
	}
}

// tell writes the wait into the throttle time of a response.
func (u *use) tell(field []byte) {
	binary.BigEndian.PutUint32(field, uint32(u.wait/time.Millisecond))
}

// takeBack returns a response without records for a Fetch over a quota, and takes its
// bytes back, which are not sent now; nil if the quota is kept.
func (u *use) takeBack(r reqchan.Request, size int) []byte {
	empty := throttledFetch(u.of, r.Payload()[u.of.Size:], int32(u.wait/time.Millisecond))
	if empty != nil {
		u.who.Record(quota.BytesOut, -int64(size))
		r.SetErrorCode(0)
	}
	return empty
}

// throttledFetch is a Fetch response without records. It ends the session of a full fetch
// and keeps that of an incremental one (Kafka: FullFetchContext and
// IncrementalFetchContext, getThrottledResponse). nil: the request can't be read.
func throttledFetch(h Header, body []byte, ms int32) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(h.Version)
	if err := req.ReadFrom(body); err != nil {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	resp.ThrottleMillis = ms
	if req.SessionEpoch > 0 {
		resp.SessionID = req.SessionID
	}
	return resp.AppendTo(AppendResponseHeader(nil, h.Key, h.Version, h.CorrelationID))
}
