package processor

import (
	"container/heap"
	"time"
)

// alarms are the connections that something happens to at an exact time: a
// throttle ends, a connection that waits to be closed may be. Few have one, so
// they stand in a heap beside the wheel, which is coarse.
type alarms struct{ byTime alarmHeap }

// alarm is what a slot has of it.
type alarm struct {
	at    int64 // nanoseconds of reqchan.Now
	place int32 // in the heap, from 1; 0: none
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
func (a *alarms) set(c *slot, at int64) {
	c.alarm.at = at
	if c.alarm.place > 0 {
		heap.Fix(&a.byTime, int(c.alarm.place)-1)
	} else {
		heap.Push(&a.byTime, c)
	}
}

func (a *alarms) remove(c *slot) {
	if c.alarm.place > 0 {
		heap.Remove(&a.byTime, int(c.alarm.place)-1)
	}
}

// ring goes on with the connections whose time has come.
func (a *alarms) ring(now int64) {
	for len(a.byTime) > 0 && a.byTime[0].alarm.at <= now {
		heap.Pop(&a.byTime).(*slot).AlarmRang()
	}
}

// alarmHeap is container/heap's.
type alarmHeap []*slot

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].alarm.at < h[j].alarm.at }

func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].alarm.place, h[j].alarm.place = int32(i)+1, int32(j)+1
}

func (h *alarmHeap) Push(c any) {
	*h = append(*h, c.(*slot))
	(*h)[len(*h)-1].alarm.place = int32(len(*h))
}

func (h *alarmHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	c.alarm.place = 0
	return c
}
