package acceptor

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"kring/engine"
)

// Assigner takes accepted connections of one listener: a processor.
type Assigner interface {
	// Assign hands a connection over. It must not block; false means that it
	// can't take one now.
	Assign(c engine.Accepted) bool
	// Load is how many connections it has; math.MaxInt64 when it will take none any
	// more.
	Load() int64
}

// Config of one Acceptor.
type Config struct {
	// Name of the listener, for errors.
	Name    string
	Network engine.Network
	Listen  engine.ListenConfig
	// Assigners take the connections; at least one. AssignTo gives others later.
	Assigners []Assigner
	// LeastConns gives a connection to the assigner that has the fewest, in turn
	// among equals; otherwise they have them in turn.
	LeastConns bool
	// Gate lets connections in. Acceptors of one listener share it.
	Gate *Gate
	// Failed, if set, is told of errors that ended accepting, at most once a
	// second; accepting starts again after pause. It runs on the acceptor's
	// goroutine and must not block.
	Failed func(err error, pause time.Duration)
}

const (
	pauseMin           = 10 * time.Millisecond
	pauseMax           = time.Second
	toldEvery          = time.Second
	waitingMin         = 64
	completionsPerPoll = 64
)

// tokenAlone is the only one that an acceptor's own engine knows.
var tokenAlone = engine.MakeToken(0, 0)

// Acceptor accepts on one listening socket.
type Acceptor struct {
	cfg       Config
	listener  engine.Listener
	assigners atomic.Pointer[[]Assigner]
	asked     atomic.Bool
	wake      atomic.Pointer[func()] // has the owner call Proceed
	ended     chan struct{}

	// Owner: the goroutine that called Begin.
	engine    engine.Engine
	token     engine.Token
	line      *Line
	reserve   reserve
	turn      int
	armed     bool
	cancelled bool          // the accept that is armed was told to end
	pause     time.Duration // after the last failure
	resume    time.Time     // when accepting starts again
	told      time.Time     // when Failed was called last
}

// New binds the listening socket: from here on the port is open and the kernel
// queues connections. Run accepts them, or Discard closes the socket.
func New(cfg Config) (*Acceptor, error) {
	l, err := cfg.Network.Listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", cfg.Name, err)
	}
	a := &Acceptor{cfg: cfg, listener: l, ended: make(chan struct{}), reserve: reserve{open: openSpare}}
	a.AssignTo(cfg.Assigners)
	return a, nil
}

// AssignTo has connections from here on go to others, at least one; they must
// not be changed any more. One that is being assigned may still go to those
// before, which may refuse it. Any goroutine.
func (a *Acceptor) AssignTo(others []Assigner) { a.assigners.Store(&others) }

// Addr is where the listening socket is bound.
func (a *Acceptor) Addr() netip.AddrPort { return a.listener.Addr }

// Address is the same as ListenConfig.Address would take it, unix:PATH for a Unix
// domain socket, which has no Addr.
func (a *Acceptor) Address() string { return a.listener.String() }

// Discard closes the listening socket of an Acceptor that Run never saw.
func (a *Acceptor) Discard() {
	if a.listener.Release != nil {
		a.listener.Release()
	}
	a.cfg.Network.Discard(a.listener.FD)
}

// Run accepts on an engine of its own until Stop, or until that engine dies,
// and closes the listening socket and the connections that wait. opened is
// called once, with nil when the engine stands.
func (a *Acceptor) Run(opened func(error)) error {
	e, err := a.open()
	if err != nil {
		a.End()
		opened(err)
		return err
	}
	a.Begin(e, tokenAlone, e.Wake)
	opened(nil)
	err = a.loop()
	_ = e.Close() // nothing can be done about a failure any more
	a.End()
	return err
}

func (a *Acceptor) open() (engine.Engine, error) {
	if o, ok := a.cfg.Network.(engine.AcceptOpener); ok {
		return o.OpenToAccept()
	}
	return a.cfg.Network.Open(engine.WaitParked)
}

// Begin has the acceptor accept on e, with completions of t, and makes the
// calling goroutine, which owns e, its owner. The owner calls Proceed before
// every sleep, Complete for what comes of t, and End when it is over. wake makes
// it call Proceed soon; any goroutine may call that.
func (a *Acceptor) Begin(e engine.Engine, t engine.Token, wake func()) {
	a.engine, a.token = e, t
	a.line = a.cfg.Gate.NewLine(LineConfig{
		Network: a.cfg.Network, Assign: a.assign, Gone: a.nobodyServes, Wake: wake, WaitingMax: max(a.cfg.Listen.Backlog, waitingMin),
	})
	_ = a.reserve.hold() // tried again for each connection
	a.wake.Store(&wake)
}

// End closes the listening socket and the connections that wait. Only when it is
// over, or the engine is closed, or nobody called Begin.
func (a *Acceptor) End() {
	if a.line != nil {
		a.line.Close()
		a.reserve.release()
	}
	a.Discard()
	close(a.ended)
}

// Ended is closed by End.
func (a *Acceptor) Ended() <-chan struct{} { return a.ended }

// Stop ends accepting, soon: Run returns, or Proceed says that it is over. Any
// goroutine.
func (a *Acceptor) Stop() {
	a.asked.Store(true)
	if wake := a.wake.Load(); wake != nil {
		(*wake)()
	}
}

func (a *Acceptor) loop() error {
	var done [completionsPerPoll]engine.Completion
	for {
		wait, over := a.Proceed()
		if over {
			return nil
		}
		n, err := a.engine.Poll(done[:], wait)
		if err != nil {
			return fmt.Errorf("acceptor %s: %w", a.cfg.Name, err)
		}
		for i := range done[:n] {
			a.Complete(&done[i])
		}
	}
}

// Proceed lets in whoever may go on by now, accepts or stops accepting, and says
// for how long nothing else is due (negative: not before it is woken) and
// whether it is over.
func (a *Acceptor) Proceed() (wait time.Duration, over bool) {
	wait = a.line.Proceed()
	stopping := a.asked.Load()
	if stopping && !a.armed {
		return 0, true
	}
	if pause := a.steer(stopping || a.line.Blocked()); pause >= 0 && (wait < 0 || pause < wait) {
		wait = pause
	}
	return wait, false
}

// steer accepts, or does not while it shall not or pauses; it says how long the
// pause is still, negative when there is none.
func (a *Acceptor) steer(shallNot bool) time.Duration {
	switch {
	case shallNot && a.armed && !a.cancelled:
		a.cancelled = true
		a.engine.Cancel(a.listener.FD, a.token)
	case !shallNot && !a.armed:
		if pause := time.Until(a.resume); a.pause > 0 && pause > 0 {
			return pause
		}
		a.armed, a.cancelled = true, false
		a.engine.Accept(a.listener.FD, a.token)
	}
	return -1
}

// Complete takes a completion of the acceptor's token.
func (a *Acceptor) Complete(done *engine.Completion) {
	if done.Op != engine.OpAccept {
		return
	}
	a.armed = done.More
	if done.Res >= 0 {
		a.pause = 0
		a.accepted(engine.FD(done.Res))
		return
	}
	switch errno := done.Errno(); errno {
	case syscall.ECANCELED:
	case syscall.ECONNABORTED, syscall.EINTR: // the client went away: normal life
		a.pause = 0
	case syscall.EMFILE, syscall.ENFILE:
		if a.reserve.release() { // there is one for the next client now
			a.failed(errno, 0)
			return
		}
		fallthrough
	default:
		a.failed(errno, min(max(2*a.pause, pauseMin), pauseMax))
	}
}

func (a *Acceptor) failed(errno syscall.Errno, pause time.Duration) {
	now := time.Now()
	a.line.Failed()
	a.pause, a.resume = pause, now.Add(pause)
	if a.cfg.Failed != nil && (a.told.IsZero() || now.Sub(a.told) >= toldEvery) {
		a.told = now
		a.cfg.Failed(explain(errno), pause)
	}
}

// accepted takes a new descriptor. While the reserve is released and can't be
// held again for want of a descriptor, this one is the last there is: it goes, so
// that its client sees a close and the next can be told the same.
func (a *Acceptor) accepted(fd engine.FD) {
	if a.asked.Load() {
		a.line.Refuse(fd, Closing)
		return
	}
	switch err := a.reserve.hold(); {
	case err != nil && scarce(err):
		a.line.Refuse(fd, NoDescriptor)
		_ = a.reserve.hold() // the one that was just closed
	default:
		a.line.Accepted(fd)
	}
}

// assign offers an admitted connection to the processors, the one that it is
// for first.
func (a *Acceptor) assign(c engine.Accepted) bool {
	assigners := *a.assigners.Load()
	first := a.choose(assigners)
	for i := range assigners {
		at := (first + i) % len(assigners)
		if assigners[at].Assign(c) {
			a.turn = at + 1
			return true
		}
	}
	return false
}

// nobodyServes says that every processor has died, or is ending.
func (a *Acceptor) nobodyServes() bool {
	return !slices.ContainsFunc(*a.assigners.Load(), func(to Assigner) bool { return to.Load() != math.MaxInt64 })
}

// choose says which one is next.
func (a *Acceptor) choose(assigners []Assigner) int {
	first := a.turn % len(assigners)
	if !a.cfg.LeastConns {
		return first
	}
	best, least := first, assigners[first].Load()
	for i := 1; i < len(assigners); i++ {
		at := (first + i) % len(assigners)
		if load := assigners[at].Load(); load < least {
			best, least = at, load
		}
	}
	return best
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
