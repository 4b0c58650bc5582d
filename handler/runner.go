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

	claim atomic.Uint64 // a claim: who owns which part of items
	// lending is held by the guard while it reads items.
	lending sync.Mutex
	items   []*reqchan.Job // the batch; nil: answered later, by somebody else

	// Owner: the goroutine, all that follows.
	open     bool // claim has a batch that was not brought home
	alone    bool // the batch is one request: nobody can be its hostage
	inHandle bool
	drained  bool // the channel is closed and empty
	at       int  // the request that Handle was called for
	round    int
	started  int64 // when the batch was taken, by measure.Now
	began    int64 // when the request did that Handle was called for, as far as is known
	each     bool  // every request of the batch is timed

	seen claim // Owner: the guard
}

func newRunner(p *Pool) *runner {
	h := &runner{pool: p, items: make([]*reqchan.Job, p.cfg.BatchMax), born: measure.Now()}
	h.receiver = p.channel.NewReceiver(func() bool { return h.dismissed.Load() || p.strays.waiting() })
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
		case n > 1:
			h.begin(n)
			h.handleBatch()
		case n == 1:
			h.handleOne()
		case !ok:
			return false
		}
	}
}

// take finds requests for this goroutine; false when it has to leave.
func (h *runner) take() (n int, ok bool) {
	p := h.pool
	if h.dismissed.Load() {
		return 0, false
	}
	into := h.items[:p.batch()]
	if n = p.strays.take(into); n > 0 {
		h.started = measure.Now()
	} else {
		n, ok = h.receiver.Receive(into)
		h.started = h.receiver.TakenAt()
	}
	if p.strays.waiting() { // somebody else's, if this one is busy now
		if n > 0 {
			p.channel.Rouse()
		}
		return n, true
	}
	h.drained = n == 0 && !ok
	return n, !h.drained
}

// begin publishes a batch of several to the guard.
func (h *runner) begin(n int) {
	h.began, h.each = h.started, h.pool.pace.Load() >= timedFromNanos
	h.round++
	h.open = true
	h.claim.Store(uint64(newClaim(h.round, n)))
	h.pool.guard.ensure()
}

// handleBatch goes on with the batch to its end.
func (h *runner) handleBatch() {
	for {
		c := claim(h.claim.Add(uint64(begunOne)))
		if !c.open() {
			h.bringHome(c)
			return
		}
		h.at = c.finished()
		h.handle()
	}
}

// handleOne is for one request, whose answer goes home at once.
func (h *runner) handleOne() {
	h.round++
	h.began, h.each = h.started, h.round%paceEvery == 0 || h.pool.pace.Load() >= timedFromNanos
	h.at, h.alone = 0, true
	h.handle()
	h.alone = false
	reqchan.Return(h.items[:1])
	if h.each {
		h.pool.took(1, time.Duration(h.began-h.started))
	}
}

func (h *runner) handle() {
	r := h.items[h.at]
	r.Times.Taken = h.began
	h.inHandle = true
	if h.pool.cfg.Responses.Tight() && r.Early() {
		r.Postpone()
	} else {
		h.pool.cfg.Handle(r.Request())
	}
	h.inHandle = false
	if h.each || !r.Answered() {
		now := measure.Now()
		r.Times.Local, h.began = now-h.began, now
	}
	if !r.HandleReturned() {
		h.items[h.at] = nil
	}
}

// bringHome ends the batch.
func (h *runner) bringHome(c claim) {
	h.open = false
	if c.lent() { // the guard may still be reading; items must stay until it lets go
		h.lending.Lock()
		defer h.lending.Unlock()
	}
	n, took := max(c.end(), 1), measure.Now()-h.started
	answered := h.items[c.homed():c.end()]
	if !h.each {
		for _, r := range answered {
			if r != nil {
				r.Times.Local = took / int64(n)
			}
		}
	}
	reqchan.Return(answered)
	h.pool.took(n, time.Duration(took))
}

// survive is deferred by work. It answers for a Handle that did not return.
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
	r := h.items[h.at]
	if !r.Answered() {
		r.Request().CloseConnection(reqchan.HandlerPanicked)
	}
	h.pool.cfg.Panicked(r.Request(), v, debug.Stack())
	if !r.HandleReturned() { // another goroutine has it, and is about to answer
		h.items[h.at] = nil
	}
	if h.alone {
		h.alone = false
		reqchan.Return(h.items[:1])
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
	if p.strays.waiting() {
		p.channel.Rouse() // it may have been roused for them
	}
	p.gone.Done()
	return true
}
