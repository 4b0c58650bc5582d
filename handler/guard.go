package handler

import (
	"sync/atomic"
	"time"

	"kring/reqchan"
)

const (
	// guardTick is how often the guard looks; a request is held up by one that
	// it is not concerned with for at most two.
	guardTick = time.Millisecond
	// guardQuietTicks is after how many looks for nothing the guard sleeps.
	guardQuietTicks = 50
)

// guard frees requests and answers from goroutines that are stuck in Handle. It
// looks only while somebody holds a batch of several.
type guard struct {
	pool *Pool
	// awake: Order: the guard stores false before it looks a last time; who
	// begins a batch publishes it before it loads this.
	awake atomic.Bool
	wake  chan struct{} // holds a token for the guard that sleeps
	stop  chan struct{}
	gone  chan struct{}
}

func (g *guard) init(p *Pool) {
	g.pool = p
	g.wake = make(chan struct{}, 1)
	g.stop = make(chan struct{})
	g.gone = make(chan struct{})
}

// ensure makes sure that the guard looks.
func (g *guard) ensure() {
	if !g.awake.Load() && g.awake.CompareAndSwap(false, true) {
		select {
		case g.wake <- struct{}{}:
		default: // a token that it has not seen yet
		}
	}
}

func (g *guard) run() {
	defer close(g.gone)
	ticker := time.NewTicker(guardTick)
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-g.stop:
			return
		case <-g.wake:
		}
		ticker.Reset(guardTick)
		if !g.watch(ticker) {
			return
		}
	}
}

// watch looks until there has been nothing to guard for a while; false when the
// guard was stopped.
func (g *guard) watch(ticker *time.Ticker) bool {
	for {
		g.awake.Store(true)
		for quiet := 0; quiet < guardQuietTicks; quiet++ {
			select {
			case <-g.stop:
				return false
			case <-ticker.C:
			}
			if g.look() {
				quiet = 0
			}
		}
		g.awake.Store(false)
		if !g.look() {
			return true
		}
	}
}

func (g *guard) close() {
	close(g.stop)
	<-g.gone
}

// look frees the hostages of those who are at the same request as the last
// time; it says whether anybody could have hostages.
func (g *guard) look() (held bool) {
	p := g.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.runners {
		c := claim(h.claim.Load())
		if c.holds() {
			held = true
			if c == h.seen {
				h.free(c)
			}
		}
		h.seen = c
	}
	return held
}

// free takes the hostages of a goroutine that was at c, unless it went on.
func (h *runner) free(c claim) {
	h.lending.Lock()
	defer h.lending.Unlock()
	if !h.claim.CompareAndSwap(uint64(c), uint64(c.freed())) {
		return
	}
	reqchan.Return(h.begun[c.homed():c.finished()])
	if c.run() >= c.end() {
		return
	}
	rest := h.taken[c.run():c.end()]
	h.pool.strays.add(rest)
	h.pool.freed.Add(uint64(len(rest)))
	h.pool.channel.Rouse()
}
