package reqchan

import (
	"math"
	"time"
)

// AskedToWait says that the client of r asked for an answer that may come so much later (a
// long poll, such as Fetch): for that time r is not slow. Of several calls the last one
// counts. Where nobody is told of slow requests it does nothing, as it does after the answer.
func (r Request) AskedToWait(d time.Duration) {
	if r.conn == nil || !r.conn.watched || d <= 0 || !r.enter(answered) {
		return
	}
	r.job.asked.Store(int64(d))
	r.job.state.Or(noted)
	r.job.exit()
}

// Asked is how long the client of r asked to wait, in nanoseconds; for the processor, once r
// is home.
func (r *Job) Asked() int64 { return r.asked.Load() }

// Excuse has r be allowed another so many nanoseconds before it is slow; for the processor,
// once r is home.
func (r *Job) Excuse(nanos int64) {
	if was := r.asked.Load(); nanos > 0 && r.Conn.watched {
		r.asked.Store(was + min(nanos, math.MaxInt64-was))
	}
}

// WatchSlow is for the processor: somebody is told of slow requests of c, so that AskedToWait
// is noted.
func WatchSlow(c *Conn) { c.watched = true }
