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
	// Load is the number of its connections, or math.MaxInt64 if it will never take
	// another.
	Load() int64
}

// Config of one Acceptor.
type Config struct {
	// Name of the listener, for errors.
	Name    string
	Network engine.Network
	Listen  engine.ListenConfig
	// Assigners take the connections; at least one. AssignTo replaces them.
	Assigners []Assigner
	// LeastConns gives a connection to the assigner with the fewest connections, in
	// turn among equals. Without it all assigners take turns.
	LeastConns bool
	// Quota is the listener's admission. Acceptors of one listener share it.
	Quota *ListenerQuota
	// Paused has it begin paused: it accepts nothing before Resume.
	Paused bool
	// Failed, if set, is called with errors that ended accepting, at most once a
	// second. Accepting starts again after pause. It runs on the acceptor's
	// goroutine and must not block.
	Failed func(err error, pause time.Duration)
}

const (
	pauseMin           = 10 * time.Millisecond
	pauseMax           = time.Second
	reportInterval     = time.Second
	waitingMin         = 64
	completionsPerPoll = 64
)

// ownToken is the only token on an acceptor's own engine.
var ownToken = engine.MakeToken(0, 0)

// Acceptor accepts on one listening socket.
type Acceptor struct {
	cfg           Config
	listener      engine.Listener
	assigners     atomic.Pointer[[]Assigner]
	stopRequested atomic.Bool
	pausing       pausing
	wake          atomic.Pointer[func()] // makes the owner call Advance
	ended         chan struct{}
	adopted       adopted

	// Owner: the goroutine that called StartOn.
	engine       engine.Engine
	token        engine.Token
	queue        *AcceptQueue
	reserve      reserve
	nextAssigner int
	armed        bool
	cancelled    bool          // the armed accept was cancelled
	pause        time.Duration // after the last failure
	resumeAt     time.Time     // when accepting starts again
	reportedAt   time.Time     // when Failed was called last
	died         error         // why nothing will ever be accepted any more
}

// New binds the listening socket. The port is open afterwards, and the kernel
// queues connections. Run accepts them; CloseUnused closes the socket.
func New(cfg Config) (*Acceptor, error) {
	l, err := cfg.Network.Listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", cfg.Name, err)
	}
	a := &Acceptor{cfg: cfg, listener: l, ended: make(chan struct{}), reserve: reserve{open: openSpare}}
	a.AssignTo(cfg.Assigners)
	a.pausing.asked.Store(cfg.Paused)
	return a, nil
}

// AssignTo replaces the assigners, for connections accepted from now on. others
// has at least one and must not be changed afterwards. A connection that is being
// assigned may still go to the old ones, which may refuse it. Any goroutine.
func (a *Acceptor) AssignTo(others []Assigner) { a.assigners.Store(&others) }

// Addr is the address that the listening socket is bound to.
func (a *Acceptor) Addr() netip.AddrPort { return a.listener.Addr }

// Address is Addr in the form of ListenConfig.Address: unix:PATH for a Unix domain
// socket, which has no Addr.
func (a *Acceptor) Address() string { return a.listener.String() }

// CloseUnused closes the listening socket of an Acceptor that was never run.
func (a *Acceptor) CloseUnused() {
	for _, fd := range a.adopted.close() {
		a.cfg.Network.Discard(fd)
	}
	if a.listener.Release != nil && !a.pausing.handedOver.Load() {
		a.listener.Release()
	}
	a.cfg.Network.Discard(a.listener.FD)
}

// Run accepts on an engine of its own until Stop, or until that engine fails. Then
// it closes the listening socket and the queued connections. opened is called
// once, with nil if the engine was opened.
func (a *Acceptor) Run(opened func(error)) error {
	e, err := a.openEngine()
	if err != nil {
		a.Close()
		opened(err)
		return err
	}
	a.StartOn(e, ownToken, e.Wake)
	opened(nil)
	err = a.runLoop()
	_ = e.Close() // nothing can be done about a failure any more
	a.Close()
	return err
}

func (a *Acceptor) openEngine() (engine.Engine, error) {
	if o, ok := a.cfg.Network.(engine.AcceptOpener); ok {
		return o.OpenToAccept()
	}
	return a.cfg.Network.Open(engine.WaitParked)
}

// StartOn starts accepting on e, with completions of token t. The calling goroutine
// owns e and becomes the acceptor's owner. The owner calls Advance before every
// sleep, HandleCompletion for each completion of t, and Close at the end. wake makes it call
// Advance soon; any goroutine may call wake.
func (a *Acceptor) StartOn(e engine.Engine, t engine.Token, wake func()) {
	a.engine, a.token = e, t
	a.queue = a.cfg.Quota.NewAcceptQueue(AcceptQueueConfig{
		Network: a.cfg.Network, Assign: a.assignConn, NoneWillTake: a.allAssignersGone, Wake: wake, WaitingMax: max(a.cfg.Listen.Backlog, waitingMin),
	})
	_ = a.reserve.acquire() // tried again for each connection
	a.wake.Store(&wake)
}

// Close closes the listening socket and the queued connections. It is called after
// Advance returned over, after the engine was closed, or if StartOn was never called.
func (a *Acceptor) Close() {
	if a.queue != nil {
		a.queue.Close()
		a.reserve.release()
	}
	a.CloseUnused()
	close(a.ended)
	a.answerPaused()
}

// Done is closed by Close.
func (a *Acceptor) Done() <-chan struct{} { return a.ended }

// Stop makes accepting end soon: Run returns, or Advance returns over. Any
// goroutine.
func (a *Acceptor) Stop() {
	a.stopRequested.Store(true)
	if wake := a.wake.Load(); wake != nil {
		(*wake)()
	}
}

func (a *Acceptor) runLoop() error {
	var done [completionsPerPoll]engine.Completion
	for {
		wait, over := a.Advance()
		if over {
			return a.died
		}
		n, err := a.engine.Poll(done[:], wait)
		for i := range done[:n] {
			a.HandleCompletion(&done[i])
		}
		if err != nil {
			return fmt.Errorf("acceptor %s: %w", a.cfg.Name, err)
		}
	}
}

// Advance admits the queued connections that may enter now, and starts or stops
// accepting. It returns how long nothing is due by the clock (negative: until a
// wake), and whether accepting has ended for good.
func (a *Acceptor) Advance() (wait time.Duration, over bool) {
	wait = a.queue.Advance()
	for !a.queue.Blocked() {
		fd, ok := a.adopted.next()
		if !ok {
			break
		}
		a.handleAccepted(fd)
	}
	stopping := a.stopRequested.Load() || a.died != nil || a.handedOver()
	if stopping && !a.armed {
		return 0, true
	}
	pause := a.updateAccept(stopping || a.pausing.asked.Load() || a.queue.Blocked())
	a.sayPaused()
	if pause >= 0 && (wait < 0 || pause < wait) {
		wait = pause
	}
	return wait, false
}

// updateAccept arms or cancels the accept. It returns how long a pause still lasts,
// or a negative value if there is none.
func (a *Acceptor) updateAccept(stopped bool) time.Duration {
	switch {
	case stopped && a.armed && !a.cancelled:
		a.cancelled = true
		a.engine.Cancel(a.listener.FD, a.token)
	case !stopped && !a.armed:
		if pause := time.Until(a.resumeAt); a.pause > 0 && pause > 0 {
			return pause
		}
		a.armed, a.cancelled = true, false
		a.engine.Accept(a.listener.FD, a.token)
	}
	return -1
}

// HandleCompletion handles a completion of the acceptor's token.
func (a *Acceptor) HandleCompletion(done *engine.Completion) {
	if done.Op != engine.OpAccept {
		return
	}
	a.armed = done.More
	if done.Res >= 0 {
		a.pause = 0
		a.handleAccepted(engine.FD(done.Res))
		return
	}
	switch errno := done.Errno(); errno {
	case syscall.ECANCELED:
	case syscall.ECONNABORTED, syscall.EINTR: // the client went away: normal life
		a.pause = 0
	case syscall.EBADF: // somebody else closed the socket: no pause helps
		a.died = fmt.Errorf("acceptor %s: %w", a.cfg.Name, explainErrno(errno))
		a.pauseAccept(errno, 0)
	case syscall.EMFILE, syscall.ENFILE:
		if a.reserve.release() { // a descriptor is free for the next client now
			a.pauseAccept(errno, 0)
			return
		}
		fallthrough
	default:
		a.pauseAccept(errno, min(max(2*a.pause, pauseMin), pauseMax))
	}
}

func (a *Acceptor) pauseAccept(errno syscall.Errno, pause time.Duration) {
	now := time.Now()
	a.queue.Failed()
	a.pause, a.resumeAt = pause, now.Add(pause)
	if a.cfg.Failed != nil && (a.reportedAt.IsZero() || now.Sub(a.reportedAt) >= reportInterval) {
		a.reportedAt = now
		a.cfg.Failed(explainErrno(errno), pause)
	}
}

// handleAccepted takes a new descriptor. If the reserve can't be acquired again
// because descriptors have run out, this one is the last. Then it is closed: its
// client sees a close, and the next client can be told the same.
func (a *Acceptor) handleAccepted(fd engine.FD) {
	if a.stopRequested.Load() {
		a.queue.Refuse(fd, Closing)
		return
	}
	switch err := a.reserve.acquire(); {
	case err != nil && outOfDescriptors(err):
		a.queue.Refuse(fd, NoDescriptor)
		_ = a.reserve.acquire() // with the descriptor that was just closed
	default:
		a.queue.Accepted(fd)
	}
}

// assignConn offers an admitted connection to the processors, beginning with the
// chosen one.
func (a *Acceptor) assignConn(c engine.Accepted) bool {
	assigners := *a.assigners.Load()
	first := a.chooseAssigner(assigners)
	for i := range assigners {
		at := (first + i) % len(assigners)
		if assigners[at].Assign(c) {
			a.nextAssigner = at + 1
			return true
		}
	}
	return false
}

// allAssignersGone reports whether every processor has failed or is ending.
func (a *Acceptor) allAssignersGone() bool {
	return !slices.ContainsFunc(*a.assigners.Load(), func(to Assigner) bool { return to.Load() != math.MaxInt64 })
}

// chooseAssigner returns the index of the assigner to try first.
func (a *Acceptor) chooseAssigner(assigners []Assigner) int {
	first := a.nextAssigner % len(assigners)
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

func explainErrno(errno syscall.Errno) error {
	switch errno {
	case syscall.EMFILE:
		return fmt.Errorf("accept: %w (this process has no descriptor left: raise RLIMIT_NOFILE, or lower ConnsMax)", errno)
	case syscall.ENFILE:
		return fmt.Errorf("accept: %w (this system has no descriptor left: raise fs.file-max)", errno)
	case syscall.EBADF:
		return fmt.Errorf("accept: %w (the listening socket was closed: leave that to the Server)", errno)
	default:
		return fmt.Errorf("accept: %w", errno)
	}
}
