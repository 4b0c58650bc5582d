package handler

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"kring/internal/budget"
	"kring/internal/measure"
	"kring/reqchan"
)

// Config says what a Pool runs.
type Config struct {
	// Handlers is how many goroutines call Handle; 0 means 8, as in Kafka
	// (num.io.threads).
	Handlers int
	// BatchMax is how many runs a goroutine takes at once at most, 1 to
	// 32767; 0 means 64. Fewer are taken when they take long: see worthNanos.
	BatchMax int
	// Handle answers a request, or sees to it that it is answered later. It may
	// block, panic and call runtime.Goexit; one that has given its request to
	// another goroutine must not do the latter two any more.
	Handle func(reqchan.Request)
	// Panicked is called after Handle panicked or called runtime.Goexit (then v
	// is ErrGoexit), on Handle's goroutine, before the request is brought home.
	// It must not block or panic. nil: nobody is told.
	Panicked func(r reqchan.Request, v any, stack []byte)
	// Responses bounds the memory of responses: while it is short, requests that may
	// need much of it go home unanswered, to come again. nil: nothing does.
	Responses *budget.Budget
}

const (
	handlersDefault = 8
	batchMaxDefault = 64

	// worthNanos is how much work a goroutine takes at once, and for how long it goes
	// on with one run. It bounds how long an answer waits for those behind it, and is
	// many times what taking a batch costs.
	worthNanos = 50_000
	// paceShare: one batch changes the pool's idea of what a request costs by
	// this part of the difference.
	paceShare = 8
	// paceEvery: requests that come one by one are timed only now and then, and
	// those of a batch together, while they take less than timedFromNanos: the
	// clock costs some 25 ns.
	paceEvery      = 8
	lengthOne      = 64
	timedFromNanos = 1000
)

// ErrGoexit is what Panicked is told when Handle called runtime.Goexit.
var ErrGoexit = errors.New("handler called runtime.Goexit")

func (cfg Config) withDefaults() Config {
	if cfg.Handlers == 0 {
		cfg.Handlers = handlersDefault
	}
	if cfg.BatchMax == 0 {
		cfg.BatchMax = batchMaxDefault
	}
	if cfg.Panicked == nil {
		cfg.Panicked = func(reqchan.Request, any, []byte) {}
	}
	return cfg
}

// Validate reports every fault at once.
func (cfg Config) Validate() error {
	var faults []error
	if cfg.Handlers < 0 {
		faults = append(faults, fmt.Errorf("Handlers is %d: use 1 or more, or 0 for %d", cfg.Handlers, handlersDefault))
	}
	if cfg.BatchMax < 0 || cfg.BatchMax >= batchMaxLimit {
		faults = append(faults, fmt.Errorf("BatchMax is %d: use 1 to %d, or 0 for %d",
			cfg.BatchMax, batchMaxLimit-1, batchMaxDefault))
	}
	if cfg.Handle == nil {
		faults = append(faults, errors.New("Handle is nil: say what answers a request"))
	}
	return errors.Join(faults...)
}

// Pool is the handler goroutines. Its methods may be called by any goroutine.
type Pool struct {
	cfg      Config
	channel  *reqchan.Channel
	stolen   stolenRuns
	watchdog watchdog

	pace   atomic.Int64 // what a request costs, in nanoseconds
	length atomic.Int64 // of a run, in lengthOne of a request
	panics atomic.Uint64
	freed  atomic.Uint64

	gone    sync.WaitGroup // the goroutines that call Handle
	mu      sync.Mutex
	runners []*runner // guarded by mu
	wanted  int       // guarded by mu
	started bool      // guarded by mu
	closed  bool      // guarded by mu
	// Of goroutines that have left, in nanoseconds; guarded by mu.
	leftIdle, leftAlive int64
}

// Stats is what a Pool is doing.
type Stats struct {
	Handlers int    // goroutines that call Handle
	Idle     int    // of these, asleep for want of requests
	Busy     int    // of these, not asleep
	Panics   uint64 // how often Handle panicked or called runtime.Goexit
	Freed    uint64 // runs taken from a goroutine that was stuck before them
	// IdleNanos is how long goroutines slept for want of requests, AliveNanos how
	// long they existed, summed over all that ever did.
	IdleNanos, AliveNanos int64
}

// NewPool makes a Pool that takes its requests from ch. cfg must be valid.
func NewPool(cfg Config, ch *reqchan.Channel) *Pool {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		panic("kring: handler pool: " + err.Error())
	}
	p := &Pool{cfg: cfg, channel: ch, wanted: cfg.Handlers}
	p.pace.Store(worthNanos) // until something is known, one by one
	p.length.Store(lengthOne)
	p.watchdog.init(p)
	return p
}

// Start starts the goroutines.
func (p *Pool) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.closed {
		return
	}
	p.started = true
	go p.watchdog.run()
	p.adjust()
}

// Resize changes how many goroutines call Handle, to n >= 1. Those that are too
// many leave after the batch they hold.
func (p *Pool) Resize(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = max(n, 1)
	if p.started && !p.closed {
		p.adjust()
	}
}

// Close waits until every request that the channel accepted has been handled
// and every goroutine has left. The channel must have been closed.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	started := p.started
	p.started = false
	p.mu.Unlock()
	if started {
		p.gone.Wait()
		p.watchdog.close()
	}
}

// Stats may be asked at any time; the numbers are a moment's.
func (p *Pool) Stats() Stats {
	s := Stats{Panics: p.panics.Load(), Freed: p.freed.Load()}
	now := measure.Now()
	p.mu.Lock()
	s.Handlers = len(p.runners)
	s.IdleNanos, s.AliveNanos = p.leftIdle, p.leftAlive
	for _, h := range p.runners {
		s.IdleNanos += h.receiver.Idle(now)
		s.AliveNanos += max(now-h.born, 0)
	}
	p.mu.Unlock()
	s.Idle = min(p.channel.Sleeping(), s.Handlers)
	s.Busy = s.Handlers - s.Idle
	return s
}

// adjust starts or dismisses goroutines; it needs mu.
func (p *Pool) adjust() {
	for i, h := range p.runners {
		h.dismissed.Store(i >= p.wanted)
	}
	for len(p.runners) < p.wanted {
		h := newRunner(p)
		p.runners = append(p.runners, h)
		p.gone.Add(1)
		go h.run()
	}
	p.channel.RouseAll() // those who are dismissed in their sleep
}

// batch is how many runs are worth taking at once.
func (p *Pool) batch() int {
	return int(min(max(worthNanos*lengthOne/max(p.pace.Load()*p.length.Load(), 1), 1), int64(p.cfg.BatchMax)))
}

// took learns from n requests of so many runs that took d. Goroutines may overwrite each
// other's lesson: they learn the same.
func (p *Pool) took(n, runs int, d time.Duration) {
	// Bounded, so that one that blocked is forgotten after a few that did not.
	sample := min(int64(d)/int64(n), 2*worthNanos)
	pace := p.pace.Load()
	p.pace.Store(pace + (sample-pace)/paceShare)
	if length := p.length.Load(); length != lengthOne || n != runs {
		p.length.Store(max(length+(int64(n*lengthOne/runs)-length)/paceShare, lengthOne))
	}
}

// stolenRuns are runs that were taken from a goroutine that is stuck. They are
// older than what is in the channel and go first.
type stolenRuns struct {
	count atomic.Int32 // stored under mu, read without
	mu    sync.Mutex
	runs  []*reqchan.Job // guarded by mu
}

func (s *stolenRuns) add(runs []*reqchan.Job) {
	s.mu.Lock()
	s.runs = append(s.runs, runs...)
	s.count.Store(int32(len(s.runs)))
	s.mu.Unlock()
}

func (s *stolenRuns) waiting() bool { return s.count.Load() > 0 }

func (s *stolenRuns) take(into []*reqchan.Job) int {
	if !s.waiting() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := copy(into, s.runs)
	left := copy(s.runs, s.runs[n:])
	clear(s.runs[left:])
	s.runs = s.runs[:left]
	s.count.Store(int32(left))
	return n
}
