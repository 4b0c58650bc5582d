package acceptor

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"kring/engine"
)

// Assigner takes accepted connections of one listener: a processor. Assign must
// not block; false means that it can't take one now.
type Assigner interface {
	Assign(fd engine.FD) bool
}

// Config of one Acceptor.
type Config struct {
	// Name of the listener, which its connections carry.
	Name    string
	Network engine.Network
	Listen  engine.ListenConfig
	// Assigners take the connections in turn; at least one. AssignTo gives others
	// later.
	Assigners []Assigner
	Admission *Admission
	// Failed, if set, is told of each error that ended accepting for a while.
	// It runs on the acceptor's goroutine and must not block.
	Failed func(err error, pause time.Duration)
}

const (
	pauseMin           = 10 * time.Millisecond
	pauseMax           = time.Second
	completionsPerPoll = 64
)

// token is the only one that an acceptor's engine knows.
var token = engine.MakeToken(0, 0)

// Acceptor accepts on one listening socket.
type Acceptor struct {
	cfg       Config
	listener  engine.Listener
	assigners atomic.Pointer[[]Assigner]
	asked     atomic.Bool
	awake     atomic.Pointer[engine.Engine]
	counters  Counters

	// Owner: the goroutine in Run.
	engine engine.Engine
	turn   int
	armed  bool
	pause  time.Duration
}

// Counters of an Acceptor; any goroutine may read them.
type Counters struct {
	// Accepted connections; Unassigned ones found every processor's intake
	// full; Refused ones found the server full; Failures ended accepting for a
	// pause.
	Accepted, Unassigned, Refused, Failures atomic.Uint64
}

// New binds the listening socket: from here on the port is open and the kernel
// queues connections. Run accepts them, or Discard closes the socket.
func New(cfg Config) (*Acceptor, error) {
	l, err := cfg.Network.Listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", cfg.Name, err)
	}
	a := &Acceptor{cfg: cfg, listener: l}
	a.AssignTo(cfg.Assigners)
	return a, nil
}

// AssignTo has connections from here on go to others, at least one; they must
// not be changed any more. One that is being assigned may still go to those
// before, which may refuse it. Any goroutine.
func (a *Acceptor) AssignTo(others []Assigner) { a.assigners.Store(&others) }

// Addr is where the listening socket is bound.
func (a *Acceptor) Addr() netip.AddrPort { return a.listener.Addr }

// Counters are the acceptor's counts.
func (a *Acceptor) Counters() *Counters { return &a.counters }

// Discard closes the listening socket of an Acceptor that Run never saw.
func (a *Acceptor) Discard() { a.cfg.Network.Discard(a.listener.FD) }

// Run accepts until Stop, or until its engine dies, and closes the listening
// socket. opened is called once, with nil when the engine stands.
func (a *Acceptor) Run(opened func(error)) error {
	defer a.Discard()
	e, err := a.cfg.Network.Open(engine.WaitParked)
	if err != nil {
		opened(err)
		return err
	}
	a.engine = e
	a.awake.Store(&e)
	opened(nil)
	defer e.Close()
	return a.loop()
}

// Stop makes Run return. Any goroutine.
func (a *Acceptor) Stop() {
	a.asked.Store(true)
	if e := a.awake.Load(); e != nil {
		(*e).Wake()
	}
}

func (a *Acceptor) loop() error {
	var done [completionsPerPoll]engine.Completion
	var resume time.Time // when accepting starts again
	a.arm()
	for {
		wait := time.Duration(-1)
		switch stopping := a.asked.Load(); {
		case stopping && !a.armed:
			return nil
		case stopping:
			a.engine.Cancel(a.listener.FD, token)
		case !a.armed:
			if wait = time.Until(resume); wait <= 0 {
				wait = -1
				a.arm()
			}
		}
		n, err := a.engine.Poll(done[:], wait)
		if err != nil {
			return fmt.Errorf("acceptor %s: %w", a.cfg.Name, err)
		}
		for i := range done[:n] {
			if a.complete(&done[i]); !done[i].More {
				resume = time.Now().Add(a.pause)
			}
		}
	}
}

func (a *Acceptor) arm() {
	a.armed = true
	a.engine.Accept(a.listener.FD, token)
}

func (a *Acceptor) complete(done *engine.Completion) {
	if done.Op != engine.OpAccept {
		return
	}
	a.armed = done.More
	if done.Res >= 0 {
		a.pause = 0
		a.counters.Accepted.Add(1)
		a.assign(engine.FD(done.Res))
		return
	}
	switch errno := done.Errno(); errno {
	case syscall.ECANCELED:
	case syscall.ECONNABORTED, syscall.EINTR: // the client went away: normal life
		a.pause = 0
	default:
		a.pause = min(max(2*a.pause, pauseMin), pauseMax)
		a.counters.Failures.Add(1)
		if a.cfg.Failed != nil {
			a.cfg.Failed(explain(errno), a.pause)
		}
	}
}

// assign offers the connection to the processors in turn.
func (a *Acceptor) assign(fd engine.FD) {
	if a.asked.Load() {
		a.cfg.Network.Discard(fd)
		return
	}
	if !a.cfg.Admission.Admit() {
		a.counters.Refused.Add(1)
		a.cfg.Network.Discard(fd)
		return
	}
	assigners := *a.assigners.Load()
	for range assigners {
		a.turn = (a.turn + 1) % len(assigners)
		if assigners[a.turn].Assign(fd) {
			return
		}
	}
	a.counters.Unassigned.Add(1)
	a.cfg.Admission.Leave()
	a.cfg.Network.Discard(fd)
}

func explain(errno syscall.Errno) error {
	switch errno {
	case syscall.EMFILE:
		return fmt.Errorf("accept: %w (this process has no descriptor left: raise RLIMIT_NOFILE, or lower ConnsMax)", errno)
	case syscall.ENFILE:
		return fmt.Errorf("accept: %w (this system has no descriptor left: raise fs.file-max)", errno)
	default:
		return fmt.Errorf("accept: %w", errno)
	}
}
