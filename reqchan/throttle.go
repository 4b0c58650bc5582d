package reqchan

import "time"

// Throttle mutes the connection of r: no further request of it is served until
// d from now, though the answer to r leaves at once (KIP-219). Call it before
// the answer; of several calls the one that ends last counts. It applies to any
// kind of answer, NoResponse included; what the client is told of it is the
// caller's to write. The server bounds it (Config.Limits.ThrottleMax). d <= 0 does
// nothing, as does a call after the answer.
func (r Request) Throttle(d time.Duration) {
	if d <= 0 || !r.enter(answered) {
		return
	}
	if until := Now() + int64(d); until > r.job.throttledUntil.Load() {
		r.job.throttledUntil.Store(until)
		r.job.state.Or(noted)
	}
	r.job.exit()
}

// ThrottledUntil is when the throttle of r ends, in nanoseconds of Now; 0 when
// there is none. For the processor, once r is home.
func (r *Job) ThrottledUntil() int64 { return r.throttledUntil.Load() }

// CloseConnectionAfter answers by closing the connection d from now, for a
// reason that is counted. Until then nothing is read of it; then response is
// sent, unless it is nil, and the connection is closed. It is for a client that
// failed to authenticate: whoever guesses must wait for each guess, and costs a
// timer meanwhile, no goroutine (KIP-306, connection.failed.authentication.delay.ms).
// A server that shuts down does not wait. Memory as in Respond.
func (r Request) CloseConnectionAfter(why CloseReason, d time.Duration, response []byte) {
	if !r.claim() {
		return
	}
	r.fail()
	r.told(AnswerClose, response, len(response))
	if response != nil && !r.job.place(response) {
		why = MemoryRefused
	}
	r.job.closeAt = Now() + max(int64(d), 0)
	r.job.publish(AnswerClose, why)
}

// CloseAt is when a connection closed by CloseConnectionAfter ends, in
// nanoseconds of Now; 0 for any other answer. For the processor, once r is
// home.
func (r *Job) CloseAt() int64 { return r.closeAt }
