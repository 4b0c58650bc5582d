package reqchan

import (
	"math"
	"sync/atomic"

	"kring/internal/queue"
)

// lane is one of the two ways through the Channel. Each has room of its own, so
// that a full one keeps nobody from the other.
type lane struct {
	ring *queue.ManyToMany[*Job]
	// used is how many requests wait in ring, where a run is one. Order: they are counted
	// before they are pushed, and counted out after they were popped: it is never too
	// small.
	used  atomic.Int64
	turns turns // Senders that found no room
}

// push accepts the first n of jobs, runs whole, as many as there is room for and no more
// than most requests, and says how many requests these are. It looks at no more of jobs
// than there is room for.
func (l *lane) push(jobs []*Job, most int) (n, requests int) {
	for {
		used := l.used.Load()
		n, requests := fitting(jobs, min(most, l.ring.Cap()-int(used)))
		if n == 0 {
			return 0, 0
		}
		if !l.used.CompareAndSwap(used, used+int64(requests)) {
			continue
		}
		// A Receiver that is stopped in the middle of taking keeps the ring's places of
		// others, and a closed ring takes nothing.
		pushed := l.ring.TryPush(jobs[:n])
		if pushed < n {
			refused := requestsIn(jobs[pushed:n])
			l.used.Add(-int64(refused))
			requests -= refused
		}
		return pushed, requests
	}
}

// pop takes up to len(into) runs.
func (l *lane) pop(into []*Job) int {
	n := l.ring.TryPop(into)
	if n > 0 {
		l.used.Add(-int64(requestsIn(into[:n])))
	}
	return n
}

// waiting is how many requests there are. It is 0 only when all places of the ring are
// free, too.
func (l *lane) waiting() int { return max(int(l.used.Load()), l.ring.Len()) }

// fitting is how many of jobs, which may begin runs, are within room requests altogether.
func fitting(jobs []*Job, room int) (n, requests int) {
	for n < len(jobs) && requests+jobs[n].InRun() <= room {
		requests += jobs[n].InRun()
		n++
	}
	return n, requests
}

// requestsIn is how many requests jobs are, which may begin runs.
func requestsIn(jobs []*Job) int {
	_, n := fitting(jobs, math.MaxInt)
	return n
}

// priorityStreakMax is how many batches a Receiver takes from the priority lane
// while there is something in the other: of one more than that, at least one is
// an ordinary one, however much has priority.
const priorityStreakMax = 8

// NewPrioritySender makes a Sender for requests that go before others. They have
// room of their own (Config.PriorityMax), and a Receiver looks for them first.
func (c *Channel) NewPrioritySender(wakeFlag *queue.WakeFlag) *Sender {
	return &Sender{channel: c, lane: &c.priority, wakeFlag: wakeFlag, bytes: c.bytes.NewTaker(wakeFlag)}
}

// PriorityLen is how many requests wait in the priority lane.
func (c *Channel) PriorityLen() int { return c.priority.waiting() }

// ready says that there is something to take.
func (c *Channel) ready() bool { return c.ordinary.ring.Ready() || c.priority.ring.Ready() }

// drained says that the channel is closed and all it accepted was taken.
func (c *Channel) drained() bool { return c.ordinary.ring.Drained() && c.priority.ring.Drained() }

// take is what a Receiver does when it is awake: one batch, of one lane.
func (v *Receiver) take(into []*Job) int {
	c := v.channel
	if v.streak < priorityStreakMax && c.priority.ring.Ready() {
		if n := c.takeFrom(&c.priority, into); n > 0 {
			v.streak++
			return n
		}
	}
	v.streak = 0
	if n := c.takeFrom(&c.ordinary, into); n > 0 {
		return n
	}
	return c.takeFrom(&c.priority, into)
}

func (c *Channel) takeFrom(l *lane, into []*Job) int {
	n := l.pop(into)
	if n == 0 {
		return 0
	}
	// Order: the room is there before it is looked who waits for it; a Sender
	// says that it waits before it looks for room a last time.
	if l.turns.count.Load() > 0 {
		l.turns.roomWasMade(l)
	}
	if c.idle.count.Load() > 0 && c.ready() {
		c.idle.wakeOne()
	}
	return n
}
