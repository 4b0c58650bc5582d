package load

import "time"

// clock is nanoseconds since the run began, monotonic.
type clock struct{ base time.Time }

func (c clock) now() int64 { return int64(time.Since(c.base)) }

// timing is what the threads of one run share.
type timing struct {
	clock
	window
	cfg     *Config
	began   int64 // when the threads were told to begin
	warmEnd int64
}

// phase moves a thread through the run: warm-up, window, drain. Thread 0 opens
// and closes the window for all. It returns the time to go on with, and
// whether the thread is finished. cpu reads the thread's processor time.
func (tm *timing) phase(x *core, thread int, now int64, cpu func() int64) (int64, bool) {
	r := x.rec
	switch {
	case x.all:
		if thread == 0 && now >= tm.warmEnd && tm.start.Load() == 0 {
			tm.boundary(true)
			x.plan.stand(tm.now() - now)
			now = tm.open()
		}
		if x.adopt(); r.start != 0 {
			r.cpuBegin, r.wallBegin = cpu(), now
			x.all = false
		}
	case !x.stopped:
		if thread == 0 && tm.isCut() {
			tm.end.Store(min(tm.end.Load(), now))
		}
		if r.end = tm.end.Load(); now >= r.end {
			x.stopped = true
			r.cpuEnd, r.wallEnd = cpu(), now
			if thread == 0 {
				tm.boundary(false)
				now = tm.now()
			}
		}
	default:
		return now, x.inFlight == 0 || now >= r.end+int64(tm.cfg.DrainTimeout)
	}
	return now, false
}

// open opens the window, and gives the instant. Order: whoever finds itself
// past that instant finds at least opening, and waits for the rest.
func (tm *timing) open() int64 {
	tm.start.Store(opening)
	now := tm.now()
	tm.end.Store(now + int64(tm.cfg.Duration))
	tm.start.Store(now)
	return now
}

func (tm *timing) isCut() bool {
	select {
	case <-tm.cfg.Cut:
		return true
	default:
		return false
	}
}

func (tm *timing) boundary(begin bool) {
	if tm.cfg.Boundary != nil {
		tm.cfg.Boundary(begin)
	}
}

// pause is how long a thread may sleep at now before it has something to do
// that no response will tell it. A tenth of a second bounds the wait for
// another thread's window.
func (tm *timing) pause(x *core, thread int, now int64) time.Duration {
	until := now + int64(100*time.Millisecond)
	switch {
	case x.stopped:
		until = min(until, x.rec.end+int64(tm.cfg.DrainTimeout))
	case x.rec.start != 0:
		until = min(until, x.rec.end)
	case thread == 0:
		until = min(until, tm.warmEnd)
	default:
		until = min(until, now+int64(time.Millisecond))
	}
	if tm.cfg.IsOpen() && !x.stopped {
		if due := x.plan.due(x.plan.next); x.rec.end == 0 || due < x.rec.end {
			until = min(until, due)
		}
	}
	return time.Duration(max(until-now, 0))
}
