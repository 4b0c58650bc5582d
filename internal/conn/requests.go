package conn

import (
	"sync"

	"kring/internal/measure"
	"kring/reqchan"
)

// Distribution is how values are distributed.
type Distribution = measure.Distribution

// RequestStats is what is known of the requests of one API: totals since the
// start. Times are in microseconds and have Kafka's meaning; of those that are
// answered, each is counted once, whatever became of its client, and in all
// times alike.
type RequestStats struct {
	// API is the key; OtherAPI for what has none that is known.
	API int16
	// Versions counts requests by version, Errors answered ones by the error code
	// that the handler gave (0: none); -1 and -2 stand for all others.
	Versions, Errors map[int16]uint64
	// Bytes are the sizes of payloads.
	Bytes Distribution
	// Queue is from arrival until a handler began (RequestQueueTime), Local while
	// Handle ran, Remote from there until the answer was given, if that was later,
	// Throttle how long the client is held off, Response from the answer until the
	// processor took it, Send until all of it was sent, Total from arrival to end.
	Queue, Local, Remote, Throttle, Response, Send, Total Distribution
}

// Requests are the stats of every API that there were requests of. Any
// goroutine.
func (sh *Shared) Requests() []RequestStats {
	var all []RequestStats
	for i := range sh.times.apis {
		if a := sh.times.apis[i].Load(); a != nil {
			all = append(all, a.stats())
		}
	}
	return all
}

func (a *apiTimes) stats() RequestStats {
	s := RequestStats{
		API: a.key, Versions: map[int16]uint64{}, Errors: map[int16]uint64{},
		Bytes: a.bytes.Snapshot(), Total: a.total.Snapshot(),
	}
	for i := range a.versions {
		if n := a.versions[i].Load(); n > 0 {
			v := int16(i)
			if i == versionsMax {
				v = -1
			}
			s.Versions[v] = n
		}
	}
	for i := range a.errors {
		if n := a.errors[i].Load(); n > 0 {
			code := int16(i) - 1
			if i == errorsMax {
				code = -2
			}
			s.Errors[code] = n
		}
	}
	for _, h := range []struct {
		to   *Distribution
		from *measure.Histogram
	}{{&s.Queue, &a.queue}, {&s.Local, &a.local}, {&s.Remote, &a.remote}, {&s.Throttle, &a.throttle},
		{&s.Response, &a.response}, {&s.Send, &a.send}} {
		*h.to = h.from.Snapshot()
		if n := s.Total.Count; n > h.to.Count {
			h.to.AddZeros(n - h.to.Count) // zeros are noted by total only
		}
	}
	return s
}

// Add adds another's numbers, of the same API.
func (s *RequestStats) Add(o *RequestStats) {
	if s.Versions == nil {
		s.Versions, s.Errors = map[int16]uint64{}, map[int16]uint64{}
	}
	for v, n := range o.Versions {
		s.Versions[v] += n
	}
	for code, n := range o.Errors {
		s.Errors[code] += n
	}
	for _, d := range []struct {
		to   *Distribution
		from Distribution
	}{{&s.Bytes, o.Bytes}, {&s.Queue, o.Queue}, {&s.Local, o.Local}, {&s.Remote, o.Remote}, {&s.Throttle, o.Throttle},
		{&s.Response, o.Response}, {&s.Send, o.Send}, {&s.Total, o.Total}} {
		d.to.Add(d.from)
	}
}

// DeprecatedUse is who uses what should not be used any more (KIP-896).
type DeprecatedUse struct {
	API, Version int16
	Software     reqchan.Software
}

// deprecations counts uses of deprecated versions. They are rare, or soon will
// be, so a lock does.
type deprecations struct {
	mu   sync.Mutex
	uses map[DeprecatedUse]uint64 // guarded by mu; at most reqchan.LabelsMax and one for each version
}

func (d *deprecations) add(r *reqchan.Job) {
	use := DeprecatedUse{r.API, r.Version, r.Conn.Software()}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.uses == nil {
		d.uses = map[DeprecatedUse]uint64{}
	}
	if _, known := d.uses[use]; !known && len(d.uses) >= reqchan.LabelsMax {
		use.Software = reqchan.OtherSoftware
	}
	d.uses[use]++
}

// Deprecated counts the requests of deprecated versions. Any goroutine.
func (sh *Shared) Deprecated() map[DeprecatedUse]uint64 {
	sh.deprecated.mu.Lock()
	defer sh.deprecated.mu.Unlock()
	uses := make(map[DeprecatedUse]uint64, len(sh.deprecated.uses))
	for use, n := range sh.deprecated.uses {
		uses[use] = n
	}
	return uses
}
