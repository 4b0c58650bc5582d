package processor

import (
	"runtime"
	"sync"
	"sync/atomic"

	"kring/engine"
	"kring/internal/conn"
	"kring/internal/queue"
	"kring/reqchan"
)

// adoptedPerPassMax bounds how many sockets a pass adopts, so that a burst of connects
// does not starve who is here already (KIP-402). It is Kafka's ConnectionQueueSize.
const adoptedPerPassMax = 20

// inbox is all that other goroutines give a processor: messages, answers, and the phase
// that it shall be in. Whoever gives something puts it here and then notifies; the
// processor says that it is about to sleep (wakeFlag.BeforeSleep), looks here for the last time
// (empty), and sleeps only then. There is no other way in, and no other handshake.
type inbox struct {
	wakeFlag *queue.WakeFlag
	messages *queue.ManyToOne[message]
	answers  *reqchan.ResponseQueue // a batch is one push, without an allocation
	phase    atomic.Uint32          // asked for; of several only the latest counts, and it only grows

	expected atomic.Int64 // connections that were put, or are about to be, and are not adopted
	posting  atomic.Int64 // tasks that are about to be put
	closed   atomic.Bool  // no task is taken any more
	once     [onceCount]atomic.Bool
	// upstreams are those that were called, linked by Upstream.nextCalled, the newest first. Order:
	// the CompareAndSwap of called publishes what lies in them; the Swap in runUpstreams reads it.
	upstreams atomic.Pointer[Upstream]
	due       *Upstream // Owner: taken out of upstreams and not run yet, oldest first

	mu      sync.Mutex
	listing *Listing      // guarded by mu; has not begun
	passing chan struct{} // guarded by mu; closed when the next pass begins; nil: nobody waits

	// Owner: connections taken out of messages, oldest first, of which first were adopted, and
	// tasks, of which begun were.
	arrived      []message
	tasks        []func()
	first, begun int
}

// message is one of three: an accepted socket, a connection of another processor, a task
// (settings to be applied, a connection to be evicted, a question).
type message struct {
	socket engine.Accepted
	from   *Listener
	moved  *conn.Moved // with socket's FD and Slot
	task   func()
}

// once names tasks of which one is enough, however often they are asked for: on a
// processor that its handler blocks they would pile up.
type once int

const (
	onceRefresh once = iota
	onceShed
	onceCount
)

// make readies an inbox whose owner is woken by wake.
func (i *inbox) make(wake func()) {
	i.wakeFlag = queue.NewWakeFlag(wake)
	i.messages = queue.NewManyToOne[message]()
	i.answers = reqchan.NewResponseQueue(i.wakeFlag)
}

// post puts a message. Any goroutine.
func (i *inbox) post(m message) {
	i.messages.Push(m)
	i.wakeFlag.Notify()
}

// expect counts a connection in that is about to be posted; false when the processor is
// ending, or more than most wait already. Order: it is counted before the phase is looked
// at, and over looks the other way round, so one of the two sees the other, and nothing
// is posted that nobody takes.
func (i *inbox) expect(most int64) bool {
	if i.expected.Add(1) > most || i.wanted() != conn.Serving {
		i.expected.Add(-1)
		return false
	}
	return true
}

// submit has f run on the processor's goroutine, between two passes, soon. f may look at
// and touch what the processor owns, and must not block. false: the processor has ended,
// and f will not run. Any goroutine. Order: as in expect.
func (i *inbox) submit(f func()) bool {
	i.posting.Add(1)
	defer i.posting.Add(-1)
	if i.closed.Load() {
		return false
	}
	i.post(message{task: f})
	return true
}

// called has u do what it was called for: submit of u.runCalls, which allocates nothing. Once at a
// time.
func (i *inbox) called(u *Upstream) {
	i.posting.Add(1)
	defer i.posting.Add(-1)
	if i.closed.Load() { // its processor is about to end it
		return
	}
	for {
		u.nextCalled = i.upstreams.Load()
		if i.upstreams.CompareAndSwap(u.nextCalled, u) {
			break
		}
	}
	i.wakeFlag.Notify()
}

// runUpstreams has those do so that were called, in their order. One that does not return is not
// asked again.
func (i *inbox) runUpstreams() {
	if i.upstreams.Load() != nil {
		var first *Upstream
		for u := i.upstreams.Swap(nil); u != nil; {
			next := u.nextCalled
			u.nextCalled, first = first, u
			u = next
		}
		last := &i.due
		for *last != nil { // those behind one that did not return
			last = &(*last).nextCalled
		}
		*last = first
	}
	for i.due != nil {
		u := i.due
		i.due, u.nextCalled = u.nextCalled, nil // runCalls has it be called again
		u.runCalls()
	}
}

// submitOnce is submit, unless the same waits already. Order: it is taken off before f
// looks at anything, so f sees what was there before the last call.
func (i *inbox) submitOnce(what once, f func()) {
	waits := &i.once[what]
	if waits.CompareAndSwap(false, true) {
		i.submit(func() {
			waits.Store(false)
			f()
		})
	}
}

// ask asks for a phase, if it is a later one. Any goroutine.
func (i *inbox) ask(ph conn.Phase) {
	for {
		old := i.phase.Load()
		if old >= uint32(ph) {
			return
		}
		if i.phase.CompareAndSwap(old, uint32(ph)) {
			i.wakeFlag.Notify()
			return
		}
	}
}

// wanted is the phase that was asked for. Any goroutine.
func (i *inbox) wanted() conn.Phase { return conn.Phase(i.phase.Load()) }

// open does the tasks that were posted so far, and sets connections aside for adopt. A task
// that does not return is not done again.
func (i *inbox) open() {
	i.runUpstreams()
	if i.messages.HasItems() {
		i.messages.Drain(func(m message) {
			if m.task != nil {
				i.tasks = append(i.tasks, m.task)
			} else {
				i.arrived = append(i.arrived, m)
			}
		}, -1)
	}
	for i.begun < len(i.tasks) { // those that they post run in the next pass
		f := i.tasks[i.begun]
		i.tasks[i.begun] = nil
		i.begun++
		f()
	}
	i.tasks, i.begun = i.tasks[:0], 0
}

// adopt gives up to most connections to f, oldest first. One that f does not return from is
// not given to it again.
func (i *inbox) adopt(f func(message), most int) {
	for n := min(i.waiting(), most); n > 0; n-- {
		m := i.arrived[i.first]
		i.arrived[i.first] = message{}
		i.first++
		i.expected.Add(-1)
		f(m)
	}
	if i.first > 0 && i.first >= len(i.arrived)/2 { // of very many, few copies
		left := copy(i.arrived, i.arrived[i.first:])
		clear(i.arrived[left:])
		i.arrived, i.first = i.arrived[:left], 0
	}
}

// waiting is how many connections are set aside.
func (i *inbox) waiting() int { return len(i.arrived) - i.first }

// empty says that nothing here asks for another pass of a processor in this phase.
func (i *inbox) empty(now conn.Phase) bool {
	return i.expected.Load() == 0 && !i.answers.Waiting() && !i.messages.HasItems() && i.upstreams.Load() == nil && i.wanted() == now
}

// refuse takes no connection any more, and gives f those that were not adopted.
func (i *inbox) refuse(f func(message)) {
	i.ask(conn.Abandoned)
	for i.expected.Load() > 0 { // Order: as in expect: who was counted before has posted, or will in a moment
		i.open()
		i.adopt(f, i.waiting())
		runtime.Gosched()
	}
}

// close does the tasks that are left and takes nothing more.
func (i *inbox) close() {
	i.closed.Store(true)
	for i.posting.Load() > 0 { // Order: who was counted before closed was set has posted, or will in a moment
		runtime.Gosched()
	}
	i.open()
}

// Pass is closed when the processor begins its next pass, or has ended. All who ask before
// that get the same, so that nothing piles up. Any goroutine.
func (p *Processor) Pass() <-chan struct{} {
	i := &p.inbox
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.passing != nil {
		return i.passing
	}
	next := make(chan struct{})
	i.passing = next
	if !i.submit(i.passed) {
		i.passing = nil
		close(next)
	}
	return next
}

func (i *inbox) passed() {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.passing)
	i.passing = nil
}
