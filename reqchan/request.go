package reqchan

import (
	"context"
	"time"
)

// SizeBytes is the length of the size in front of every frame.
const SizeBytes = 4

// Request is one frame on its way to a handler and back. It is a value: whoever
// answers later keeps a copy, and all copies are the same request.
//
// Owner: the handler until it answers (Respond, RespondParts, NoResponse,
// CloseConnection or CloseConnectionAfter, once, from any goroutine). After the
// answer the handler must not touch what Payload returned, or the memory of
// Buffer.
//
// The first answer counts. A later one, also by another goroutine and at any
// time, does nothing but be counted (kring.Stats.Total.ExtraAnswers). So a timeout and the work
// that it is for may both answer, as long as they do not both write to Buffer.
// Work that has not learned yet that its time is up may write to its Buffer for
// some seconds more; nothing of that is sent. A Buffer of more than 4 KiB goes back
// at once, and must not be written to, when the server has ended, or when 16 MiB of such
// memory, or an eighth of what responses may take, wait with one processor. Payload must
// not be read after the answer in any case.
//
// What the other methods return once the request is answered stands with each.
// None of them shows anything of another request.
//
// The zero value is no request: it is answered, and has no connection.
type Request struct {
	// job serves many requests, one after the other. What may be asked for after the
	// answer lies in the value itself, so that nobody who comes late reads what the
	// job has of another request. Four words are what the compiler keeps in
	// registers: with one more, each call costs several nanoseconds.
	job   *Job
	conn  *Conn
	first *byte  // of the payload; nil: it is empty
	id    uint64 // the life of job that this is, the API and the version
}

// Payload is the frame without its size. Its memory stays valid until the answer.
// Once the request is answered it is nil.
func (r Request) Payload() []byte {
	if r.job == nil {
		return nil
	}
	n := int(r.job.size.Load()) // Order: before the state; Begin stores it when that says answered
	if r.job.ended(r.life()) {
		return nil
	}
	return bytesFrom(r.first, n)
}

// Truncate makes Payload end after its first n bytes, if it is longer. After the
// answer it does nothing.
func (r Request) Truncate(n int) {
	if r.enter(claimed) {
		r.job.size.Store(min(r.job.size.Load(), int32(max(n, 0))))
		r.job.exit()
	}
}

// Owns says that b lies in the memory that r's frame came in, or that Buffer gave last, and
// that this is of the server's own pool and not of the Go heap: then the kernel may be given
// it, as long as r is not answered (Upstream.Write, UpstreamEvents.FrameBegins). Once r is
// answered it is false.
func (r Request) Owns(b []byte) bool {
	if len(b) == 0 || !r.enter(claimed) {
		return false
	}
	defer r.job.exit()
	return lies(b, r.job.Frame) || lies(b, r.job.large)
}

func (r Request) life() uint64 { return r.id &^ (lifeOne - 1) }

// Conn is the connection that it came from. It stays valid for ever, after the
// answer as well. Only the zero Request has none: nil.
func (r Request) Conn() *Conn { return r.conn }

// API is what Config.Dispatch.APIOf read of the payload, -1 when nobody can say. It does
// not change with the answer.
func (r Request) API() int16 { return int16(r.id >> 16) }

// Version is what Config.Dispatch.APIOf read of the payload. It does not change with the
// answer.
func (r Request) Version() int16 { return int16(r.id) }

// ErrorCode is what SetErrorCode was told last; 0 before, and once the request is
// answered.
func (r Request) ErrorCode() int16 {
	if r.job == nil {
		return 0
	}
	code := r.job.errorCode.Load() // Order: before the state, as whoever stores it has the state busy
	if r.job.ended(r.life()) {
		return 0
	}
	return int16(code)
}

// SetErrorCode says what the answer is counted by. Call it before the answer;
// after it, it does nothing.
func (r Request) SetErrorCode(code int16) {
	if r.job != nil && int32(code) != r.job.errorCode.Load() && r.enter(answered) {
		r.job.errorCode.Store(int32(code))
		r.job.state.Or(noted)
		r.job.exit()
	}
}

// Seq is its place among the requests of its connection: 0, 1, 2 and so on, none
// left out. With Limits.PipelineMax above 1 several handlers may have them at the same time,
// and in any order. false: it is answered, and nobody knows any more.
func (r Request) Seq() (n uint64, ok bool) {
	if !r.enter(claimed) {
		return 0, false
	}
	n = r.job.Seq
	r.job.exit()
	return n, true
}

// Age is how long ago it arrived: since the beginning of the processor's pass in which it was
// cut. false: it is answered, and nobody knows any more.
func (r Request) Age() (age time.Duration, ok bool) {
	if !r.enter(claimed) {
		return 0, false
	}
	arrived := r.job.Times.Arrived
	r.job.exit()
	return time.Duration(max(0, Now()-arrived)), true
}

// Context is the connection's: see Conn.Context. That of the zero Request never ends.
func (r Request) Context() context.Context {
	if r.conn == nil {
		return context.Background()
	}
	return r.conn.Context()
}

// AnswerKind is how a request was answered.
type AnswerKind uint8

// The kinds of answer (Kafka: SendResponse, NoOpResponse, CloseConnectionResponse).
const (
	// AnswerNone: it is not answered.
	AnswerNone AnswerKind = iota
	// AnswerSend: with a response (SendResponse).
	AnswerSend
	// AnswerNoResponse: with nothing (NoOpResponse).
	AnswerNoResponse
	// AnswerClose: by closing the connection (CloseConnectionResponse).
	AnswerClose
	// AnswerLater is none: the request comes to its handler again, when there is room
	// for its response.
	AnswerLater
)
