package reqchan

import (
	"runtime"

	"kring/internal/measure"
)

// The state of a job is a life and what has happened in it:
//
//	claimed    somebody gives the answer, or has
//	answered   the answer is there; whoever finds it may read it
//	away       Handle has returned before that: the answer brings the request home
//	lent       somebody has memory of Buffer
//	busy       somebody changes that memory
//
// A state of an earlier life means that nothing has happened in this one: so
// Begin costs no locked instruction. A state of a later life means that this one
// is over. Order: the answer (and all the handler wrote) is published by the Add
// in publish, read by whoever finds answered.
//
// The life has the upper bits of 64 and never comes around.
const (
	claimed uint64 = 1 << iota
	answered
	away
	lent
	busy
	lifeOne
)

// moment is the state of r's job as far as r is concerned. over: its life has
// ended, and the job serves another request.
func (r *Request) moment() (loaded, now uint64, over bool) {
	loaded = r.state.Load()
	switch life := loaded / lifeOne; {
	case life == r.life:
		return loaded, loaded, false
	case life < r.life:
		return loaded, r.life * lifeOne, false
	}
	return loaded, 0, true
}

// claim takes the right to answer; false when somebody has it already, which is
// counted. Whoever has it publishes, or gives it up with unclaim.
func (r *Request) claim() bool {
	for {
		loaded, now, over := r.moment()
		switch {
		case over || now&claimed != 0:
			if r.from != nil {
				r.from.extra.Add(1)
			}
			return false
		case now&busy != 0: // for the moment that it takes to get memory
			runtime.Gosched()
		case r.state.CompareAndSwap(loaded, now|claimed):
			if now&away != 0 {
				r.Times.Answered = measure.Now() // later than Handle returned
			}
			return true
		}
	}
}

// unclaim gives the right to answer up.
func (r *Request) unclaim() { r.state.Add(^(claimed - 1)) }

// publish shows the answer, and brings r home if Handle has returned. Afterwards
// r's job may be in use again.
func (r *Request) publish(k AnswerKind, why CloseReason) {
	r.kind, r.reason = k, why
	if r.state.Add(answered)&away != 0 {
		homecoming(r, r, 1)
	}
}

// HandleReturned is called by whoever called Handle, right after it returned:
// true means that the answer is there and the caller brings r home; false, that
// the answer will come later and bring r home by itself (then r is not the
// caller's any more).
func (r *Request) HandleReturned() bool {
	for {
		loaded, now, _ := r.moment()
		if now&answered != 0 {
			return true
		}
		if r.state.CompareAndSwap(loaded, now|away) {
			return false
		}
	}
}

// Answered says that the answer was given; for whoever called Handle, when it
// panicked.
func (r *Request) Answered() bool {
	_, now, over := r.moment()
	return over || now&answered != 0
}

// ClosedByPanic says that its handler panicked before r was answered, so that its
// connection is closed. For Events.HandlerPanicked, while it runs.
func (r *Request) ClosedByPanic() bool { return r.Answered() && r.reason == HandlerPanicked }
