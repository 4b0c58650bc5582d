package reqchan

import "math"

// RunMax is how many requests may be in one run.
const RunMax = 64

// A run is requests of one connection that were received together. It passes the channel
// as one, its first request, with the others linked behind it. One goroutine handles
// them, one after the other: each is begun only when the one before it was answered, so
// a handler never has two requests of a connection at a time, and the answers come home
// together.
//
// Whatever speaks against going on ends the run: a request that Handle returned from
// without an answer, a throttle, an answer that closes the connection, a connection that
// has ended. Then what was not begun stays linked behind the last request that was, and
// comes home with it. The processor decides when it goes on, as it does with frames that
// are not cut.
//
// Owner of the links: the processor, then whoever calls Handle, then the processor again.
// A goroutine that answers later does not touch them.

// Append puts next behind last in the run that r begins. last is r or the end of its
// run. For the processor, before TrySend.
func (r *Job) Append(last, next *Job) {
	last.behind, next.followers = next, follows
	r.followers++
}

// follows is in followers of a request that others of its run are before.
const follows = -1

// Follows says that r was handed on behind another of its run. For the processor.
func (r *Job) Follows() bool { return r.followers == follows }

// InRun is how many requests are in the run that r begins, r with them. For whoever has
// the run and has not begun it.
func (r *Job) InRun() int { return 1 + int(r.followers) }

// NextInRun is the request of the run to be begun after r, which was answered; nil: there is
// none, or something speaks against it. For whoever called Handle, when HandleReturned
// said true. What is behind r and not given by NextInRun goes home with r.
func (r *Job) NextInRun() *Job {
	next := r.behind
	if next == nil || !r.letsGoOn() {
		return nil
	}
	if next.room = r.room; r.room > 0 {
		if next.room -= r.answerBytes(); next.room <= 0 {
			return nil
		}
	}
	r.behind = nil
	return next
}

// SetRoom says how many bytes the answers to r and to what follows it may take before the
// run ends: with the answer that takes the last of them. For the processor, before r leaves
// its hands.
func (r *Job) SetRoom(bytes int) { r.room = int32(min(max(bytes, 1), math.MaxInt32)) }

// answerBytes is the size of the response; for whoever called Handle.
func (r *Job) answerBytes() int32 {
	if now := r.state.Load(); now&(inFrame|inSmall) != 0 {
		return int32(now&lengthMax) + SizeBytes
	}
	return int32(min(int64(len(r.response))+r.fileBytes, math.MaxInt32))
}

// letsGoOn says that the answer to r is one that the next request may follow at once.
func (r *Job) letsGoOn() bool {
	if r.Conn != nil && r.Conn.Ended() || r.throttledUntil.Load() != 0 {
		return false
	}
	if r.state.Load()&(inFrame|inSmall) != 0 { // a response, or none that is due
		return true
	}
	return r.kind == AnswerSend || r.kind == AnswerNoResponse
}

// Behind is the request behind r in its run. For the processor.
func (r *Job) Behind() *Job { return r.behind }

// Unbegun takes from r the requests that are behind it, as a
// run of their own; nil when there are none. Of a request that came home these are
// those that were not begun. For the processor.
func (r *Job) Unbegun() *Job {
	first := r.behind
	if first == nil {
		return nil
	}
	r.behind, r.followers = nil, 0
	first.followers = 0
	for j := first.behind; j != nil; j = j.behind {
		first.followers++
	}
	return first
}
