package reqchan

import (
	"encoding/binary"
	"sync/atomic"

	"kring/internal/budget"
	"kring/internal/invariants"
	"kring/internal/slab"
)

// Job is what a processor has of a request, and what one Request after the other
// is made of: see Jobs.
//
// Owner: the processor until TrySend, then whoever calls Handle and the handler
// until the answer, then the processor again. A handler has no Job but a Request,
// which names one life of it.
//
// Its first 64 bytes are all that a handler's goroutine writes on the usual way: a
// line of the cache, which is the processor's before and afterwards. A job is
// as long as a size class of the allocator that begins on lines.
type Job struct {
	// state is a life and how far it has come: see state.go.
	state atomic.Uint64
	next  *Job // intrusive link of ResponseQueue
	// The answer. Owner: who has claimed the state, then the processor.
	kind   AnswerKind
	reason CloseReason
	copied int32 // bytes that Respond had to copy
	// response has its size in front: a part of small, large or Frame.
	response []byte
	// Times is the way of the request so far; a line ends behind its second field.
	Times Times

	// What a Request is made of, as far as the second line's end. Invariant: it does not
	// change from Begin until the job is home, but for size.
	first        *byte // of the payload; nil: it is empty
	Conn         *Conn
	API, Version int16        // what Config.APIOf read; API is -1 when nobody can say
	size         atomic.Int32 // of the payload, as the handler sees it; stored when it changes
	// life counts how often the job was used; Begin changes it, before the
	// request leaves the processor.
	life    uint64
	heapMax atomic.Uint32 // see SendsCopied; 0: smallBytes. Who is late may read it

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
	// behind is the next of its run, and followers how many there are behind it, if it is
	// the first: see run.go.
	behind    *Job
	followers int32
	// room is how many bytes the answers to r and to what is behind it may take before the
	// run ends; 0: there is no bound.
	room int32

	// small and large are memory for the response, SizeBytes of it in front. They
	// stay with the job as long as they are small, so that the next response costs
	// no allocation. small is of the Go heap, so that whoever has it from Buffer
	// and was late harms nobody: see keepSmall. large is of the pool. Owner: who
	// has the state claimed or busy, then the processor; small may be read by
	// anybody.
	small atomic.Pointer[scratch]
	wide  atomic.Bool // there is a large
	// errorCode and throttledUntil (in nanoseconds of Now; 0: it is not) are stored
	// by who has the state busy, and by the processor.
	errorCode      atomic.Int32
	throttledUntil atomic.Int64
	large          []byte
	// own is memory of the pool that nobody has had from Buffer: for a response that
	// is copied although Buffer was called. Owner: as of large.
	own  []byte
	pool *slab.Pool

	// parts are what the response is made of when files are in it, fileBytes of
	// it in all; released is told when they are needed no more.
	parts     []Part
	fileBytes int64
	released  func()
	closeAt   int64 // see CloseConnectionAfter; in nanoseconds of Now, 0: at once
	from      *Jobs // nil: nobody reuses it

	// What follows is looked at for large responses only.

	// budget is that of all responses; nil: there is none. It never changes. ticket is for what
	// the response was expected to take of it, until it takes it.
	budget *budget.Budget
	ticket *budget.Ticket
	// largeHeld and ownHeld are what large and own count for in the budget; 0: they are as
	// small as what a job keeps.
	largeHeld, ownHeld int64
	// paced: the handler sees to the room of the response itself. lost: the kernel keeps its
	// memory. Both are stored by who has the state busy, and by the processor. ticketed: there
	// is a ticket. Owner: as of small, and who has had TakeTicket.
	paced, lost, ticketed bool
	// asked is how long the client asked to wait, in nanoseconds; stored by who has the
	// state busy, and by the processor.
	asked   atomic.Int64
	watcher AnswerWatcher // nil: nobody
	_       [8]byte
}

// scratch never changes; what lies in its memory does.
type scratch struct{ b []byte }

// NewJob returns a Job that no processor has: for whoever calls a Handler without a
// network. frame begins with its size. Begin readies it.
func NewJob(c *Conn, frame []byte) *Job {
	r := &Job{Conn: c, Frame: frame}
	r.framed()
	return r
}

// framed has first and size be those of Frame's payload.
func (r *Job) framed() {
	n := len(r.Frame) - SizeBytes
	if n > 0 {
		r.first = &r.Frame[SizeBytes]
	} else {
		r.first, n = nil, 0
	}
	if r.size.Load() != int32(n) {
		r.size.Store(int32(n))
	}
}

// Begin readies r for a Handle call; the processor calls it before the request
// leaves its hands, so that an answer finds its way. From here on r is another
// Request than before.
func (r *Job) Begin(home *ResponseQueue, pool *slab.Pool) {
	invariants.Assert(r.life+lifeOne != 0, "reqchan: a job has no more lives")
	if old := r.state.Load(); old < r.life|answered || r.kind != AnswerNone || !allInState(old) {
		r.clear()
	}
	if r.home != home || r.pool != pool {
		r.home, r.pool = home, pool
	}
	r.life += lifeOne
	r.followers = 0
	r.framed()
}

// allInState says of the state of a life that was answered at once, and without
// anything else: then it has left nothing else behind.
func allInState(s uint64) bool {
	switch s & (inFrame | inSmall | lent | noted | watched) {
	case inFrame, inSmall, inSmall | lent, inFrame | inSmall:
		return true
	}
	return false
}

// clear undoes what the last life left behind.
func (r *Job) clear() {
	if !r.ended(r.life) { // nobody answered, and nobody may any more
		r.state.Store(r.life | claimed | answered)
	}
	if len(r.response) > 0 || r.state.Load()&(inFrame|inSmall) != 0 { // else it was Reset
		r.keepSmall()
	}
	r.kind, r.reason, r.response, r.copied = AnswerNone, ReasonNone, nil, 0
	r.closeAt, r.answering, r.watcher, r.paced, r.lost = 0, nil, nil, false, false
	if r.throttledUntil.Load() != 0 {
		r.throttledUntil.Store(0)
	}
	if r.errorCode.Load() != 0 {
		r.errorCode.Store(0)
	}
	if r.asked.Load() != 0 {
		r.asked.Store(0)
	}
}

// Request is what a handler gets. Call it after Begin.
func (r *Job) Request() Request {
	return Request{job: r, conn: r.Conn, first: r.first, id: r.life | uint64(uint16(r.API))<<16 | uint64(uint16(r.Version))}
}

// Payload is the frame without its size, as far as the handler sees it. Call it after
// Begin.
func (r *Job) Payload() []byte {
	if len(r.Frame) < SizeBytes {
		return nil
	}
	n := SizeBytes + int(r.size.Load())
	return r.Frame[SizeBytes:n:n]
}

// SendsCopied tells r that a response of up to n bytes, its size included, is copied
// on its way out: so it may lie in the Go heap. For the processor, before the request
// leaves its hands.
func (r *Job) SendsCopied(n int) {
	if most := uint32(min(n, smallBytes)); r.heapMax.Load() != most {
		r.heapMax.Store(most)
	}
}

// fitsSmall says that a response of n bytes, its size included, may lie in small.
func (r *Job) fitsSmall(n int) bool {
	if most := r.heapMax.Load(); most > 0 {
		return n <= int(most)
	}
	return n <= smallBytes
}

// Answer is what the handler decided; for the processor, once r is home.
// response has its size in front and is nil unless there is one to send.
func (r *Job) Answer() (kind AnswerKind, response []byte, why CloseReason) {
	r.expand()
	r.writeSize()
	return r.kind, r.response, r.reason
}

// writeSize writes the size in front of the response. It is the processor that does,
// and not who answers: the memory is in the cache of its core, and mostly not yet
// in the other's.
func (r *Job) writeSize() {
	if len(r.response) > 0 {
		binary.BigEndian.PutUint32(r.response, uint32(len(r.response)-SizeBytes)+uint32(r.fileBytes))
	}
}

// Plain is the response, with its size in front, of a request that was answered
// with that and nothing else: no throttle, no files. Otherwise, or if it was not
// answered yet, it is nil. For whoever called Handle, right after it returned; for
// the processor, once r is home.
func (r *Job) Plain() []byte {
	now := r.state.Load()
	if now < r.life|answered {
		return nil
	}
	var b []byte
	switch now & (inFrame | inSmall | noted) {
	case inFrame:
		b = r.Frame
	case inSmall:
		b = r.small.Load().b
	default:
		return r.otherPlain()
	}
	n := now & lengthMax
	binary.BigEndian.PutUint32(b, uint32(n))
	return b[:SizeBytes+n]
}

// otherPlain is Plain for an answer that is not all in the state.
func (r *Job) otherPlain() []byte {
	if !r.expand() || r.kind != AnswerSend || r.throttledUntil.Load() != 0 || len(r.parts) > 0 || r.released != nil {
		return nil
	}
	r.writeSize()
	return r.response
}

// ErrorCode is what the handler set; for the processor, once r is home.
func (r *Job) ErrorCode() int16 { return int16(r.errorCode.Load()) }

// ResponseCopied is how many bytes Respond copied, because they were not in
// memory of the request's.
func (r *Job) ResponseCopied() int { return int(r.copied) }

// ResponseIsFrame says that the response lies in the request's own frame.
func (r *Job) ResponseIsFrame() bool {
	return len(r.response) > 0 && len(r.Frame) > 0 && &r.response[0] == &r.Frame[0]
}

// ResponseMemory is how many bytes of memory the response has, its size included.
func (r *Job) ResponseMemory() int { return len(r.response) }

// ResponseHeld says that the memory of the response is counted in the budget of all
// responses until the request is Reset.
func (r *Job) ResponseHeld() bool { return r.largeHeld > 0 || r.ownHeld > 0 }

// ResponseOnHeap says that the response lies in memory of the Go heap, which the
// kernel must not be given.
func (r *Job) ResponseOnHeap() bool {
	s := r.small.Load()
	return len(r.response) > 0 && s != nil && &r.response[0] == &s.b[0]
}

// Reset forgets the request but keeps a small response memory; for the
// processor, when neither frame nor response is needed any more.
func (r *Job) Reset() {
	if r.large != nil || r.own != nil {
		r.keepLarge()
	}
	r.keepSmall()
	if len(r.parts) > 0 || r.released != nil {
		r.releaseParts()
	}
	r.MadeSmall()
	r.Frame, r.first, r.Memory = nil, nil, nil
	r.response, r.next = nil, nil
	r.behind, r.followers = nil, 0
}

// Free gives the response memory back; r is not used any more.
func (r *Job) Free() {
	r.Reset()
	r.dropLarge()
}
