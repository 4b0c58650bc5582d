package acceptor

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"kring/engine"
)

// pausing is how an Acceptor stops accepting without ending: while its listening socket is
// handed over to another process, which accepts only when this one has taken its last
// completion, and before it was told that it may begin.
type pausing struct {
	asked      atomic.Bool // accept nothing
	handedOver atomic.Bool // the socket is another process's: end once nobody is queued

	mu      sync.Mutex
	waiting []chan struct{} // guarded by mu; closed once nothing is armed
}

// Pause has it accept nothing until Resume. The channel is closed when the last completion
// was taken: from then on every new connection stays in the kernel's queue, or goes to
// another process that has the same socket. Connections that were accepted before are
// served as ever. Any goroutine.
func (a *Acceptor) Pause() <-chan struct{} {
	p := &a.pausing
	paused := make(chan struct{})
	p.mu.Lock()
	p.waiting = append(p.waiting, paused)
	p.mu.Unlock()
	p.asked.Store(true)
	// Order: asked is stored before this look; the owner stores wake before it looks at
	// asked for the first time. So it is armed by nobody, or the owner answers.
	wake := a.wake.Load()
	if wake == nil {
		a.answerPaused()
		return paused
	}
	(*wake)()
	select {
	case <-a.ended: // nobody may be left to answer
		a.answerPaused()
	default:
	}
	return paused
}

// Resume undoes Pause. Another process may have had the socket meanwhile, and left it in
// the other mode (O_NONBLOCK belongs to all who share a socket): it is set again. Any
// goroutine.
func (a *Acceptor) Resume() error {
	var err error
	if s, ok := a.cfg.Network.(engine.ListenerSharer); ok {
		err = s.ReclaimListener(a.listener.FD)
	}
	a.pausing.asked.Store(false)
	if wake := a.wake.Load(); wake != nil {
		(*wake)()
	}
	return err
}

// HandOver ends a paused Acceptor whose listening socket another process has by now: that
// stays open, and so does the file of a Unix domain socket. Connections that are queued
// here still enter as slots are freed; Stop does not wait for them. Any goroutine.
func (a *Acceptor) HandOver() {
	a.pausing.handedOver.Store(true)
	if wake := a.wake.Load(); wake != nil {
		(*wake)()
	}
}

// IsHandedOver says that HandOver was called. Any goroutine.
func (a *Acceptor) IsHandedOver() bool { return a.pausing.handedOver.Load() }

// Share returns another descriptor of the listening socket, which is the caller's to close.
// Any goroutine.
func (a *Acceptor) Share() (fd int, err error) {
	s, ok := a.cfg.Network.(engine.ListenerSharer)
	if !ok {
		return -1, fmt.Errorf("listener %s: %w: engine %s can't share a listening socket", a.cfg.Name, errors.ErrUnsupported, a.cfg.Network.Name())
	}
	if fd, err = s.ShareListener(a.listener.FD); err != nil {
		return -1, fmt.Errorf("listener %s: %w", a.cfg.Name, err)
	}
	return fd, nil
}

// handedOver says that the socket is another's, and nobody waits here any more.
func (a *Acceptor) handedOver() bool {
	return a.pausing.handedOver.Load() && !a.queue.Blocked() && len(a.queue.throttled) == 0
}

// sayPaused answers those who wait, once nothing is armed. Owner.
func (a *Acceptor) sayPaused() {
	if !a.armed && a.pausing.asked.Load() {
		a.answerPaused()
	}
}

func (a *Acceptor) answerPaused() {
	p := &a.pausing
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.waiting {
		close(c)
	}
	p.waiting = nil
}
