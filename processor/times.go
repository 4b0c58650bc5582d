package processor

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
	version    int    // of the latest requests,
	versionRun uint64 // and how many of them are not in versions yet
	failure    int    // the same, for errors
	failureRun uint64
	deprecated uint64 // the versions that are, a bit each
	took       int64  // how long the last one that was timed took here
	untimed    int64  // how many were not, since
}

// of finds what is known of an API, the first time by making room for it.
func (p *Processor) timesOf(key int16) *apiTimes {
	if a := p.times.recent; a.key == key && a.touched {
		return a
	}
	return p.findTimes(key)
}

func (p *Processor) findTimes(key int16) *apiTimes {
	i := apisMax
	if key >= 0 && key < apisMax {
		i = int(key)
	}
	a := p.times.apis[i].Load()
	if a == nil {
		a = p.newAPITimes(i)
	}
	if !a.touched {
		a.touched = true
		p.times.touched = append(p.times.touched, a)
	}
	p.times.recent = a
	return a
}

func (p *Processor) newAPITimes(i int) *apiTimes {
	a := &apiTimes{key: int16(i)}
	if i == apisMax {
		a.key = OtherAPI
	} else if f := p.cfg.Deprecated; f != nil {
		for v := range int16(versionsMax) {
			if f(a.key, v) {
				a.deprecated |= 1 << v
			}
		}
	}
	p.times.apis[i].Store(a)
	return a
}

// came notes a request that was cut.
func (p *Processor) came(r *reqchan.Job) *apiTimes {
	r.API, r.Version = OtherAPI, 0
	r.Times = reqchan.Times{Arrived: p.now}
	if p.cfg.APIOf != nil {
		r.API, r.Version = p.cfg.APIOf(r.Payload())
	}
	a := p.timesOf(r.API)
	a.bytes.Note(uint64(len(r.Payload())), 1)
	v := versionsMax
	if a.key != OtherAPI && r.Version >= 0 && r.Version < versionsMax {
		v = int(r.Version)
		if a.deprecated>>v&1 != 0 {
			p.deprecated.add(r)
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
func (p *Processor) callTimed(r *reqchan.Job, a *apiTimes) {
	r.Times.Taken = max(p.now, p.times.here)
	if a.untimed++; a.untimed < timedEvery && a.untimed*a.took < untimedNanos && p.times.here > p.now {
		p.call(r)
		r.Times.Local = a.took
		return
	}
	a.untimed = 0
	r.Times.Taken = measure.Now()
	p.call(r)
	p.times.here = measure.Now()
	a.took = p.times.here - r.Times.Taken
	r.Times.Local = a.took
}

// went notes the way of n requests up to now, when their answers are taken from
// them.
func (p *Processor) went(a *apiTimes, t *reqchan.Times, code int16, n uint64) {
	noteNanos(&a.queue, t.Taken-t.Arrived, n)
	noteNanos(&a.local, t.Local, n)
	if handled := t.Taken + t.Local; t.Answered > handled {
		noteNanos(&a.remote, t.Answered-handled, n)
	}
	noteNanos(&a.throttle, t.Throttled, n)
	noteNanos(&a.response, p.now-t.Ready(), n)
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

// measured notes a request of which nothing is to be sent.
func (p *Processor) measured(r *reqchan.Job) {
	a := p.timesOf(r.API)
	p.went(a, &r.Times, r.ErrorCode(), 1)
	a.total.Note(micros(p.now-r.Times.Arrived), 1)
}

const (
	// marksMax bounds the marks of a connection: a client that reads slower than it
	// is answered may have 1 MiB of small responses waiting. What is beyond counts
	// with the last mark, or as sent at once.
	marksMax = 256
	// marksKept is how many an empty list keeps room for.
	marksKept = 64
)

// marks remember, for responses that are to be sent, when each is out.
type marks struct {
	list []mark
	at   int   // the first that is not out
	put  int64 // bytes that were ever queued
	out  int64 // bytes that were ever sent
}

// mark is n responses of one API that came and were queued together.
type mark struct {
	upTo            int64 // of marks.put
	api             *apiTimes
	arrived, queued int64
	n               uint64
}

// mark notes n responses of one API and ErrorCode, so many bytes together, that
// were queued. t are the times of each of their requests.
func (p *Processor) mark(m *marks, a *apiTimes, t *reqchan.Times, code int16, bytes int, n uint64) {
	p.went(a, t, code, n)
	queued := max(p.now, t.Ready())
	m.put += int64(bytes)
	if len(m.list) > m.at {
		last := &m.list[len(m.list)-1]
		full := len(m.list)-m.at >= marksMax
		if last.api == a && (full || last.arrived == t.Arrived && last.queued == queued) {
			last.upTo = m.put
			last.n += n
			return
		}
		if full {
			p.sentOne(&mark{m.put, a, t.Arrived, queued, n})
			return
		}
	}
	if len(m.list) == cap(m.list) && m.at > len(m.list)/2 { // it need not grow
		m.list, m.at = m.list[:copy(m.list, m.list[m.at:])], 0
	}
	m.list = append(m.list, mark{m.put, a, t.Arrived, queued, n})
}

// sentUpTo notes the responses that are out by now.
func (p *Processor) sentUpTo(m *marks, bytes int) {
	m.out += int64(bytes)
	for ; m.at < len(m.list) && m.list[m.at].upTo <= m.out; m.at++ {
		p.sentOne(&m.list[m.at])
	}
	if m.at == len(m.list) {
		m.list, m.at = emptied(m.list), 0
	}
}

// emptied is list without marks, and without much room for them.
func emptied(list []mark) []mark {
	if cap(list) > marksKept {
		return nil
	}
	return list[:0]
}

// dropMarks notes the responses that will never be out, and forgets all.
func (p *Processor) dropMarks(m *marks) {
	for ; m.at < len(m.list); m.at++ {
		p.sentOne(&m.list[m.at])
	}
	*m = marks{list: emptied(m.list)}
}

func (p *Processor) sentOne(m *mark) {
	a := p.timesOf(m.api.key)
	out := p.now - p.waited
	if us := micros(out - m.queued); us > 0 {
		a.send.Note(us, m.n)
	}
	a.total.Note(micros(out-m.arrived), m.n)
}

// publishTimes shows readers what was noted in this pass.
func (p *Processor) publishTimes() {
	for _, a := range p.times.touched {
		a.touched = false
		a.publishRuns()
		for _, h := range [...]*measure.Histogram{&a.bytes, &a.queue, &a.local, &a.remote, &a.throttle, &a.response, &a.send, &a.total} {
			h.Publish()
		}
	}
	p.times.touched = p.times.touched[:0]
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
