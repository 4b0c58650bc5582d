package processor

import (
	"sync"
	"sync/atomic"
)

// errands are what other goroutines want done on the owner's.
type errands struct {
	waiting atomic.Bool // stored under mu, read without
	mu      sync.Mutex
	list    []func() // guarded by mu
	closed  bool     // guarded by mu
	once    [onceCount]atomic.Bool
	listing *Listing // guarded by mu; has not begun
}

// once names errands of which one is enough, however often they are asked for: on a
// processor that its handler blocks they would pile up.
type once int

const (
	onceRefresh once = iota
	onceShed
	onceCount
)

// doOnce is do, unless the same waits already. Order: it is taken off before f
// looks at anything, so f sees what was there before the last call.
func (p *Processor) doOnce(what once, f func()) {
	waits := &p.errands.once[what]
	if waits.CompareAndSwap(false, true) {
		p.do(func() {
			waits.Store(false)
			f()
		})
	}
}

// do has f run on the processor's goroutine, between two passes, soon. f may
// look at and touch what the processor owns, and must not block. false: the
// processor has ended, and f will not run. Any goroutine.
func (p *Processor) do(f func()) bool {
	e := &p.errands
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return false
	}
	e.list = append(e.list, f)
	e.waiting.Store(true)
	e.mu.Unlock()
	p.bell.Ring()
	return true
}

// runErrands does what was asked for so far.
func (p *Processor) runErrands() {
	e := &p.errands
	if !e.waiting.Load() {
		return
	}
	e.mu.Lock()
	list := e.list
	e.list = nil
	e.waiting.Store(false)
	e.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// endErrands does what is left and takes nothing more.
func (p *Processor) endErrands() {
	p.errands.mu.Lock()
	p.errands.closed = true
	p.errands.mu.Unlock()
	p.runErrands()
}
