package main

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/reqchan"
)

const (
	// slowQueuedMax bounds the slow requests that wait to be logged. A processor never waits
	// for the log: what the queue has no room for is counted.
	slowQueuedMax = 256
	// slowBurst lines are logged at once, and then one every slowEvery: a server that has
	// become slow as a whole must not fill its log.
	slowBurst = 10
	slowEvery = 100 * time.Millisecond
)

// slowLog logs slow requests.
type slowLog struct {
	log     *slog.Logger
	queue   chan kring.SlowRequest
	skipped atomic.Uint64
	done    chan struct{}
	now     func() time.Time // for tests
}

func newSlowLog(log *slog.Logger, now func() time.Time) *slowLog {
	l := &slowLog{log: log, queue: make(chan kring.SlowRequest, slowQueuedMax), done: make(chan struct{}), now: now}
	go l.write()
	return l
}

// add is Events.SlowRequest. It does not block.
func (l *slowLog) add(r kring.SlowRequest) {
	select {
	case l.queue <- r:
	default:
		l.skipped.Add(r.Requests)
	}
}

// write logs what is queued, as much of it as the rate allows.
func (l *slowLog) write() {
	defer close(l.done)
	pace := slowPace{credit: slowBurst * slowEvery, last: l.now()}
	for r := range l.queue {
		if pace.allows(l.now()) {
			l.line(&r)
		} else {
			l.skipped.Add(r.Requests)
		}
	}
}

// slowPace is how much may be logged.
type slowPace struct {
	credit time.Duration // of slowEvery for each line
	last   time.Time
}

func (p *slowPace) allows(now time.Time) bool {
	p.credit, p.last = min(p.credit+now.Sub(p.last), slowBurst*slowEvery), now
	if p.credit < slowEvery {
		return false
	}
	p.credit -= slowEvery
	return true
}

func (l *slowLog) line(r *kring.SlowRequest) {
	api := kmsg.NameForKey(r.API)
	if r.API < 0 {
		api = "unknown"
	}
	say := []any{
		"total_time", r.Total, "queue_time", r.Queue, "local_time", r.Local, "remote_time", r.Remote, "response_queue_time", r.ResponseQueue, "send_time", r.Send,
		"api", api, "version", r.Version, "client_id", oneLine(r.Conn.ClientID()), "principal", oneLine(r.Conn.Principal()),
		"remote", reqchan.EndString(r.Conn.Remote), "listener", r.Conn.Listener, "conn", r.Conn.ID.String(),
		"bytes", r.Bytes, "response_bytes", r.ResponseBytes,
	}
	for _, extra := range []struct {
		name string
		is   bool
		v    any
	}{
		{"error", r.ErrorCode != 0, errorName(r.ErrorCode)}, {"asked_to_wait", r.Asked > 0, r.Asked}, {"throttled", r.Throttle > 0, r.Throttle},
		{"requests", r.Requests > 1, r.Requests},
	} {
		if extra.is {
			say = append(say, extra.name, extra.v)
		}
	}
	if n := l.skipped.Swap(0); n > 0 {
		say = append(say, "not_logged_before", n)
	}
	l.log.Warn("a request was slow", say...)
}

// end writes what is queued. The server must have ended.
func (l *slowLog) end() {
	close(l.queue)
	<-l.done
	if n := l.skipped.Load(); n > 0 {
		l.log.Warn("requests were slow faster than they are logged", "not_logged", n)
	}
}
