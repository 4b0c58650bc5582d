package processor

import (
	"testing"
	"time"

	"kring/reqchan"
)

// handlers is a place that handles one request after the other, each in service.
type handlers struct {
	l       *limiter
	now     int64
	service time.Duration
	queue   []*reqchan.Job
}

// run keeps as many requests there as the limiter lets through of demand.
func (h *handlers) run(demand int, for_ time.Duration) (latency time.Duration) {
	var sum, n int64
	for end := h.now + int64(for_); h.now < end; {
		for len(h.queue) < demand {
			r := []*reqchan.Job{reqchan.NewJob(nil, nil)}
			if h.l.admit(r, h.now) == 0 {
				break
			}
			h.queue = append(h.queue, r[0])
		}
		h.now += int64(h.service)
		r := h.queue[0]
		h.queue = h.queue[1:]
		sum, n = sum+h.now-r.Limited, n+1
		h.l.home(r, h.now)
	}
	return time.Duration(sum / n)
}

// The bound finds the depth at which requests take as long as they may, from
// above and from below, whatever the handlers can do at the moment; within what
// it is allowed.
func TestTheBoundFollowsTheLatencyTarget(t *testing.T) {
	const target = 10 * time.Millisecond
	h := &handlers{l: newLimiter(LatencyConfig{Target: target, Least: 2, Most: 200}), now: 1, service: time.Millisecond}
	near := func(what string, latency time.Duration, depth float64) {
		t.Helper()
		if h.l.depth < depth*0.7 || h.l.depth > depth*1.3 {
			t.Errorf("%s: depth %.1f, want about %.0f", what, h.l.depth, depth)
		}
		if latency < target*7/10 || latency > target*13/10 {
			t.Errorf("%s: requests take %v, want about %v", what, latency, target)
		}
	}
	h.run(1000, 10*time.Second)
	near("too many at first", h.run(1000, time.Second), 10)
	h.service = 100 * time.Microsecond
	h.run(1000, 10*time.Second)
	near("handlers became fast", h.run(1000, time.Second), 100)
	h.service = 20 * time.Millisecond
	h.run(1000, 60*time.Second)
	if h.l.depth != 2 {
		t.Errorf("handlers that can't reach the target: depth %.1f, want the least, 2", h.l.depth)
	}
	h.service = 20 * time.Microsecond
	h.run(1000, 3*time.Second)
	if h.l.depth != 200 {
		t.Errorf("handlers that are faster than they need be: depth %.1f, want the most, 200", h.l.depth)
	}
}

// What the request channel had no room for, and what does not count, holds
// nobody back; and what counts is counted in as often as out.
func TestTheBoundCountsWhatIsWithTheHandlers(t *testing.T) {
	l := newLimiter(LatencyConfig{Target: time.Second, Least: 1, Most: 3,
		Counts: func(r reqchan.Request) bool { return r.API() == 0 }})
	var reqs []*reqchan.Job
	for _, api := range []int16{1, 0, 1, 0, 0, 1, 0} {
		r := reqchan.NewJob(nil, nil)
		r.API = api
		reqs = append(reqs, r)
	}
	if n := l.admit(reqs, 1); n != 6 || l.away != 3 {
		t.Fatalf("%d admitted, %d away", n, l.away)
	}
	l.unadmit(reqs[4:6])
	for _, r := range reqs[:4] {
		l.home(r, 2)
	}
	if l.away != 0 {
		t.Errorf("%d away in the end", l.away)
	}
	if newLimiter(LatencyConfig{}) != nil {
		t.Error("a limiter without a target")
	}
}

// A job is used again, for a request that comes home without having been admitted: those of the
// priority lane are not. It was counted in when it came home first, or was taken back.
func TestTheBoundCountsAJobThatIsUsedAgainOnce(t *testing.T) {
	l := newLimiter(LatencyConfig{Target: time.Second, Least: 1, Most: 3})
	used := []*reqchan.Job{reqchan.NewJob(nil, nil), reqchan.NewJob(nil, nil)}
	if l.admit(used, 1) != 2 {
		t.Fatal("not admitted")
	}
	l.home(used[0], 2)
	l.unadmit(used[1:])
	for _, r := range used {
		l.home(r, 3)
	}
	if l.away != 0 {
		t.Errorf("%d away in the end", l.away)
	}
}
