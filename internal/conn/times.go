package conn

import (
	"sync/atomic"

	"kring/internal/measure"
	"kring/reqchan"
)

const (
	// apisMax: keys of this many APIs are measured each for itself, which is more
	// than there are; what is no such key is measured together, so that a client
	// can't make us keep more.
	apisMax = 128
	// versionsMax and errorsMax bound in the same way what is counted of an API.
	versionsMax = 64
	errorsMax   = 256
	// The clock costs some 25 ns. So of short requests that are handled here, one
	// behind the other, one in timedEvery is timed, or more of them, so that those
	// between take less than untimedNanos together.
	timedEvery   = 64
	untimedNanos = 1000
)

// OtherAPI stands for all requests whose API is not known.
const OtherAPI int16 = -1

// times measures the way of requests, by API.
//
// What is accurate: moments that the processor sees (arrived, answer taken, sent)
// are the beginning of their pass, in which nothing blocks; what was sent with a wait
// behind it was out when that began. Handlers' moments are
// of the clock, but for requests of less than a microsecond.
type times struct {
	apis    [apisMax + 1]atomic.Pointer[apiTimes] // the last is OtherAPI's
	touched []*apiTimes                           // Owner: noted something in this pass
	recent  *apiTimes                             // Owner: the one that was looked for last, never nil
	here    int64                                 // Owner: the clock as read last, for handlers that run here
}

// apiTimes is what is known of one API.
type apiTimes struct {
	key                                                   int16
	bytes                                                 measure.Histogram // payloads
	queue, local, remote, throttle, response, send, total measure.Histogram // microseconds; 0 is noted by total only
	versions                                              [versionsMax + 1]atomic.Uint64
	errors                                                [errorsMax + 1]atomic.Uint64

	// Owner, all that follows.
	touched    bool
	longPoll   bool
	version    int    // of the latest requests,
	versionRun uint64 // and how many of them are not in versions yet
	failure    int    // the same, for errors
	failureRun uint64
	deprecated uint64 // the versions that are, a bit each
	took       int64  // how long the last one that was timed took here
	untimed    int64  // how many were not, since
}

// timesOf finds what is known of an API, the first time by making room for it.
func (sh *Shared) timesOf(key int16) *apiTimes {
	if a := sh.times.recent; a.key == key && a.touched {
		return a
	}
	return sh.findTimes(key)
}

func (sh *Shared) findTimes(key int16) *apiTimes {
	i := apisMax
	if key >= 0 && key < apisMax {
		i = int(key)
	}
	a := sh.times.apis[i].Load()
	if a == nil {
		a = sh.newAPITimes(i)
	}
	if !a.touched {
		a.touched = true
		sh.times.touched = append(sh.times.touched, a)
	}
	sh.times.recent = a
	return a
}

func (sh *Shared) newAPITimes(i int) *apiTimes {
	a := &apiTimes{key: int16(i)}
	if f := sh.cfg.LongPoll; f != nil && i != apisMax {
		a.longPoll = f(a.key)
	}
	if i == apisMax {
		a.key = OtherAPI
	} else if f := sh.cfg.Deprecated; f != nil {
		for v := range int16(versionsMax) {
			if f(a.key, v) {
				a.deprecated |= 1 << v
			}
		}
	}
	sh.times.apis[i].Store(a)
	return a
}

// recordArrival notes a request that was cut.
func (sh *Shared) recordArrival(r *reqchan.Job) *apiTimes {
	r.API, r.Version = OtherAPI, 0
	r.Times = reqchan.Times{Arrived: sh.now}
	if sh.cfg.APIOf != nil {
		r.API, r.Version = sh.cfg.APIOf(r.Payload())
	}
	a := sh.timesOf(r.API)
	a.bytes.Note(uint64(len(r.Payload())), 1)
	v := versionsMax
	if a.key != OtherAPI && r.Version >= 0 && r.Version < versionsMax {
		v = int(r.Version)
		if a.deprecated>>v&1 != 0 {
			sh.deprecated.add(r)
		}
	}
	if v != a.version {
		a.publishRuns()
		a.version = v
	}
	a.versionRun++
	return a
}

// callTimed calls the handler of a request that is handled here.
func (sh *Shared) callTimed(r *reqchan.Job, a *apiTimes) {
	r.Times.Taken = max(sh.now, sh.times.here)
	if a.untimed++; a.untimed < timedEvery && a.untimed*a.took < untimedNanos && sh.times.here > sh.now {
		sh.call(r)
		r.Times.Local = a.took
		return
	}
	a.untimed = 0
	r.Times.Taken = measure.Now()
	sh.call(r)
	sh.times.here = measure.Now()
	a.took = sh.times.here - r.Times.Taken
	r.Times.Local = a.took
}

// recordLatency notes the way of n requests up to now, when their answers are taken from
// them.
func (sh *Shared) recordLatency(a *apiTimes, t *reqchan.Times, code int16, n uint64) {
	noteNanos(&a.queue, t.Taken-t.Arrived, n)
	noteNanos(&a.local, t.Local, n)
	if handled := t.Taken + t.Local; t.Answered > handled {
		noteNanos(&a.remote, t.Answered-handled, n)
	}
	noteNanos(&a.throttle, t.Throttled, n)
	noteNanos(&a.response, sh.now-t.Ready(), n)
	failure := errorsMax
	if i := int(code) + 1; i >= 0 && i < errorsMax {
		failure = i
	}
	if failure != a.failure {
		a.publishRuns()
		a.failure = failure
	}
	a.failureRun += n
}

// recordUnsent notes a request of which nothing is to be sent.
func (sh *Shared) recordUnsent(r *reqchan.Job) {
	a := sh.timesOf(r.API)
	if r.Times.Taken == 0 { // no handler began with it: all that passed was waiting for one
		r.Times.Taken = sh.now
	}
	sh.recordLatency(a, &r.Times, r.ErrorCode(), 1)
	over := max(sh.now, r.Times.Ready()) // a handler that runs here ends after its pass began
	a.total.Note(micros(over-r.Times.Arrived), 1)
	sh.tellSlow(sh.wayOf(r), r.API, over, over, 1)
}

// PublishTimes shows readers what was noted in this pass.
func (sh *Shared) PublishTimes() {
	for _, a := range sh.times.touched {
		a.touched = false
		a.publishRuns()
		for _, h := range [...]*measure.Histogram{&a.bytes, &a.queue, &a.local, &a.remote, &a.throttle, &a.response, &a.send, &a.total} {
			h.Publish()
		}
	}
	sh.times.touched = sh.times.touched[:0]
	sh.publishUse()
}

func (a *apiTimes) publishRuns() {
	if a.versionRun > 0 {
		a.versions[a.version].Add(a.versionRun)
		a.versionRun = 0
	}
	if a.failureRun > 0 {
		a.errors[a.failure].Add(a.failureRun)
		a.failureRun = 0
	}
}

func noteNanos(h *measure.Histogram, nanos int64, n uint64) {
	if nanos >= 1000 {
		noteMicros(h, uint64(nanos)/1000, n)
	}
}

//go:noinline
func noteMicros(h *measure.Histogram, v, n uint64) { h.Note(v, n) } // rare, where the look at nanos is not

func micros(nanos int64) uint64 { return uint64(max(nanos, 0)) / 1000 }
