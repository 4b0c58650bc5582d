package reqchan

import "runtime"

const (
	// smallBytes is the response memory of the Go heap that a job keeps: as much
	// as is packed by default, so that what lies there is copied anyway.
	smallBytes = 4 << 10
	// largeKeptBytes is the largest other memory that it keeps.
	largeKeptBytes = 16 << 10
)

// Respond answers with payload (the response frame without its size).
// Memory of Buffer, or Payload itself, is sent from where it is; any other is
// copied first, so the caller may use it again at once.
func (r Request) Respond(payload []byte) {
	if at := r.lies(payload); at != 0 && r.answerAtOnce(at|uint64(len(payload))) || !r.claim() {
		return
	}
	if r.job.answering != nil {
		payload = r.seen(AnswerSend, payload)
	}
	r.told(AnswerSend, payload, len(payload))
	r.job.send(payload)
}

// lies says where payload does, if that is where it is sent from, and can be said in
// the state; else 0.
func (r Request) lies(payload []byte) uint64 {
	if len(payload) == 0 || uint64(len(payload)) > lengthMax || r.job == nil {
		return 0
	}
	if &payload[0] == r.first {
		return inFrame
	}
	if s := r.job.small.Load(); s != nil && &payload[0] == &s.b[SizeBytes] {
		return inSmall
	}
	return 0
}

// send publishes an answer of payload, or, when there is no memory to send it
// from, one that closes the connection.
func (r *Job) send(payload []byte) {
	if r.place(payload) {
		r.publish(AnswerSend, ReasonNone)
	} else {
		r.response = nil
		r.publish(AnswerClose, MemoryRefused)
	}
}

// NoResponse answers with nothing (Produce with acks=0): the next request of
// the connection may go on.
func (r Request) NoResponse() {
	if r.answerAtOnce(inFrame|inSmall) || !r.claim() {
		return
	}
	if r.job.answering != nil && r.seen(AnswerNoResponse, nil) != nil {
		r.fail()
		r.told(AnswerClose, nil, 0)
		r.job.publish(AnswerClose, HandlerClosed)
		return
	}
	r.told(AnswerNoResponse, nil, 0)
	r.job.publish(AnswerNoResponse, ReasonNone)
}

// codeUnknownServerError is Kafka's, for what has no code of its own.
const codeUnknownServerError = -1

// CloseConnection answers by closing the connection, for a reason that is
// counted. Responses queued before it are still sent. The request counts as failed: by
// the code of SetErrorCode, or else by -1 (UNKNOWN_SERVER_ERROR).
func (r Request) CloseConnection(why CloseReason) {
	if r.claim() {
		r.fail()
		r.told(AnswerClose, nil, 0)
		r.job.publish(AnswerClose, why)
	}
}

// fail sees to it that r, whose answer closes its connection, is not counted as a
// success. The caller has claimed r.
func (r Request) fail() {
	if r.ErrorCode() == 0 {
		r.SetErrorCode(codeUnknownServerError)
	}
}

// seen shows the answer to who asked for that. One that panics leaves the request
// without an answer.
func (r Request) seen(k AnswerKind, payload []byte) []byte {
	done := false
	defer func() {
		if !done {
			r.job.unclaim()
		}
	}()
	payload = r.job.answering.Answering(r, k, payload)
	done = true
	return payload
}

// Buffer lends n bytes for the response. Respond with it, or with a part that
// starts where it starts, and nothing is copied. A later call for more keeps
// nothing of the content. The content is undefined. One goroutine at a time may
// use it. Once the request is answered it is memory that nobody else has, and that
// is not sent.
func (r Request) Buffer(n int) []byte {
	n += SizeBytes
	j := r.job
	if j == nil {
		return make([]byte, n)[SizeBytes:]
	}
	for {
		s := j.small.Load() // Order: before the state, which then says that it is not another request's
		loaded, now, over := j.moment(r.life())
		switch {
		case over || now&claimed != 0:
			return make([]byte, n)[SizeBytes:]
		case now&busy != 0: // for the moment that it takes to get memory
			runtime.Gosched()
		case s != nil && j.fitsSmall(n) && !j.wide.Load():
			if now&lent != 0 || j.state.CompareAndSwap(loaded, now|lent) {
				return s.b[SizeBytes:n]
			}
		case j.state.CompareAndSwap(loaded, now|lent|busy):
			return j.lend(n)
		}
	}
}

// lend is Buffer for more than lies at hand; the caller has made r busy.
func (r *Job) lend(n int) []byte {
	defer r.exit()
	if cap(r.large) < n && r.fitsSmall(n) {
		return r.smallOf(n)[SizeBytes:n]
	}
	if !r.widen(n) {
		return make([]byte, n)[SizeBytes:] // Respond will have to copy it, or to refuse
	}
	return r.large[SizeBytes:n:cap(r.large)]
}

// smallOf is memory of the Go heap, n <= smallBytes of it. The caller has made r
// busy, or claimed it.
func (r *Job) smallOf(n int) []byte {
	s := r.small.Load()
	if s == nil {
		s = &scratch{make([]byte, smallBytes)}
		r.small.Store(s)
	}
	return s.b[:n]
}

// widen sees to large memory of n bytes at least; false when the system refuses
// it. The caller has made r busy, or claimed it.
func (r *Job) widen(n int) bool {
	if cap(r.large) >= n {
		r.hold(&r.largeHeld, n)
		return true
	}
	r.dropLarge()
	b, err := r.pool.TryGet(n)
	if err != nil {
		return false
	}
	r.hold(&r.largeHeld, n)
	r.large = b[:cap(b)]
	r.wide.Store(true)
	return true
}

func (r *Job) dropLarge() {
	if r.large != nil {
		r.pool.Put(r.large)
		r.large = nil
		r.wide.Store(false)
		r.letGo(&r.largeHeld)
	}
}

// hold counts memory of which n bytes are used in the budget of all responses. What a
// job may keep is not counted here: the processor does, while it is being sent.
func (r *Job) hold(held *int64, n int) {
	if n <= largeKeptBytes || int64(n) <= *held || r.budget == nil {
		return
	}
	if !r.paced {
		r.budget.Learn(r.API, int64(n))
	}
	if r.ticketed {
		r.ticket.ReplaceWith(*held, int64(n))
		r.ticket, r.ticketed = nil, false
	} else {
		r.budget.Change(*held, int64(n))
	}
	*held = int64(n)
}

func (r *Job) letGo(held *int64) {
	if *held > 0 {
		r.budget.Change(*held, 0)
		*held = 0
	}
}

// place puts payload where it is sent from, with room for its size in front; false
// when the system refuses memory for it. The caller has claimed r.
func (r *Job) place(payload []byte) bool {
	n := SizeBytes + len(payload)
	switch {
	case len(payload) > 0 && sameStart(payload, r.Frame, SizeBytes):
		r.response = r.Frame[:n]
	case sameStart(payload, r.large, SizeBytes):
		r.response = r.large[:n]
	case r.isSmall(payload):
		r.response = r.small.Load().b[:n]
	case (cap(r.large) < n || r.isLent()) && r.fitsSmall(n):
		r.keepSmall() // whoever has it from Buffer may still write there
		r.response = r.smallOf(n)
		r.copied = int32(copy(r.response[SizeBytes:], payload))
	default:
		b := r.memory(n)
		if b == nil {
			return false
		}
		r.response = b[:n]
		r.copied = int32(copy(r.response[SizeBytes:], payload))
	}
	return true
}

// isLent says that somebody has memory of Buffer.
func (r *Job) isLent() bool { return r.state.Load()&lent != 0 }

// memory is memory of the pool, of n bytes at least, that only the caller has, who
// has claimed r; nil when the system refuses it.
func (r *Job) memory(n int) []byte {
	if !r.isLent() {
		if !r.widen(n) {
			return nil
		}
		return r.large
	}
	if cap(r.own) >= n {
		r.hold(&r.ownHeld, n)
		return r.own
	}
	b, err := r.pool.TryGet(n)
	if err != nil {
		return nil
	}
	if r.own != nil {
		r.pool.Put(r.own)
	}
	r.hold(&r.ownHeld, n)
	r.own = b[:cap(b)]
	return r.own
}

func (r *Job) isSmall(payload []byte) bool {
	s := r.small.Load()
	return s != nil && sameStart(payload, s.b, SizeBytes)
}

// keepSmall gives small memory up to the garbage collector that Buffer lent and
// that the answer is not made of: whoever has it may not know yet that the request
// is answered, and write there. The caller has claimed the request, or it is home.
func (r *Job) keepSmall() {
	s := r.small.Load()
	if now := r.state.Load(); s == nil || now&lent == 0 || now&(inFrame|inSmall) == inSmall {
		return
	}
	if len(r.response) == 0 || &r.response[0] != &s.b[0] {
		r.small.Store(nil)
	}
}

// keepLarge keeps large memory that is small enough. What Buffer may have lent, and
// the answer is not made of, is put aside, for the same reason as in keepSmall: it
// can't be left to the garbage collector.
func (r *Job) keepLarge() {
	if r.large != nil && r.isLent() && r.from != nil && (len(r.response) == 0 || &r.response[0] != &r.large[0]) {
		r.from.putAside(r.pool, r.large, r.largeHeld)
		r.large, r.largeHeld = nil, 0
		r.wide.Store(false)
	}
	if r.own != nil {
		r.dropLarge()
		r.large, r.own = r.own, nil
		r.largeHeld, r.ownHeld = r.ownHeld, 0
		r.wide.Store(true)
	}
	if cap(r.large) > largeKeptBytes {
		r.dropLarge()
	}
}

// sameStart says whether part begins at whole[at].
func sameStart(part, whole []byte, at int) bool {
	part = part[:cap(part)]
	return len(part) > 0 && cap(whole) > at && &part[0] == &whole[:cap(whole)][at] &&
		cap(part) <= cap(whole)-at
}
