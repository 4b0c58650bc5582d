package handler

import (
	"sync/atomic"
	"time"

	"kring/reqchan"
)

const (
	// watchdogTick is how often the watchdog looks; a request is held up by one that
	// it is not concerned with for at most two.
	watchdogTick = time.Millisecond
	// watchdogQuietTicks is after how many looks for nothing the watchdog sleeps.
	watchdogQuietTicks = 50
)

// watchdog frees requests and answers from goroutines that are stuck in Handle. It
// looks only while somebody holds a batch of several.
type watchdog struct {
	pool *Pool
	// awake: Order: the watchdog stores false before it looks a last time; who
	// begins a batch publishes it before it loads this.
	awake atomic.Bool
	wake  chan struct{} // holds a token for the watchdog that sleeps
	stop  chan struct{}
	gone  chan struct{}
}

func (g *watchdog) init(p *Pool) {
	g.pool = p
	g.wake = make(chan struct{}, 1)
	g.stop = make(chan struct{})
	g.gone = make(chan struct{})
}

// ensure makes sure that the watchdog looks.
func (g *watchdog) ensure() {
	if !g.awake.Load() && g.awake.CompareAndSwap(false, true) {
		select {
		case g.wake <- struct{}{}:
		default: // a token that it has not seen yet
		}
	}
}

func (g *watchdog) run() {
	defer close(g.gone)
	ticker := time.NewTicker(watchdogTick)
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-g.stop:
			return
		case <-g.wake:
		}
		ticker.Reset(watchdogTick)
		if !g.watch(ticker) {
			return
		}
	}
}

// watch looks until there has been nothing to free for a while; false when the
// watchdog was stopped.
func (g *watchdog) watch(ticker *time.Ticker) bool {
	for {
		g.awake.Store(true)
		for quiet := 0; quiet < watchdogQuietTicks; quiet++ {
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

func (g *watchdog) close() {
	close(g.stop)
	<-g.gone
}

// look frees what is stuck with those who are at the same request as the last
// time; it says whether anybody could hold up others.
func (g *watchdog) look() (held bool) {
	p := g.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.runners {
		c := batchCursor(h.cursor.Load())
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

// free takes what is stuck with a goroutine that was at c, unless it went on.
func (h *runner) free(c batchCursor) {
	h.lending.Lock()
	defer h.lending.Unlock()
	if !h.cursor.CompareAndSwap(uint64(c), uint64(c.freed())) {
		return
	}
	reqchan.Return(h.begun[c.returned():c.finished()])
	if c.run() >= c.end() {
		return
	}
	rest := h.taken[c.run():c.end()]
	h.pool.stolen.add(rest)
	h.pool.freed.Add(uint64(len(rest)))
	h.pool.channel.Rouse()
}
