package reqchan

import (
	"encoding/binary"
	"sync/atomic"

	"kring/internal/budget"
	"kring/internal/slab"
)

// SizeBytes is the length of the size in front of every frame.
const SizeBytes = 4

// Request is one frame on its way to a handler and back.
//
// Owner: the processor until TrySend, then the handler until it answers
// (Respond, RespondParts, NoResponse, CloseConnection or CloseConnectionAfter,
// once, from any goroutine), then the processor again. After the answer the
// handler must not touch the Payload or the memory of Buffer.
//
// The first answer counts. A later one, also by another goroutine and at any
// time, does nothing but be counted (Stats.ExtraAnswers): every frame has a
// Request of its own, which is not used for another. So a timeout and the work
// that it is for may both answer, as long as they do not both write to Buffer.
// Work that has not learned yet that its time is up may write to its Buffer for
// some seconds more; nothing of that is sent. Not so to more than 4 KiB when the
// server has ended, or when 16 MiB of such memory, or an eighth of what responses may
// take, wait with one processor: then it goes back at once. Payload it must not read
// any more.
type Request struct {
	// Payload is the frame without its size. Its memory stays valid until the
	// answer. Invariant: the SizeBytes before it are the request's too.
	Payload []byte
	// Conn is the connection that it came from. It stays valid for ever.
	Conn *Conn
	// API and Version are what Config.APIOf read of the payload; API is -1 when
	// nobody can say.
	API, Version int16
	// ErrorCode is for the handler to set before it answers: it is counted.
	ErrorCode int16

	heapMax uint16 // see SendsCopied; 0: smallBytes
	// Invariant: of what lies here nothing changes once a Handler has the
	// Request, but for ErrorCode and the throttle. So whoever holds it after its
	// answer sees nothing of the next request.
	life           uint64       // which of the job's lives this is
	throttledUntil atomic.Int64 // in nanoseconds of Now; 0: it is not
	*job
}

// job is what one Request after the other uses: see Requests.
//
// Its first 64 bytes are all that a handler's goroutine writes on the usual way: a
// line of the cache, which is the processor's before and afterwards. A job is
// as long as a size class of the allocator that begins on lines.
type job struct {
	// state is a life and how far it has come: see state.go.
	state atomic.Uint64
	next  *Request // intrusive link of ResponseQueue
	// The answer. Owner: who has claimed the state, then the processor.
	kind   AnswerKind
	reason CloseReason
	copied int32 // bytes that Respond had to copy
	// response has its size in front: a part of small, large or Frame.
	response []byte
	// Times is the way of the request so far; a line ends behind its second field.
	Times Times

	// What the processor keeps with it; nobody else looks at it.
	Frame  []byte // size and payload together
	home   *ResponseQueue
	Token  uint64 // the connection's engine token
	Seq    uint64 // its place among the connection's requests
	Memory any    // what Frame lies in, to be released after the answer
	Bytes  int64  // what it holds of the channel's byte capacity
	// Limited is when it was let go to the handlers under a latency target; 0: not.
	Limited   int64
	answering Answering // nil: nobody

	// small and large are memory for the response, SizeBytes of it in front. They
	// stay with the job as long as they are small, so that the next response costs
	// no allocation. small is of the Go heap, so that whoever has it from Buffer
	// and was late harms nobody: see keepSmall. large is of the pool. Owner: who
	// has the state claimed or busy, then the processor; small may be read by
	// anybody.
	small atomic.Pointer[scratch]
	wide  atomic.Bool // there is a large
	// paced: the handler sees to the room of the response itself. turned: there is a
	// turn. Owner: as of small, and who has had TakeTurn.
	paced, turned bool
	large         []byte
	// own is memory of the pool that nobody has had from Buffer: for a response that
	// is copied although Buffer was called. Owner: as of large.
	own  []byte
	pool *slab.Pool

	// parts are what the response is made of when files are in it, fileBytes of
	// it in all; released is told when they are needed no more.
	parts     []Part
	fileBytes int64
	released  func()
	closeAt   int64     // see CloseConnectionAfter; in nanoseconds of Now, 0: at once
	from      *Requests // nil: nobody reuses it
	// life counts how often the job was used; Begin changes it, before the
	// request leaves the processor.
	life uint64

	// What follows is looked at for large responses only.

	// budget is that of all responses; nil: there is none. turn is what the response was
	// expected to take of it, until it takes it.
	budget *budget.Budget
	turn   *budget.Ticket
	// largeHeld and ownHeld are what large and own count for in the budget; 0: they are as
	// small as what a job keeps.
	largeHeld, ownHeld int64
	_                  [32]byte
}

// scratch never changes; what lies in its memory does.
type scratch struct{ b []byte }

// AnswerKind is how a request was answered.
type AnswerKind uint8

// The kinds of answer (Kafka: SendResponse, NoOpResponse, CloseConnectionResponse).
const (
	AnswerNone AnswerKind = iota
	AnswerSend
	AnswerNoResponse
	AnswerClose
	// AnswerLater is none: the request comes to its handler again, when there is room
	// for its response.
	AnswerLater
)

// NewRequest returns a Request that no processor has: for whoever calls a Handler
// without a network. Begin readies it.
func NewRequest(c *Conn, frame []byte) *Request {
	r := &Request{Conn: c, job: &job{Frame: frame}}
	if len(frame) >= SizeBytes {
		r.Payload = frame[SizeBytes:]
	}
	return r
}

// Begin readies r for a Handle call; the processor calls it before the request
// leaves its hands, so that an answer finds its way. Whoever calls it again for
// the same Request gives up what r promises to those who still hold it.
func (r *Request) Begin(home *ResponseQueue, pool *slab.Pool) {
	if r.job == nil {
		r.job = new(job)
	}
	j := r.job
	if len(j.response) > 0 { // else it was Reset
		j.keepSmall()
	}
	j.home, j.pool = home, pool
	j.kind, j.reason, j.response, j.copied = AnswerNone, ReasonNone, nil, 0
	j.closeAt, j.answering, j.paced = 0, nil, false
	j.life++
	if r.life = j.life; r.throttledUntil.Load() != 0 {
		r.throttledUntil.Store(0)
	}
}

// SendsCopied tells r that a response of up to n bytes, its size included, is copied
// on its way out: so it may lie in the Go heap. For the processor, before the request
// leaves its hands.
func (r *Request) SendsCopied(n int) { r.heapMax = uint16(min(n, smallBytes)) }

// fitsSmall says that a response of n bytes, its size included, may lie in small.
func (r *Request) fitsSmall(n int) bool {
	if r.heapMax == 0 {
		return n <= smallBytes
	}
	return n <= int(r.heapMax)
}

// Answer is what the handler decided; for the processor, once r is home.
// response has its size in front and is nil unless there is one to send.
func (r *Request) Answer() (kind AnswerKind, response []byte, why CloseReason) {
	r.size()
	return r.kind, r.response, r.reason
}

// size writes the size in front of the response. It is the processor that does,
// and not who answers: the memory is in the cache of its core, and mostly not yet
// in the other's.
func (r *job) size() {
	if len(r.response) > 0 {
		binary.BigEndian.PutUint32(r.response, uint32(len(r.response)-SizeBytes)+uint32(r.fileBytes))
	}
}

// Plain is the response, with its size in front, of a request that was answered
// with that and nothing else: no throttle, no files. Otherwise, or if it was not
// answered yet, it is nil. For whoever called Handle, right after it returned; for
// the processor, once r is home.
func (r *Request) Plain() []byte {
	if !r.Answered() || r.kind != AnswerSend || r.throttledUntil.Load() != 0 || len(r.parts) > 0 || r.released != nil {
		return nil
	}
	r.size()
	return r.response
}

// ResponseCopied is how many bytes Respond copied, because they were not in
// memory of the request's.
func (r *Request) ResponseCopied() int { return int(r.copied) }

// ResponseIsFrame says that the response lies in the request's own frame.
func (r *Request) ResponseIsFrame() bool {
	return len(r.response) > 0 && len(r.Frame) > 0 && &r.response[0] == &r.Frame[0]
}

// ResponseMemory is how many bytes of memory the response has, its size included.
func (r *Request) ResponseMemory() int { return len(r.response) }

// ResponseHeld says that the memory of the response is counted in the budget of all
// responses until the request is Reset.
func (r *Request) ResponseHeld() bool { return r.largeHeld > 0 || r.ownHeld > 0 }

// ResponseOnHeap says that the response lies in memory of the Go heap, which the
// kernel must not be given.
func (r *Request) ResponseOnHeap() bool {
	s := r.small.Load()
	return len(r.response) > 0 && s != nil && &r.response[0] == &s.b[0]
}

// Reset forgets the request but keeps a small response memory; for the
// processor, when neither frame nor response is needed any more.
func (r *Request) Reset() {
	if r.large != nil || r.own != nil {
		r.keepLarge()
	}
	r.keepSmall()
	if len(r.parts) > 0 || r.released != nil {
		r.releaseParts()
	}
	if r.turned { // nothing large was made
		r.endTurn()
		r.Budget().Unlearn(r.API)
	}
	r.Frame, r.Memory = nil, nil
	r.response, r.next = nil, nil
}

// Free gives the response memory back; r is not used any more.
func (r *Request) Free() {
	if r.job == nil {
		return
	}
	r.Reset()
	r.dropLarge()
}
