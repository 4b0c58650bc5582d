package top

import (
	"slices"
	"time"

	"kring/views"
)

// rates are what a server did between two answers, in a second, by the server's clock.
type rates struct {
	known                     bool
	requests, in, out, errors float64
	opened, closed            float64
	p50, p99                  time.Duration // of requests that are no long polls
	answered                  uint64        // how many these were
	idle                      float64       // share of the processors' time, 0 to 1
}

// between compares two answers of one server. Nothing is known if it was started anew.
func between(before, now *views.Status) rates {
	seconds := now.At.Sub(before.At).Seconds()
	if before.At.IsZero() || seconds <= 0 || now.UptimeMillis < before.UptimeMillis || now.Requests < before.Requests {
		return rates{}
	}
	per := func(a, b uint64) float64 { return float64(b-min(a, b)) / seconds }
	r := rates{
		known: true, requests: per(before.Requests, now.Requests), in: per(before.BytesIn, now.BytesIn), out: per(before.BytesOut, now.BytesOut),
		opened: per(before.Accepted, now.Accepted), closed: per(sum(before.Closed), sum(now.Closed)),
	}
	if alive := now.AliveNanos - before.AliveNanos; alive > 0 {
		r.idle = min(max(float64(now.IdleNanos-before.IdleNanos)/float64(alive), 0), 1)
	}
	counts := map[uint64]uint64{}
	for _, api := range now.APIs {
		old := ofAPI(before, api.Key)
		r.errors += per(old.Errors, api.Errors)
		if !api.LongPoll {
			addLatency(counts, old.Latency, api.Latency)
		}
	}
	for _, n := range counts {
		r.answered += n
	}
	r.p50, r.p99 = quantile(counts, 0.5), quantile(counts, 0.99)
	return r
}

func sum(by map[string]uint64) (n uint64) {
	for _, one := range by {
		n += one
	}
	return n
}

func ofAPI(s *views.Status, key int16) views.API {
	if i := slices.IndexFunc(s.APIs, func(a views.API) bool { return a.Key == key }); i >= 0 {
		return s.APIs[i]
	}
	return views.API{}
}

// addLatency adds what came since to counts, by upper bound in microseconds.
func addLatency(counts map[uint64]uint64, before, now [][2]uint64) {
	was := map[uint64]uint64{}
	for _, b := range before {
		was[b[0]] = b[1]
	}
	for _, b := range now {
		if n := b[1] - min(was[b[0]], b[1]); n > 0 {
			counts[b[0]] += n
		}
	}
}

// quantile is the upper bound of the bucket that a share q falls into; 0 without any.
func quantile(counts map[uint64]uint64, q float64) time.Duration {
	var bounds []uint64
	var total uint64
	for upTo, n := range counts {
		bounds = append(bounds, upTo)
		total += n
	}
	slices.Sort(bounds)
	rank := uint64(q * float64(total))
	for _, upTo := range bounds {
		if rank < counts[upTo] {
			return time.Duration(upTo) * time.Microsecond
		}
		rank -= counts[upTo]
	}
	if len(bounds) == 0 {
		return 0
	}
	return time.Duration(bounds[len(bounds)-1]) * time.Microsecond
}
