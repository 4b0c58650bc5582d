package conn

import (
	"time"

	"kring/reqchan"
)

// SlowRequest is a request that took longer than Config.SlowRequest, and where. Its times are
// those of RequestStats: Queue until its handler began, Local while Handle ran, Remote from
// there until the answer was given, if that was later, ResponseQueue until the processor took
// it, Send until all of it was sent; Total is all of that. Throttle is how long its connection
// is muted afterwards, which is not in Total.
type SlowRequest struct {
	Conn         *reqchan.Conn
	API, Version int16
	// ErrorCode is what the handler gave; 0: none.
	ErrorCode int16
	// Requests is how many came and were answered together with it, itself included.
	Requests uint64
	// Bytes are those of its payload, ResponseBytes those of the responses to all of
	// Requests, with their sizes; 0: it was not answered, or with nothing.
	Bytes, ResponseBytes int
	// Asked is how long the client asked to wait: Total is longer than that and the threshold.
	Asked time.Duration

	Queue, Local, Remote, ResponseQueue, Send, Total, Throttle time.Duration
}

// way is what is kept of a request until its response is out, where slow ones are told of.
type way struct {
	conn          *reqchan.Conn
	version, code int16
	bytes, sends  int
	asked         int64
	times         reqchan.Times
	taken         int64 // when the processor took the answer
}

// waysKeptMax bounds how many ways wait for reuse.
const waysKeptMax = 1024

// wayOf notes the way of a request whose answer is being taken; nil where nobody is told of
// slow ones.
func (sh *Shared) wayOf(r *reqchan.Job) *way {
	if sh.cfg.SlowRequest <= 0 || sh.cfg.Slow == nil {
		return nil
	}
	var w *way
	if n := len(sh.ways); n > 0 {
		w, sh.ways = sh.ways[n-1], sh.ways[:n-1]
	} else {
		w = new(way)
	}
	*w = way{conn: r.Conn, version: r.Version, code: r.ErrorCode(), bytes: max(len(r.Frame)-reqchan.SizeBytes, 0), asked: r.Asked(), times: r.Times, taken: sh.now}
	return w
}

// freeWay has w be used again.
func (sh *Shared) freeWay(w *way) {
	if w != nil && len(sh.ways) < waysKeptMax {
		*w = way{} // which kept a connection's name
		sh.ways = append(sh.ways, w)
	}
}

// tellSlow tells of n requests that were answered together and went w, if they were slow. Their
// answer is out at the moment out, and was queued at queued; both are of Shared.now. w may be
// nil, and is not used any more.
func (sh *Shared) tellSlow(w *way, api int16, queued, out int64, n uint64) {
	if w == nil {
		return
	}
	t := &w.times
	if total := out - t.Arrived; total-w.asked > int64(sh.cfg.SlowRequest) {
		handled := t.Taken + t.Local
		sh.cfg.Slow(SlowRequest{
			Conn: w.conn, API: api, Version: w.version, ErrorCode: w.code, Requests: n, Bytes: w.bytes, ResponseBytes: w.sends,
			Asked: time.Duration(w.asked), Total: time.Duration(total), Throttle: time.Duration(t.Throttled),
			Queue: span(t.Arrived, t.Taken), Local: time.Duration(t.Local), Remote: span(handled, t.Answered),
			ResponseQueue: span(t.Ready(), w.taken), Send: span(queued, out),
		})
	}
	sh.freeWay(w)
}

// span is the time between two moments, of which the second may not have been.
func span(from, to int64) time.Duration { return time.Duration(max(to-from, 0)) }
