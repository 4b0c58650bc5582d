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
	"kring/internal/conn"
	"kring/internal/measure"
	"kring/reqchan"
)

const (
	completionsPerPoll = 256
	// handOverFrom is after how many requests those are handed on before more are cut:
	// their memory is still in the cache then.
	handOverFrom = 250
)

// handOver is handOverFrom, or half of a smaller request channel. The last run that is cut
// may go beyond it, by as much as a run is long, and must find room too: what finds the
// channel full waits, and is answered in pieces.
func handOver(c *reqchan.Channel) int { return max(1, min(handOverFrom, c.RequestsMax()/2)) }

// completions are those of the last Poll; the first at of them were taken to their
// connections.
type completions struct {
	done  [completionsPerPoll]engine.Completion
	n, at int
}

// left says that some were not taken yet.
func (c *completions) left() bool { return c.at < c.n }

// Processor is one event loop; see the package comment for who owns what.
type Processor struct {
	cfg       Config
	inbox     inbox                         // all that comes from other goroutines
	ready     atomic.Pointer[engine.Engine] // what a wakeup wakes
	load      atomic.Int64                  // connections assigned and not ended
	upstreams atomic.Int64                  // Upstreams started and not ended
	filing    sync.WaitGroup                // goroutines that read files for us
	stats     published
	uptime    uptime
	ends      ends

	// Owner: the goroutine in Run, all that follows.
	engine          opened
	phase           conn.Phase
	shared          *conn.Shared
	slots           slots
	timers          timers
	migration       migration
	hostedAcceptors []HostedAcceptor // nil: free
	swept           int              // slots that were told that held memory is scarce
	handlers        handing          // requests on their way to them
	reaped          completions

	yieldedToTransports int64 // in Shared.Now
}

// New makes a Processor; Run starts it.
func New(cfg Config) *Processor {
	p := &Processor{cfg: cfg, ends: ends{drained: make(chan struct{}), ended: make(chan struct{})}}
	p.inbox.make(p.wake)
	p.handlers = newHanding(&cfg, p.inbox.wakeFlag)
	p.cfg.OneByOne = p.handlers.limiter != nil
	p.shared = conn.NewShared(p.cfg.ConnConfig, loop{p}, p.inbox.answers, p.handlers.ordinary.sender)
	p.slots.rearm.creditWanted = math.MaxInt64
	return p
}

// Run is the processor's life; it returns when it was stopped, or with the
// error that its engine died of. opened is called once, with nil when the
// engine stands.
func (p *Processor) Run(opened func(error)) error {
	defer close(p.ends.ended)
	defer p.exited()
	if p.cfg.Wait == engine.WaitLocked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	e, err := p.cfg.Network.Open(p.cfg.Wait)
	if err != nil {
		p.neverOpened()
		opened(err)
		return err
	}
	p.engine = newOpened(e)
	p.shared.TellsMore(p.engine.teller != nil)
	if b, is := e.(engine.BufferCounter); is {
		p.shared.UseBuffers(b.ReceiveBuffers())
	}
	if l := p.engine.large; l != nil {
		p.shared.UseLarge(l.LargeFrames())
	}
	p.ready.Store(&e)
	p.tick()
	p.uptime.started.Store(p.shared.Now())
	opened(nil)
	return errors.Join(p.serve(), p.release())
}

// neverOpened ends a processor that has no engine, and will never have a connection:
// nobody waits for it.
func (p *Processor) neverOpened() {
	p.shared.Discard()
	p.handlers.ordinary.sender.CancelWait()
	p.handlers.priority.sender.CancelWait()
	p.takeNoMore()
	p.sayDrained()
	p.inbox.close()
}

// Ended is closed when Run has returned, or is about to.
func (p *Processor) Ended() <-chan struct{} { return p.ends.ended }

// serve is the event loop: one pass after the other until the processor is over, or its
// engine has died.
func (p *Processor) serve() error {
	for {
		answers := p.inbox.answers.Take()
		p.enter(p.inbox.wanted()) // Order: after Take, so that what was asked before an answer was given comes before it
		p.inbox.open()            // tasks: settings, evictions, questions
		p.adopt()                 // sockets, and connections of other processors
		p.takeAnswers(answers)    // each to its connection
		p.retryNext()             // connections that found no receive buffer
		p.rearm()                 // connections that found no room for a frame
		p.watchHeld()             // connections that hold too much together
		p.migrate()               // connections that go on with other processors
		p.endUpstreams()          // when nobody needs them
		if !p.reaped.left() && p.over() {
			return nil
		}
		p.publish() // requests to the handlers
		if p.yield() {
			continue // the handlers have answered: more leaves in one send
		}
		if p.reaped.left() {
			p.completeSome()
			continue
		}
		p.flush() // one gathered send for each connection that has something to send
		p.shared.PublishTimes()
		p.stats.publish(p.shared.Counts()) // before sleeping: what others read is never old
		n, err := p.poll()                 // submit, sleep, and take completions
		p.inbox.wakeFlag.AfterSleep()
		p.reaped.n, p.reaped.at = n, 0
		if err != nil {
			return fmt.Errorf("processor %d: %w", p.cfg.ID, err)
		}
		p.completeSome() // each to its connection, and then deadlines
	}
}

// poll is the engine's Poll, timed: all of it counts as idle, which on io_uring
// includes what the kernel does for us before it sleeps.
func (p *Processor) poll() (int, error) {
	work, mayPark := p.yieldToTransports()
	wait := p.parkFor()
	if !mayPark && wait != 0 {
		p.inbox.wakeFlag.AfterSleep()
		wait = 0
	}
	p.shared.Polls()
	p.shared.Counts().Polls++
	if wait == 0 { // there is work: not idle
		p.slots.sending = p.slots.sending[:0]
		n, err := p.engine.Poll(p.reaped.done[:], 0)
		p.tick()
		return n, err
	}
	slept := measure.Now()
	p.uptime.idle.Sleep(slept)
	delayed := p.allowDelayedSends()
	if work && p.engine.announce != nil {
		p.engine.announce.AnnounceWait()
	} else if p.engine.blocking != nil && p.shared.Away() == 0 && p.phase == conn.Serving {
		p.engine.blocking.AllowBlockingP()
	}
	n, err := p.engine.Poll(p.reaped.done[:], wait)
	now, waited := measure.Now(), int64(0)
	if delayed {
		waited = min(now-slept, int64(engine.BlockingWaitMax)) // what took longer waited for its peer
	}
	p.shared.Tick(now, waited)
	p.uptime.idle.Woke(now)
	return n, err
}

// parkFor says how long Poll may sleep. Order: the wake flag is set before the
// inbox is looked at for the last time; whoever puts something there after that rings it.
func (p *Processor) parkFor() time.Duration {
	p.inbox.wakeFlag.BeforeSleep()
	due := p.runHosted()
	if p.sweeping() || p.shared.WaitsForPoll() || !p.inbox.empty(p.phase) {
		p.inbox.wakeFlag.AfterSleep()
		return 0
	}
	if p.slots.open > 0 && (p.cfg.Responses.Tight() || len(p.slots.rearm.list) > 0 || p.phase == conn.Draining) {
		due = sooner(due, hurryEvery)
	}
	if p.phase != conn.Serving && p.slots.upstreams > 0 {
		due = sooner(due, upstreamsEndEvery)
	}
	now := p.shared.Now()
	return sooner(sooner(due, p.shared.Tidy()), p.timers.alarms.wait(now, p.timers.wheel.wait(now)))
}

// completeSome takes completions of the last Poll to their connections, until there are so
// many requests that they are better handed on first. Deadlines come behind the last of
// them: nobody is closed for a silence whose end is among those that are left.
func (p *Processor) completeSome() {
	p.shared.ForgetFresh()
	for c := &p.reaped; c.left() && p.shared.Fresh() < p.handlers.most; c.at++ {
		p.complete(&c.done[c.at])
	}
	if !p.reaped.left() {
		p.expire()
		p.timers.alarms.ring(p.shared.Now())
	}
}

// complete takes a completion to its connection.
func (p *Processor) complete(done *engine.Completion) {
	c := p.slots.of(done.Token)
	if c == nil {
		if done.Op == engine.OpAccept {
			p.hostedAcceptors[hostedOf(done.Token)].HandleCompletion(done)
			return
		}
		p.engine.Recycle(done) // its connection died of something else
		return
	}
	switch done.Op {
	case engine.OpRecv:
		c.Received(done)
	case engine.OpRecvInto:
		c.Filled(done)
	case engine.OpSend:
		c.Sent(done)
	case engine.OpReadFile:
		c.FileRead(done)
	case engine.OpConnect:
		p.connected(c, done)
	case engine.OpClose:
		p.closed(c)
	}
}

// takeAnswers brings the answers of other goroutines home: r, and what came after it.
func (p *Processor) takeAnswers(r *reqchan.Job) {
	for r != nil {
		next, token := r.Next(), r.Token
		p.shared.Went(-1)
		p.shared.Counts().Home++
		follows := r.Follows() // before Unbegun
		if first := r.Unbegun(); first != nil {
			p.takeUnbegun(first, engine.Token(token))
		}
		if p.handlers.limiter != nil {
			p.handlers.limiter.home(r, p.shared.Now())
		}
		if c := p.slots.of(engine.Token(token)); c != nil && c.Info() == r.Conn {
			if follows {
				p.shared.Followed(&c.Conn, r)
			}
			c.Returned(r)
			if next == nil || next.Token != token {
				c.AllReturned()
			}
		} else {
			if follows {
				p.shared.Followed(nil, r)
			}
			p.shared.Drop(r) // its connection is gone
		}
		r = next
	}
}

// takeUnbegun takes back a run that came home without being begun.
func (p *Processor) takeUnbegun(first *reqchan.Job, token engine.Token) {
	p.shared.Went(-first.InRun())
	if c := p.slots.of(token); c != nil && c.Info() == first.Conn {
		c.Unbegun(first)
	} else {
		p.shared.DropRun(first)
	}
}

// assign posts a socket for adopt; false when too many wait already, or the
// processor is ending. Any goroutine.
func (p *Processor) assign(m message) bool {
	if !p.inbox.expect(int64(p.cfg.AssignedMax)) {
		return false
	}
	p.load.Add(1)
	p.inbox.post(m)
	return true
}

func (p *Processor) wake() {
	if e := p.ready.Load(); e != nil {
		(*e).Wake()
	}
}

func (p *Processor) tick() { p.shared.Tick(measure.Now(), 0) }
