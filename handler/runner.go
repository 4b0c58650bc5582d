package handler

import (
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kring/internal/measure"
	"kring/reqchan"
)

// runner is one place in the pool: a goroutine and its batch. The goroutine may
// be replaced (runtime.Goexit), the place stays.
type runner struct {
	pool      *Pool
	receiver  *reqchan.Receiver
	born      int64       // by measure.Now
	dismissed atomic.Bool // the pool became smaller

	cursor atomic.Uint64 // a batchCursor: who owns which part of taken and begun; 0: there is no batch
	// lending is held by the watchdog while it reads these.
	lending sync.Mutex
	taken   []*reqchan.Job // the batch: runs
	// begun are the requests of it that Handle was called for; nil: answered later, by
	// somebody else.
	begun [begunMax]*reqchan.Job

	// Owner: the goroutine, all that follows.
	open     bool // cursor has a batch that was not brought home
	alone    bool // the batch is one request: it can hold up nobody
	inHandle bool
	drained  bool // the channel is closed and empty
	n        int  // of begun
	round    int
	started  int64 // when the batch was taken, by measure.Now
	runAt    int64 // when the run was begun, as far as is known
	at       int64 // the same, of the request that Handle was called for
	each     bool  // every request of the batch is timed

	seen batchCursor // Owner: the watchdog
}

func newRunner(p *Pool) *runner {
	h := &runner{pool: p, taken: make([]*reqchan.Job, p.cfg.BatchMax), born: measure.Now()}
	h.receiver = p.channel.NewReceiver(func() bool { return h.dismissed.Load() || p.stolen.waiting() })
	return h
}

// run is the goroutine's life.
func (h *runner) run() {
	for h.work() || !h.leave() {
	}
}

// work handles batches until there will be no more, or until Handle did
// not return; then it says true.
func (h *runner) work() (again bool) {
	defer h.survive(&again)
	if h.open {
		h.handleBatch()
	}
	for {
		n, ok := h.take()
		switch {
		case n == 1 && h.taken[0].InRun() == 1:
			h.handleOne(h.taken[0])
		case n > 0:
			h.each = h.pool.pace.Load() >= timedFromNanos
			h.begin(n)
			h.handleBatch()
		case !ok:
			return false
		}
	}
}

// take finds runs for this goroutine; false when it has to leave.
func (h *runner) take() (n int, ok bool) {
	p := h.pool
	if h.dismissed.Load() {
		return 0, false
	}
	into := h.taken[:p.batch()]
	if n = p.stolen.take(into); n > 0 {
		h.started = measure.Now()
	} else {
		n, ok = h.receiver.Receive(into)
		h.started = h.receiver.TakenAt()
	}
	h.at = h.started
	if p.stolen.waiting() { // somebody else's, if this one is busy now
		if n > 0 {
			p.channel.Rouse()
		}
		return n, true
	}
	h.drained = n == 0 && !ok
	return n, !h.drained
}

// begin publishes a batch to the watchdog.
func (h *runner) begin(n int) {
	h.round++
	h.n, h.open = 0, true
	h.cursor.Store(uint64(newBatchCursor(h.round, n)))
	h.pool.watchdog.ensure()
}

// handleBatch goes on with the batch to its end.
func (h *runner) handleBatch() {
	for {
		if h.n == begunMax { // there is no room for more answers
			left := h.bringHome()
			if left == 0 {
				return
			}
			h.started = measure.Now()
			h.at = h.started
			h.begin(left)
		}
		c := batchCursor(h.cursor.Add(uint64(runOne)))
		if !c.open() {
			h.bringHome()
			return
		}
		h.runAt = h.at
		h.handleRun(h.taken[c.run()-1])
	}
}

// handleRun handles the run that r begins, as far as nothing speaks
// against it.
func (h *runner) handleRun(r *reqchan.Job) {
	for {
		h.begun[h.n] = r
		h.n++
		if r = h.handle(r); r == nil {
			return
		}
		h.cursor.Add(uint64(begunOne))
	}
}

// handleOne is for one request, whose answer goes home at once.
func (h *runner) handleOne(r *reqchan.Job) {
	h.round++
	h.runAt, h.each = h.started, h.round%paceEvery == 0 || h.pool.pace.Load() >= timedFromNanos
	h.begun[0], h.n, h.alone = r, 1, true
	h.handle(r)
	h.alone = false
	reqchan.Return(h.begun[:1])
	if h.each {
		h.pool.took(1, 1, time.Duration(h.at-h.started))
	}
}

// handle calls Handle for r, and gives the request to be begun next; nil: the run
// is over, and r is somebody else's, or goes home with what is behind it.
func (h *runner) handle(r *reqchan.Job) (next *reqchan.Job) {
	r.Times.Taken = h.at
	h.inHandle = true
	if h.pool.cfg.Responses.Tight() && r.Early() {
		r.Postpone()
	} else {
		h.pool.cfg.Handle(r.Request())
	}
	h.inHandle = false
	if h.each || !r.Answered() {
		now := measure.Now()
		r.Times.Local, h.at = now-h.at, now
	}
	if !h.handleReturned(r) {
		return nil
	}
	if r.Behind() == nil || h.at-h.runAt >= worthNanos || h.n == begunMax || batchCursor(h.cursor.Load()).lent() {
		return nil // there is no more, or others wait
	}
	return r.NextInRun()
}

// handleReturned says that the answer to r is there; else it will come later, and r is
// somebody else's.
func (h *runner) handleReturned(r *reqchan.Job) bool {
	if r.Follows() && !r.Answered() {
		h.bringHomeFinished()
	}
	if r.HandleReturned() {
		return true
	}
	h.begun[h.n-1] = nil
	return false
}

// bringHomeFinished brings home what was answered before the request in Handle. Order: those
// before it in its run are answers to the same connection, and are home before whoever
// answers it may bring it home.
func (h *runner) bringHomeFinished() {
	h.lending.Lock() // the watchdog may be doing the same
	defer h.lending.Unlock()
	c := batchCursor(h.cursor.Load())
	finished := h.begun[c.returned():c.finished()]
	h.cursor.Store(uint64(c.afterReturn())) // the watchdog changes it under the mutex only
	reqchan.Return(finished)
}

// bringHome ends the batch. It says how many runs of it are left, at the beginning of
// taken: only when there is no room for their answers.
func (h *runner) bringHome() (left int) {
	c := batchCursor(h.cursor.Swap(0))
	h.open = false
	if c.lent() { // the watchdog may still be reading; the batch must stay until it lets go
		h.lending.Lock()
		defer h.lending.Unlock()
	}
	runs := min(c.run(), c.end())
	took := measure.Now() - h.started
	answered := h.begun[c.returned():h.n]
	if n := int64(h.n); !h.each && n > 0 {
		for _, r := range answered {
			if r != nil {
				r.Times.Local = took / n
			}
		}
	}
	reqchan.Return(answered)
	if h.n > 0 {
		h.pool.took(h.n, max(runs, 1), time.Duration(took))
	}
	if c.open() {
		left = copy(h.taken, h.taken[runs:c.end()])
	}
	return left
}

// survive is deferred by work. It answers for a Handle that did not return, and ends
// its run.
func (h *runner) survive(again *bool) {
	if !h.inHandle {
		return
	}
	v := recover()
	h.inHandle = false
	goexit := v == nil // a panic with nil has a value of its own
	if goexit {
		v = ErrGoexit
	}
	h.pool.panics.Add(1)
	r := h.begun[h.n-1]
	if !r.Answered() {
		r.Request().CloseConnection(reqchan.HandlerPanicked)
	}
	h.pool.cfg.Panicked(r.Request(), v, debug.Stack())
	h.handleReturned(r) // if not, another goroutine has it, and is about to answer
	if h.alone {
		h.alone = false
		reqchan.Return(h.begun[:1])
	}
	*again = true
	if goexit { // this goroutine can't be kept; its place is
		go h.run()
	}
}

// leave gives the place up; false if it is wanted after all.
func (h *runner) leave() bool {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !h.drained && len(p.runners) <= p.wanted {
		h.dismissed.Store(false)
		return false
	}
	now := measure.Now()
	p.leftIdle += h.receiver.Idle(now)
	p.leftAlive += now - h.born
	p.runners = slices.DeleteFunc(p.runners, func(other *runner) bool { return other == h })
	if p.stolen.waiting() {
		p.channel.Rouse() // it may have been roused for them
	}
	p.gone.Done()
	return true
}
