package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kring"
)

// upgradeFlags say how a process hands over to its successor.
type upgradeFlags struct {
	UpgradeSocket  string        `group:"process" placeholder:"PATH" help:"Unix domain socket by which the next kring takes over without refusing a client: it is started with the same path, or by SIGUSR2. Only this user may use it. docs/operate.md says what happens. Default: none."`
	UpgradeTimeout time.Duration `group:"process" placeholder:"DURATION" default:"1m" help:"How long the next kring may take from the moment that this one has stopped accepting. After it this one goes on. Default: ${default}."`
}

func (f *upgradeFlags) validate() (faults []error) {
	if f.UpgradeTimeout <= 0 {
		faults = append(faults, fmt.Errorf("--upgrade-timeout %v: give more than 0s, such as 1m", f.UpgradeTimeout))
	}
	if f.UpgradeSocket == "" && f.UpgradeTimeout != time.Minute {
		faults = append(faults, errors.New("--upgrade-timeout: nobody takes over without --upgrade-socket; name a path, or leave it out"))
	}
	return faults
}

// errSucceeded is why a process stops whose successor serves.
var errSucceeded = errors.New("another process has taken over")

// upgrade is both sides of handing over: from the process before, and to the next one.
type upgrade struct {
	c      *serveCmd
	log    *slog.Logger
	told   *notifier
	from   *kring.Predecessor // nil: this process is the first
	server *kring.Server
	pid    atomic.Int64 // of the successor
	signal chan os.Signal
	over   chan struct{} // ends watch
	all    sync.WaitGroup

	mu    sync.Mutex
	child *exec.Cmd // guarded by mu; what SIGUSR2 has started and has not ended
}

// newUpgrade takes the sockets that systemd has opened, and looks for a process to take over
// from.
func (c *serveCmd) newUpgrade(log *slog.Logger, told *notifier) (*upgrade, error) {
	passed, err := takePassed()
	if err != nil {
		return nil, usageError{err}
	}
	u, err := c.findPredecessor(log, told)
	if err != nil {
		closePassed(passed)
		return nil, err
	}
	if err := c.adopt(passed, u.bound); err != nil {
		u.end()
		return nil, usageError{err}
	}
	return u, nil
}

// findPredecessor catches SIGUSR2 from here on: without --upgrade-socket that is logged, and
// changes nothing.
func (c *serveCmd) findPredecessor(log *slog.Logger, told *notifier) (*upgrade, error) {
	u := &upgrade{c: c, log: log, told: told, signal: make(chan os.Signal, 1), over: make(chan struct{})}
	if upgradeSignal != nil {
		signal.Notify(u.signal, upgradeSignal)
	}
	if c.Upgrade.UpgradeSocket == "" {
		return u, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Upgrade.UpgradeTimeout)
	defer cancel()
	from, err := kring.TakeOver(ctx, c.Upgrade.UpgradeSocket, "kring "+programVersion())
	switch {
	case errors.Is(err, kring.ErrNoPredecessor):
		return u, nil
	case err != nil:
		signal.Stop(u.signal)
		return nil, fmt.Errorf("--upgrade-socket %s: %w", c.Upgrade.UpgradeSocket, err)
	}
	u.from = from
	log.Info("taking over from another process", "process", from.PID(), "program", from.Program())
	return u, nil
}

// bound has listeners on sockets of systemd go on with those of the process before.
func (u *upgrade) bound(listener string) string {
	if u.from == nil {
		return ""
	}
	return u.from.Bound(listener)
}

// beforeHandler is called before the handler is opened: if it has state, the process before has
// to give up its own first.
func (u *upgrade) beforeHandler(cfg kring.Config) error {
	if u.from == nil {
		return nil
	}
	if err := u.from.Fits(cfg); err != nil {
		return inFlags(err)
	}
	if u.c.Handler != handlerEmbedded || !u.from.Exclusive() {
		return nil
	}
	return u.from.Take()
}

// inherit has the server begin where the process before ends, with its keys of session tickets
// and its HTTP address.
func (u *upgrade) inherit(server *kring.Server, side *sideDoor) error {
	u.server = server
	if u.from == nil {
		return nil
	}
	if err := server.Inherit(u.from); err != nil {
		return inFlags(err)
	}
	if err := u.from.Take(); err != nil {
		return err
	}
	for _, s := range u.c.TLS.sources {
		if keys := u.from.Value(ticketsOf(s.listener)); keys != nil {
			if err := s.source.AdoptTickets(keys); err != nil {
				u.log.Warn("sessions of the process before are not resumed", "listener", s.listener, "error", err)
			}
		}
	}
	return side.inherit(u.from)
}

func ticketsOf(listener string) string { return "tls tickets " + listener }

// offer has the next process take over from this one, and SIGUSR2 start it.
func (u *upgrade) offer(l *live, side *sideDoor) error {
	served := l.served
	u.all.Go(u.watch)
	if u.c.Upgrade.UpgradeSocket == "" {
		return nil
	}
	cfg := kring.HandoverConfig{
		Path: u.c.Upgrade.UpgradeSocket, Program: "kring " + programVersion(), Timeout: u.c.Upgrade.UpgradeTimeout,
		Files: side.files(), Values: l.tickets,
		Exclusive: served.giveUp != nil, DrainTimeout: max(l.drainTimeout(), time.Millisecond), Release: served.giveUp, Reclaim: served.takeBack,
		Pausing: func(pid int) {
			u.pid.Store(int64(pid))
			u.log.Info("handing over: no new connections", "process", pid)
			side.pause()
			if served.giveUp != nil && served.release != nil {
				served.release() // what waits is answered, so that connections can be closed
			}
		},
		Resumed: func(why error) {
			u.log.Error("the upgrade failed, and this process goes on serving", "error", why)
			side.resume()
			u.told.say("READY=1", "STATUS="+oneLine("serving; the upgrade failed: "+why.Error()))
		},
	}
	if err := u.server.OfferHandover(cfg); err != nil {
		return fmt.Errorf("--upgrade-socket: %w", err)
	}
	return nil
}

// stops gives why the server stops by itself: a part has failed, or another process serves.
func (u *upgrade) stops() <-chan error {
	why := make(chan error, 1)
	u.all.Go(func() {
		select {
		case err := <-u.server.Failed():
			why <- err
		case <-u.server.HandedOver():
			why <- errSucceeded
		case <-u.over:
		}
	})
	return why
}

// succeeded tells the service manager which process is the service now, and leaves the side
// door to it.
func (u *upgrade) succeeded(side *sideDoor, drain time.Duration) {
	pid := u.pid.Load()
	u.told.say(fmt.Sprintf("MAINPID=%d", pid), "READY=1")
	u.told.stop()
	u.log.Info("another process serves: finishing what is in flight, connection by connection", "process", pid, "drain_timeout", drain)
	side.handedOver()
}

// leave leaves the side door to a process that has everything, and was told to begin because this
// one was to stop.
func (u *upgrade) leave(side *sideDoor) {
	select {
	case <-u.server.HandedOver():
		side.handedOver()
	default:
	}
}

// end stops both sides.
func (u *upgrade) end() {
	if upgradeSignal != nil {
		signal.Stop(u.signal)
	}
	close(u.over)
	u.all.Wait()
	u.from.Close()
}

// watch starts the next process on each signal, one at a time.
func (u *upgrade) watch() {
	for {
		select {
		case <-u.over:
			return
		case s := <-u.signal:
			if err := u.start(s); err != nil {
				u.log.Error("no other process was started", "signal", s.String(), "error", err)
				u.told.say("READY=1")
			}
		}
	}
}

// start runs this program's file, as it is by now, with the same arguments and environment.
func (u *upgrade) start(s os.Signal) error {
	u.told.say(reloadingNow()...)
	if u.c.Upgrade.UpgradeSocket == "" {
		return errors.New("give --upgrade-socket PATH, by which the other process takes over")
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.child != nil {
		return fmt.Errorf("process %d was started before, and has not taken over yet", u.child.Process.Pid)
	}
	child := exec.Command(strings.TrimSuffix(exe, " (deleted)")) // the file has been replaced
	child.Args, child.Env = os.Args, append(os.Environ(), u.told.environ()...)
	child.Env = append(child.Env, u.c.activation.environ()...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return err
	}
	u.child = child
	u.log.Info("another process was started to take over", "signal", s.String(), "process", child.Process.Pid)
	go func() { // not waited for: it outlives this process
		err := child.Wait()
		u.mu.Lock()
		defer u.mu.Unlock()
		u.child = nil
		select {
		case <-u.server.HandedOver():
		default:
			u.log.Error("the process that was to take over has ended", "process", child.Process.Pid, "error", err)
			u.told.say("READY=1")
		}
	}()
	return nil
}
