package reqchan

import (
	"encoding/binary"
	"sync/atomic"

	"kring/internal/measure"
	"kring/internal/slab"
)

// SizeBytes is the length of the size in front of every frame.
const SizeBytes = 4

// Request is one frame on its way to a handler and back.
//
// Owner: the processor until TrySend, then the handler until it answers
// (Respond, NoResponse, CloseConnection or CloseConnectionAfter, exactly one,
// exactly once, from any goroutine), then the processor again. After the answer the handler must not
// touch the Request, its Payload or its Buffer.
type Request struct {
	// Payload is the frame without its size. Its memory stays valid until the
	// answer. Invariant: the SizeBytes before it are the request's too.
	Payload []byte
	// Conn is the connection that it came from.
	Conn *Conn
	// API and Version are what Config.APIOf read of the payload; API is -1 when
	// nobody can say.
	API, Version int16
	// ErrorCode is for the handler to set before it answers: it is counted.
	ErrorCode int16
	// Times is its way so far.
	Times Times

	// What the processor keeps with it; nobody else looks at it.
	Frame  []byte // size and payload together
	Memory any    // what Frame lies in, to be released after the answer
	Token  uint64 // the connection's engine token
	Seq    uint64 // its place among the connection's requests
	Bytes  int64  // what it holds of the channel's byte capacity
	// Limited is when it was let go to the handlers under a latency target; 0: not.
	Limited int64

	home *ResponseQueue
	pool *slab.Pool
	next *Request // intrusive link of ResponseQueue

	// life counts how often the request was used; Begin changes it, before the
	// request leaves the processor. state is away() or answered() of this life;
	// anything else, left over from the life before, means that the request is
	// in Handle. So Begin costs no locked instruction. Order: the answer (and all
	// the handler wrote) is published by the Swap in answer, read by whoever
	// finds answered().
	life   uint32
	state  atomic.Uint32
	kind   AnswerKind
	reason CloseReason
	// What the answer does beside what it sends: see Throttle and
	// CloseConnectionAfter. In nanoseconds of Now, 0: nothing.
	throttledUntil, closeAt int64
	answering               Answering // nil: nobody
	// scratch is memory of pool for the response, SizeBytes of it in front; it
	// stays with the Request while it is small, so that the next response costs
	// no allocation. response is the answer with its size in front: a part of
	// scratch or of Frame.
	scratch  []byte
	response []byte
	copied   int // bytes that Respond had to copy
	// parts are what the response is made of when files are in it, fileBytes of
	// it in all; released is told when they are needed no more.
	parts     []Part
	fileBytes int64
	released  func()
}

// AnswerKind is how a request was answered.
type AnswerKind uint8

// The kinds of answer (Kafka: SendResponse, NoOpResponse, CloseConnectionResponse).
const (
	AnswerNone AnswerKind = iota
	AnswerSend
	AnswerNoResponse
	AnswerClose
)

// away is the state of a request whose Handle returned without an answer: the
// answer brings it home.
func (r *Request) away() uint32 { return 2 * r.life }

// answered is the state of a request that has its answer; if Handle has not
// returned, whoever called it brings the request home.
func (r *Request) answered() uint32 { return 2*r.life + 1 }

// scratchKeptBytes is the largest response memory that stays with a Request.
const scratchKeptBytes = 16 << 10

// Buffer lends n bytes for the response. Respond with it, or with a part that
// starts where it starts, and nothing is copied. A later call for more keeps
// nothing of the content. The content is undefined.
func (r *Request) Buffer(n int) []byte {
	if cap(r.scratch) < SizeBytes+n {
		r.dropScratch()
		r.scratch = r.pool.Get(SizeBytes + n)
	}
	return r.scratch[SizeBytes : SizeBytes+n : cap(r.scratch)]
}

// Respond answers with payload (the response frame without its size).
// Memory of Buffer, or Payload itself, is sent from where it is; any other is
// copied first, so the caller may use it again at once.
func (r *Request) Respond(payload []byte) {
	if r.answering != nil {
		payload = r.answering.Answering(r, AnswerSend, payload)
	}
	r.place(payload)
	r.answer(AnswerSend, ReasonNone)
}

// place puts payload where it is sent from, with its size in front.
func (r *Request) place(payload []byte) {
	switch {
	case sameStart(payload, r.scratch, SizeBytes):
		r.response = r.scratch[: SizeBytes+len(payload) : cap(r.scratch)]
	case len(payload) > 0 && sameStart(payload, r.Frame, SizeBytes):
		r.response = r.Frame[:SizeBytes+len(payload)]
	default:
		r.copied = copy(r.Buffer(len(payload)), payload)
		r.response = r.scratch[:SizeBytes+len(payload)]
	}
	binary.BigEndian.PutUint32(r.response, uint32(len(payload)))
}

// NoResponse answers with nothing (Produce with acks=0): the next request of
// the connection may go on.
func (r *Request) NoResponse() {
	if r.answering != nil {
		r.answering.Answering(r, AnswerNoResponse, nil)
	}
	r.answer(AnswerNoResponse, ReasonNone)
}

// CloseConnection answers by closing the connection, for a reason that is
// counted. Responses queued before it are still sent.
func (r *Request) CloseConnection(why CloseReason) { r.answer(AnswerClose, why) }

func (r *Request) answer(k AnswerKind, why CloseReason) {
	r.kind, r.reason = k, why
	away, answered := r.away(), r.answered() // afterwards r may be in use again
	if r.state.Load() == away {
		r.Times.Answered = measure.Now() // later than Handle returned
	}
	switch r.state.Swap(answered) {
	case away:
		homecoming(r, r, 1)
	case answered:
		panic("kring: a request was answered twice")
	}
}

// Begin readies r for a Handle call; the processor calls it before the request
// leaves its hands, so that an answer finds its way.
func (r *Request) Begin(home *ResponseQueue, pool *slab.Pool) {
	r.home, r.pool = home, pool
	r.kind, r.reason, r.response, r.copied = AnswerNone, ReasonNone, nil, 0
	r.throttledUntil, r.closeAt, r.answering = 0, 0, nil
	r.life++
}

// HandleReturned is called by whoever called Handle, right after it returned:
// true means that the answer is there and the caller brings r home; false, that
// the answer will come later and bring r home by itself (then r is not the
// caller's any more).
func (r *Request) HandleReturned() bool {
	now := r.state.Load()
	return now == r.answered() || !r.state.CompareAndSwap(now, r.away())
}

// Plain is the response, with its size in front, of a request that was answered
// with that and nothing else: no throttle, no files. Otherwise, or if it was not
// answered yet, it is nil. For whoever called Handle, right after it returned; for
// the processor, once r is home.
func (r *Request) Plain() []byte {
	if !r.Answered() || r.kind != AnswerSend || r.throttledUntil != 0 || len(r.parts) > 0 || r.released != nil {
		return nil
	}
	return r.response
}

// Answered says that the answer was given; for whoever called Handle, when it
// panicked.
func (r *Request) Answered() bool { return r.state.Load() == r.answered() }

// Answer is what the handler decided; for the processor, once r is home.
// response has its size in front and is nil unless there is one to send.
func (r *Request) Answer() (kind AnswerKind, response []byte, why CloseReason) {
	return r.kind, r.response, r.reason
}

// ResponseCopied is how many bytes Respond copied, because they were not in
// memory of the request's.
func (r *Request) ResponseCopied() int { return r.copied }

// ResponseIsFrame says that the response lies in the request's own frame.
func (r *Request) ResponseIsFrame() bool {
	return len(r.response) > 0 && len(r.Frame) > 0 && &r.response[0] == &r.Frame[0]
}

// Reset forgets the request but keeps a small response memory; for the
// processor, when neither frame nor response is needed any more.
func (r *Request) Reset() {
	if cap(r.scratch) > scratchKeptBytes {
		r.dropScratch()
	}
	if len(r.parts) > 0 || r.released != nil {
		r.releaseParts()
	}
	r.Payload, r.Conn, r.Frame, r.Memory = nil, nil, nil, nil
	r.response, r.next = nil, nil
}

// Free gives the response memory back; r is not used any more.
func (r *Request) Free() {
	r.Reset()
	r.dropScratch()
}

func (r *Request) dropScratch() {
	if r.scratch != nil {
		r.pool.Put(r.scratch)
		r.scratch = nil
	}
}

// sameStart says whether part begins at whole[at].
func sameStart(part, whole []byte, at int) bool {
	part = part[:cap(part)]
	return len(part) > 0 && cap(whole) > at && &part[0] == &whole[:cap(whole)][at] &&
		cap(part) <= cap(whole)-at
}
