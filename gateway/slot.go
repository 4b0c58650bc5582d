package gateway

import (
	"encoding/binary"
	"sync"
	"time"

	"kring"
	"kring/kafka"
)

// slot is one request's place: in its client's queue until it goes upstream, then in the
// queue of an upstream connection until its response is there.
//
// Owner: the node's lock, but for what finish reads, which does not change once the slot
// is off all queues.
type slot struct {
	req    kafka.APIRequest
	client *client // nil: the gateway itself asks, and reply gets the response
	course course
	due    int64 // when it has waited long enough for a connection
	dry    bool  // it changes nothing, whatever its response says

	on          *uplink
	correlation int32
	parts       [2][]byte
	head        [12]byte // size, key, version and correlation id, as they go upstream
	// written: the Link has done with the memory. Owner: the Link's goroutine, as of begun,
	// answered and early; and who sends it, before that.
	written   bool
	begun     bool   // the broker may have read a part of it
	answered  bool   // its response came before written, and is kept
	early     []byte // that response
	throttled time.Duration
	promised  int64  // how many bytes of Gateway.promised the answer may have
	into      []byte // memory of req where the response is received; nil: the Link's

	// reply is of the gateway's own requests: what the broker answered, or why it did not.
	// It runs with the node's lock held.
	reply func(payload []byte, err error)

	// done is Write.Done, for by: made once, and used for as many requests as the slot serves.
	done  func(begun bool, err error)
	by    *uplink // that it was sent by first
	again bool    // it was sent by another as well
}

// slots are those that serve no request.
var slots = sync.Pool{New: func() any {
	s := &slot{}
	s.done = func(begun bool, err error) { s.by.sent(s, begun, err) }
	return s
}}

// newSlot is a slot for a request of c.
func newSlot(c *client, r kafka.APIRequest) *slot {
	s := slots.Get().(*slot)
	s.req, s.client, s.course = r, c, courseOf(r.Header, r.Frame())
	s.dry = c.node.g.topics != nil && changesNothing(r)
	return s
}

// free has s serve another request: it was answered, is in no queue, and its one Write is done. A
// slot that came any other way is left to the garbage collector.
func (s *slot) free() {
	if !s.again {
		*s = slot{done: s.done}
		slots.Put(s)
	}
}

// sentBy is what to call when u does not need the memory of s any more.
func (s *slot) sentBy(u *uplink) func(begun bool, err error) {
	if s.by == nil && s.done != nil {
		s.by = u
		return s.done
	}
	s.again = true
	return func(begun bool, err error) { u.sent(s, begun, err) }
}

// frame readies what is sent: the client's payload under the correlation id of the upstream
// connection. The payload itself is not copied.
func (s *slot) frame() [][]byte {
	if s.client == nil {
		return s.parts[:1]
	}
	payload := s.req.Frame()
	binary.BigEndian.PutUint32(s.head[:], uint32(len(payload)))
	copy(s.head[4:8], payload) // key and version
	binary.BigEndian.PutUint32(s.head[8:], uint32(s.correlation))
	s.parts = [2][]byte{s.head[:], payload[8:]}
	return s.parts[:]
}

// lowerWait has the broker wait for data no longer than most.
func (s *slot) lowerWait(most time.Duration) {
	if s.course.waitAt == 0 || s.course.waits <= most {
		return
	}
	s.course.waits = max(most, time.Millisecond)
	binary.BigEndian.PutUint32(s.req.Frame()[s.course.waitAt:], uint32(s.course.waits/time.Millisecond))
}

// answer is what a client is told, once no lock is held.
type answer struct {
	slot *slot
	kind answerKind
	code int16
	why  kring.CloseReason
	node *node
}

type answerKind uint8

const (
	answerClose   answerKind = iota // close the connection, for why
	answerNothing                   // acks=0, or nobody is there any more
	answerRefuse                    // with an error code
	answerHere                      // ApiVersions
	answerEarly                     // with the response that came before the request had left
)

// give answers; without locks.
func (a *answer) give() {
	s := a.slot
	switch a.kind {
	case answerClose:
		s.req.CloseConnection(a.why)
	case answerNothing:
		if a.code != 0 {
			s.req.Raw.SetErrorCode(a.code)
		}
		s.req.NoResponse()
	case answerRefuse:
		refuse(s.req, a.code, a.why, a.node)
	case answerHere:
		a.node.answerVersions(s)
	case answerEarly:
		a.node.finish(s, s.early)
	}
}
