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

// runner is one place in the pool: a goroutine and the run that it handles. The
// goroutine may be replaced (runtime.Goexit), the place stays.
type runner struct {
	pool      *Pool
	receiver  *reqchan.Receiver
	born      int64       // by measure.Now
	dismissed atomic.Bool // the pool became smaller

	claim atomic.Uint64 // a claim: who brings which of begun home; 0: no run of several
	// lending is held by the guard while it reads begun.
	lending sync.Mutex
	// begun are the requests of the run that Handle was called for; nil: answered later,
	// by somebody else.
	begun [reqchan.RunMax]*reqchan.Job

	// Owner: the goroutine, all that follows.
	taken    [1]*reqchan.Job
	n        int  // of begun
	alone    bool // the run is one request: it holds up nobody
	inHandle bool
	drained  bool // the channel is closed and empty
	round    uint64
	started  int64 // when the run was taken, by measure.Now
	at       int64 // when the request was begun that Handle was called for, as far as is known
	each     bool  // every request of the run is timed

	seen claim // Owner: the guard
}

func newRunner(p *Pool) *runner {
	h := &runner{pool: p, born: measure.Now()}
	h.receiver = p.channel.NewReceiver(h.dismissed.Load)
	return h
}

// run is the goroutine's life.
func (h *runner) run() {
	for h.work() || !h.leave() {
	}
}

// work handles runs until there will be no more, or until Handle did not return;
// then it says true.
func (h *runner) work() (again bool) {
	defer h.survive(&again)
	for !h.dismissed.Load() {
		n, ok := h.receiver.Receive(h.taken[:])
		if n == 0 {
			if !ok {
				h.drained = true
				return false
			}
			continue
		}
		if r := h.taken[0]; r.InRun() == 1 {
			h.handleOne(r)
		} else {
			h.handleRun(r)
		}
	}
	return false
}

// handleRun handles the run that r begins, as far as nothing speaks against it.
func (h *runner) handleRun(r *reqchan.Job) {
	h.prepare(h.pool.pace.Load() >= timedFromNanos)
	h.claim.Store(uint64(newClaim(h.round)))
	h.pool.guard.ensure()
	for r != nil {
		h.begun[h.n] = r
		h.n++
		h.claim.Add(uint64(begunOne))
		r = h.handle(r)
	}
	h.bringHome()
}

// handleOne is for one request, whose answer goes home at once.
func (h *runner) handleOne(r *reqchan.Job) {
	h.prepare(h.round%paceEvery == 0 || h.pool.pace.Load() >= timedFromNanos)
	h.begun[0], h.n, h.alone = r, 1, true
	h.handle(r)
	h.alone = false
	reqchan.Return(h.begun[:1])
	if h.each {
		h.pool.took(1, time.Duration(h.at-h.started))
	}
}

func (h *runner) prepare(each bool) {
	h.round++
	h.n, h.started, h.each = 0, h.receiver.TakenAt(), each
	h.at = h.started
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
	if !r.HandleReturned() {
		h.begun[h.n-1] = nil
		return nil
	}
	if h.at-h.started >= worthNanos || claim(h.claim.Load()).lent() {
		return nil // others wait
	}
	return r.NextInRun()
}

// bringHome ends the run.
func (h *runner) bringHome() {
	c := claim(h.claim.Swap(0))
	if c.lent() { // the guard may still be reading; begun must stay until it lets go
		h.lending.Lock()
		defer h.lending.Unlock()
	}
	took := measure.Now() - h.started
	answered := h.begun[c.homed():h.n]
	if !h.each {
		for _, r := range answered {
			if r != nil {
				r.Times.Local = took / int64(h.n)
			}
		}
	}
	reqchan.Return(answered)
	h.pool.took(h.n, time.Duration(took))
}

// survive is deferred by work. It answers for a Handle that did not return, and ends
// the run.
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
	if !r.HandleReturned() { // another goroutine has it, and is about to answer
		h.begun[h.n-1] = nil
	}
	if h.alone {
		h.alone = false
		reqchan.Return(h.begun[:1])
	} else {
		h.bringHome()
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
	p.gone.Done()
	return true
}
