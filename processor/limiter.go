package processor

import (
	"time"

	"kring/reqchan"
)

// LatencyConfig bounds how many requests a processor has with the handlers by
// how long they take there.
type LatencyConfig struct {
	// Target is how long a request may take from the request channel to its
	// answer, on average.
	Target time.Duration
	// Least and Most bound the bound.
	Least, Most int
	// Counts says which requests are measured and bounded; nil: all. Long polls
	// must not be: they take long because they are asked to.
	Counts func(reqchan.Request) bool
}

const (
	// limitEvery is how long latencies are averaged before the bound changes.
	limitEvery = 100 * time.Millisecond
	// limitGain is how far the bound follows what is measured each time, and
	// limitStep how far apart the two may be taken to be.
	limitGain = 0.25
	limitStep = 4
)

// limiter keeps requests back in their processor so that those with the handlers
// take Target on average (Redpanda's queue depth control): every limitEvery
//
//	depth = (1-gain)·depth + gain·depth·Target/latency
//
// It begins with Most. It belongs to its processor; nil bounds nothing.
type limiter struct {
	cfg   LatencyConfig
	depth float64
	away  int  // of those that count, with the handlers
	full  bool // the bound has kept some back since it changed
	sum   int64
	n     int64
	due   int64
}

func newLimiter(cfg LatencyConfig) *limiter {
	if cfg.Target <= 0 {
		return nil
	}
	return &limiter{cfg: cfg, depth: float64(cfg.Most)}
}

// admit says how many of reqs may go, from the first on, and counts them out.
func (l *limiter) admit(reqs []*reqchan.Job, now int64) int {
	for i, r := range reqs {
		r.Limited = 0
		if l.cfg.Counts != nil && !l.cfg.Counts(r.Request()) {
			continue
		}
		if l.away >= int(l.depth) {
			l.full = true
			return i
		}
		l.away++
		r.Limited = now
	}
	return len(reqs)
}

// unadmit takes back what admit let go and the request channel did not take.
func (l *limiter) unadmit(reqs []*reqchan.Job) {
	for _, r := range reqs {
		if r.Limited != 0 {
			l.away--
			r.Limited = 0
		}
	}
}

// home counts in what admit let go, once: its job is used again, for a request that may come
// home without having been asked for here.
func (l *limiter) home(r *reqchan.Job, now int64) {
	if r.Limited == 0 {
		return
	}
	l.away--
	l.sum += max(now-r.Limited, 1)
	r.Limited = 0
	l.n++
	if now < l.due {
		return
	}
	ratio := float64(l.cfg.Target) * float64(l.n) / float64(l.sum)
	ratio = min(max(ratio, 1.0/limitStep), limitStep)
	if ratio < 1 || l.full { // who is not kept back needs no higher bound
		l.depth += limitGain * l.depth * (ratio - 1)
		l.depth = min(max(l.depth, float64(l.cfg.Least)), float64(l.cfg.Most))
	}
	l.sum, l.n, l.full, l.due = 0, 0, false, now+int64(limitEvery)
}
