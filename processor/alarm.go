package processor

import (
	"container/heap"
	"time"

	"kring/reqchan"
)

// alarms are the connections that something happens to at an exact time: a
// throttle ends, a connection that waits to be closed may be. Few have one, so
// they stand in a heap beside the wheel, which is coarse.
type alarms struct{ byTime alarmHeap }

type alarm struct {
	at int64 // nanoseconds of reqchan.Now
	// place in the heap, from 1; 0: none
	place int
}

// wait is how long until the first is due, at most the wait of the wheel;
// negative: nothing is.
func (a *alarms) wait(now int64, wheel time.Duration) time.Duration {
	if len(a.byTime) == 0 {
		return wheel
	}
	due := time.Duration(max(a.byTime[0].alarm.at-now, 0))
	if wheel >= 0 {
		due = min(due, wheel)
	}
	return due
}

// set gives c its one alarm, or moves it.
func (a *alarms) set(c *conn, at int64) {
	c.alarm.at = at
	if c.alarm.place > 0 {
		heap.Fix(&a.byTime, c.alarm.place-1)
	} else {
		heap.Push(&a.byTime, c)
	}
}

func (a *alarms) remove(c *conn) {
	if c.alarm.place > 0 {
		heap.Remove(&a.byTime, c.alarm.place-1)
	}
}

// ring goes on with the connections whose time has come.
func (p *Processor) ring() {
	for len(p.alarms.byTime) > 0 && p.alarms.byTime[0].alarm.at <= p.now {
		c := heap.Pop(&p.alarms.byTime).(*conn)
		switch {
		case c.ending:
		case c.parked != nil:
			p.unpark(c)
		default:
			p.step(c, stepThrottleEnded)
			p.progress(c)
		}
	}
}

// throttle mutes c until then, but not longer than ThrottleMax from now.
func (p *Processor) throttle(c *conn, until int64) {
	if c.ending || c.finishing {
		return
	}
	until = min(until, p.now+int64(c.set.ThrottleMax))
	if !c.mute.throttled() {
		p.step(c, stepThrottleStarted)
		p.count.throttles++
	} else if until <= c.alarm.at {
		return
	}
	p.alarms.set(c, until)
}

// park holds back the last response of a connection, which r is, until the
// alarm: see Request.CloseConnectionAfter. Nothing more is read of it.
func (p *Processor) park(c *conn, r *reqchan.Job, why reqchan.CloseReason) {
	c.finishing, c.reason, c.parked = true, why, r
	p.count.parks++
	if c.receive != receiveNone && !c.cancelled {
		c.cancelled = true
		p.engine.Cancel(c.fd, c.token)
	}
	p.alarms.set(c, r.CloseAt())
}

// unpark lets the response go, and the connection after it.
func (p *Processor) unpark(c *conn) {
	r := c.parked
	c.parked = nil
	p.alarms.remove(c)
	if _, response, _ := r.Answer(); response != nil {
		p.queue(c, r, response)
	} else {
		p.measured(r)
		p.recycle(r)
	}
	p.finishIfIdle(c)
}

// alarmHeap is container/heap's.
type alarmHeap []*conn

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].alarm.at < h[j].alarm.at }

func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].alarm.place, h[j].alarm.place = i+1, j+1
}

func (h *alarmHeap) Push(c any) {
	*h = append(*h, c.(*conn))
	(*h)[len(*h)-1].alarm.place = len(*h)
}

func (h *alarmHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	c.alarm.place = 0
	return c
}
