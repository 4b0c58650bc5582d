package processor

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"kring/engine"
	"kring/internal/measure"
	"kring/internal/queue"
	"kring/internal/slab"
	"kring/reqchan"
)

const (
	completionsPerPoll = 256
	adoptedPerPassMax  = 20 // Kafka's ConnectionQueueSize
	// handOverFrom is after how many requests those are handed on before more are cut:
	// their memory is still in the cache then, and the request channel is about full.
	handOverFrom   = 500
	headsPageBytes = 4 << 10
)

// Processor is one event loop; see the package comment for who owns what.
type Processor struct {
	cfg     Config
	bell    *queue.Doorbell
	engine  engine.Engine
	patient engine.PatientSender          // nil: the engine is none
	waiter  engine.PatientWaiter          // nil: the engine is none
	teller  engine.ProgressTeller         // nil: the engine is none
	ready   atomic.Pointer[engine.Engine] // what the bell wakes

	// From other goroutines.
	assigned    *queue.ManyToOne[socket]
	assignedLen atomic.Int64
	load        atomic.Int64 // connections assigned and not ended
	responses   *reqchan.ResponseQueue
	errands     errands
	filing      sync.WaitGroup               // goroutines that read files for us
	asked       atomic.Uint32                // the phase that others want
	heirs       atomic.Pointer[[]*Processor] // who gets the connections of a retiring one; set before it is
	drained     chan struct{}                // closed when no connection is left to drain
	ended       chan struct{}                // closed when Run has returned

	// Owner: the goroutine in Run, all that follows.
	arena      *slab.Arena
	doors      []Door     // nil: free
	gone       bool       // the engine is closed
	late       sync.Mutex // held by whoever has what was the owner's, once Run has ended
	ordinary   outgoing
	priority   outgoing
	limiter    *limiter // nil: no latency target
	conns      []*conn
	free       []uint32
	heads      [][]byte // memory for sizes of big frames, to be reused
	headPages  [][]byte // what heads lie in
	jobs       reqchan.Jobs
	outs       []*outbound // free ones, to be reused
	dirty      []*conn     // have output that no Send covers
	given      []*conn     // got a Send since the last Poll
	waiting    []*conn     // could not go on for want of memory or a buffer
	movers     []*conn     // may be handed over
	heirTurn   int
	handedOver int   // requests that were published since handlers were let run
	rounds     int   // that handlers were let run in this pass
	gatherFrom int64 // when the first of them began
	gatherFor  int64 // how long after it there is to be no further one
	credit     int64 // of the channel's bytes, reserved and unused
	heldCredit int64 // of Config.Held, taken and unused
	scarce     bool  // what is held is beyond Config.Held
	swept      int   // slots that were told so
	hungry     hungry
	output     int64                     // bytes of responses that are counted here, see holdOutput
	paid       int64                     // what they count for in the budget of all responses
	later      map[*reqchan.Job]struct{} // wait for room for their response
	hurried    int64                     // when hurry looked last
	away       int                       // requests outside this goroutine's hands
	phase      phase
	openConns  int   // adopted and not closed
	now        int64 // of reqchan.Now at the start of the pass
	waited     int64 // before now, after the Sends that completed with it were out
	wheel      wheel
	alarms     alarms
	count      counts
	done       [completionsPerPoll]engine.Completion
	reaped     int          // of done, by the last Poll
	completed  int          // of these
	fresh      int          // requests for the channel that were cut since completeSome began
	direct     *reqchan.Job // the last one of handlers that run here, unless it is still needed
	inHandle   bool         // one of them runs
	batch      batch        // not queued yet
	run        run          // that is being cut
	runMax     int          // requests in a run
	followers  int          // requests in flight beside the first of each connection
	exiting    *reqchan.Job // its handler has called runtime.Goexit
	leaseNow   *lease       // of the completion that is being cut
	pinned     int          // receive buffers that unanswered requests lie in
	unpinned   bool         // one came back since starved connections were tried

	connIndex   uint64
	drainedSaid bool
	stats       published
	times       times
	into        int              // bytes that the next Poll is to receive into large frames
	intoWaits   bool             // somebody waits for the Poll after it
	idle        measure.Idleness // of Poll
	started     atomic.Int64     // by measure.Now; 0 before, as stopped
	stopped     atomic.Int64
	deprecated  deprecations
}

// New makes a Processor; Run starts it.
func New(cfg Config) *Processor {
	p := &Processor{cfg: cfg, assigned: queue.NewManyToOne[socket](), drained: make(chan struct{}), ended: make(chan struct{})}
	p.times.recent = new(apiTimes)
	p.bell = queue.NewDoorbell(p.wake)
	p.responses = reqchan.NewResponseQueue(p.bell)
	p.arena = slab.NewArena(cfg.Memory)
	p.ordinary, p.priority = newOutgoing(cfg.Channel, p.bell)
	p.limiter = newLimiter(cfg.Latency)
	p.jobs.Budget = cfg.Responses
	p.runMax = runMax(&p.cfg)
	p.hungry.creditWanted = math.MaxInt64
	return p
}

// Run is the processor's life; it returns when it was stopped, or with the
// error that its engine died of. opened is called once, with nil when the
// engine stands.
func (p *Processor) Run(opened func(error)) error {
	defer close(p.ended)
	defer p.exited()
	if p.cfg.Wait == engine.WaitLocked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	e, err := p.cfg.Network.Open(p.cfg.Wait)
	if err != nil {
		p.arena.Close()
		p.ordinary.sender.Leave()
		p.priority.sender.Leave()
		p.takeNoMore()
		p.sayDrained() // it will never have a connection: nobody waits for it
		p.endErrands()
		opened(err)
		return err
	}
	p.engine = e
	p.patient, _ = e.(engine.PatientSender)
	p.waiter, _ = e.(engine.PatientWaiter)
	p.teller, _ = e.(engine.ProgressTeller)
	p.ready.Store(&e)
	p.tick()
	p.started.Store(p.now)
	opened(nil)
	return errors.Join(p.loop(), p.release())
}

// Ended is closed when Run has returned, or is about to.
func (p *Processor) Ended() <-chan struct{} { return p.ended }

func (p *Processor) loop() error {
	for {
		home := p.responses.Take()
		p.enter(phase(p.asked.Load())) // Order: after Take, so that what was asked before an answer was given comes before it
		p.runErrands()
		p.adopt()
		p.takeResponses(home)
		p.retryWaiting()
		p.retryHungry()
		p.watchHeld()
		p.moveOn()
		if p.completed == p.reaped && p.over() {
			return nil
		}
		p.publish()
		if p.gather() {
			continue
		}
		if p.completed < p.reaped {
			p.completeSome()
			continue
		}
		p.flush()
		p.publishTimes()
		p.stats.publish(&p.count) // before sleeping: what others read is never old
		n, err := p.poll()
		p.bell.Disarm()
		if err != nil {
			return fmt.Errorf("processor %d: %w", p.cfg.ID, err)
		}
		p.reaped, p.completed = n, 0
		p.completeSome()
		p.expire()
		p.ring()
	}
}

// completeSome takes completions of the last Poll, until there are so many requests that
// they are better handed on first.
func (p *Processor) completeSome() {
	for p.fresh = 0; p.completed < p.reaped && p.fresh < handOverFrom; p.completed++ {
		p.complete(&p.done[p.completed])
	}
}

// poll is the engine's Poll, timed: all of it counts as idle, which on io_uring
// includes what the kernel does for us before it sleeps.
func (p *Processor) poll() (int, error) {
	wait := p.parkFor()
	p.into = 0
	p.count.polls++
	if wait == 0 { // there is work: not idle
		p.given = p.given[:0]
		n, err := p.engine.Poll(p.done[:], 0)
		p.tick()
		return n, err
	}
	slept := measure.Now()
	p.idle.Sleep(slept)
	patient := p.sendsCanWait()
	if p.waiter != nil && p.away == 0 && p.phase == serving {
		p.waiter.OthersCanWait()
	}
	n, err := p.engine.Poll(p.done[:], wait)
	p.tick()
	p.idle.Woke(p.now)
	if patient {
		p.waited = min(p.now-slept, int64(engine.PatienceMax)) // what took longer waited for its peer
	}
	return n, err
}

// parkFor says how long Poll may sleep. Order: the bell is armed before the
// queues are looked at for the last time; whoever pushes after that rings it.
func (p *Processor) parkFor() time.Duration {
	p.bell.Arm()
	due := p.proceedDoors()
	if p.assignedLen.Load() > 0 || p.responses.Waiting() || p.errands.waiting.Load() || p.sweeping() || p.intoWaits || phase(p.asked.Load()) != p.phase {
		p.bell.Disarm()
		return 0
	}
	if (p.cfg.Responses.Tight() || len(p.hungry.list) > 0) && p.openConns > 0 {
		due = sooner(due, hurryEvery)
	}
	return sooner(sooner(due, p.jobs.Tidy(p.now)), p.alarms.wait(p.now, p.wheel.wait(p.now)))
}

func (p *Processor) complete(done *engine.Completion) {
	c := p.connOf(done.Token)
	if c == nil {
		if done.Op == engine.OpAccept {
			p.doors[doorOf(done.Token)].Complete(done)
			return
		}
		p.engine.Recycle(done) // its connection died of something else
		return
	}
	switch done.Op {
	case engine.OpRecv:
		p.received(c, done)
	case engine.OpRecvInto:
		p.filled(c, done)
	case engine.OpSend:
		p.sent(c, done)
	case engine.OpReadFile:
		p.fileRead(c, done)
	case engine.OpClose:
		p.closed(c)
	}
}

// assign queues a socket for adopt; false when too many wait already, or the
// processor is ending. Any goroutine. Order: it is counted before the phase is
// looked at, and over looks the other way round, so one of the two sees the
// other, and nothing is queued that nobody takes.
func (p *Processor) assign(s socket) bool {
	if p.assignedLen.Add(1) > int64(p.cfg.AssignedMax) || phase(p.asked.Load()) != serving {
		p.assignedLen.Add(-1)
		return false
	}
	p.load.Add(1)
	p.assigned.Push(s)
	p.bell.Ring()
	return true
}

func (p *Processor) wake() {
	if e := p.ready.Load(); e != nil {
		(*e).Wake()
	}
}

func (p *Processor) tick() { p.now, p.waited = measure.Now(), 0 }
