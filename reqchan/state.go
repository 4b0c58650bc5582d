package reqchan

import (
	"runtime"

	"kring/internal/measure"
)

// The state of a job is a life and what has happened in it:
//
//	claimed    somebody gives the answer, or has
//	away       Handle has returned before the answer: that brings the request home
//	lent       somebody has memory of Buffer
//	busy       somebody changes that memory, or another thing of the request's
//	noted      an error code or a throttle was set
//	watched    somebody sees the answer before it is given
//	panicked   the answer is that the handler panicked
//	answered   the answer is there; whoever finds it may read it
//	inFrame, inSmall
//	           the answer is a response that lies in Frame, or in small, and has
//	           as many bytes as the lowest bits say; nothing, with both
//
// A state of an earlier life means that nothing has happened in this one: so
// Begin costs no locked instruction. A state of a later life means that this one
// is over. Order: the answer (and all the handler wrote) is published by the
// CompareAndSwap in publish or answerAtOnce, read by whoever finds answered.
//
// The life has the upper half, and never comes around: see Worn. answered is right
// below it, so that what is at least an answered state of a life is that, or a later
// life.
const (
	lengthBits        = 22
	lengthMax  uint64 = 1<<lengthBits - 1
)

const (
	inFrame uint64 = 1 << (lengthBits + iota)
	inSmall
	claimed
	away
	lent
	busy
	noted
	watched
	panicked
	answered
	lifeOne // lives are multiples of it
)

// Worn says that r has no lives for another request, which takes two if it is postponed.
func (r *Job) Worn() bool { return r.life >= ^(2*lifeOne - 1) }

// ended says that the request of a life was answered.
func (r *Job) ended(life uint64) bool { return r.state.Load() >= life|answered }

// moment is the state of the job as far as one life is concerned. over: that has
// ended, and the job serves another request, or there is no job.
func (r *Job) moment(life uint64) (loaded, now uint64, over bool) {
	if r == nil {
		return 0, 0, true
	}
	loaded = r.state.Load()
	return loaded, max(loaded, life), loaded > life|(lifeOne-1)
}

// answerAtOnce claims and publishes in one step an answer that is all in the state,
// as it is on the usual way: nobody watches it, Handle has not returned, and nobody
// is busy. false: nothing happened.
func (r Request) answerAtOnce(answer uint64) bool {
	loaded, now, over := r.job.moment(r.life())
	return !over && now&(claimed|away|busy|watched) == 0 &&
		r.job.state.CompareAndSwap(loaded, now|claimed|answered|answer)
}

// expand sees to it that kind and response are the answer, also if that is all in the
// state. For whom Answered is for; false: there is none.
func (r *Job) expand() bool {
	now := r.state.Load()
	if now < r.life|answered {
		return false
	}
	n := int(now&lengthMax) + SizeBytes
	switch now & (inFrame | inSmall) {
	case inFrame:
		r.kind, r.response = AnswerSend, r.Frame[:n]
	case inSmall:
		r.kind, r.response = AnswerSend, r.small.Load().b[:n]
	case inFrame | inSmall:
		r.kind = AnswerNoResponse
	}
	return true
}

// claim takes the right to answer; false when somebody has it already, which is
// counted. Whoever has it publishes, or gives it up with unclaim.
func (r Request) claim() bool {
	j := r.job
	for {
		loaded, now, over := j.moment(r.life())
		switch {
		case over || now&claimed != 0:
			if j != nil && j.from != nil {
				j.from.extra.Add(1)
			}
			return false
		case now&busy != 0: // for a moment
			runtime.Gosched()
		case j.state.CompareAndSwap(loaded, now|claimed):
			if now&away != 0 {
				j.Times.Answered = measure.Now() // later than Handle returned
			}
			return true
		}
	}
}

// unclaim gives the right to answer up.
func (r *Job) unclaim() { r.state.Add(^(claimed - 1)) }

// publish shows the answer, and brings r home if Handle has returned. Afterwards
// r may be in use again.
func (r *Job) publish(k AnswerKind, why CloseReason) {
	r.kind, r.reason = k, why
	with := answered
	if why == HandlerPanicked {
		with |= panicked
	}
	for {
		now := r.state.Load()
		switch {
		case now&busy != 0: // for a moment
			runtime.Gosched()
		case r.state.CompareAndSwap(now, now|with):
			if now&away != 0 {
				homecoming(r, r, 1)
			}
			return
		}
	}
}

// enter gives the caller what whoever is busy may change, for a moment: exit ends
// it. false: it is too late, the request is over or has come as far as until.
func (r Request) enter(until uint64) bool {
	for {
		loaded, now, over := r.job.moment(r.life())
		switch {
		case over || now&until != 0:
			return false
		case now&busy != 0: // for a moment
			runtime.Gosched()
		case r.job.state.CompareAndSwap(loaded, now|busy):
			return true
		}
	}
}

func (r *Job) exit() { r.state.Add(^(busy - 1)) } // minus busy

// HandleReturned is called by whoever called Handle, right after it returned:
// true means that the answer is there and the caller brings r home; false, that
// the answer will come later and bring r home by itself (then r is not the
// caller's any more).
func (r *Job) HandleReturned() bool {
	life := r.life
	for {
		loaded, now, _ := r.moment(life)
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
func (r *Job) Answered() bool { return r.ended(r.life) }

// ClosedByPanic says that its handler panicked before r was answered, so that its
// connection is closed. For Events.HandlerPanicked, while it runs; later it may be
// false.
func (r Request) ClosedByPanic() bool {
	_, now, over := r.job.moment(r.life())
	return !over && now&panicked != 0
}
