package reqchan

import (
	"slices"
	"sync"
	"sync/atomic"

	"kring/internal/measure"
)

// Receiver is one handler goroutine's way to take requests. It belongs to that
// goroutine.
type Receiver struct {
	channel *Channel
	more    func() bool
	wake    chan struct{} // holds a token from when it was chosen to be woken
	streak  int           // batches taken from the priority lane one after the other
	at      int64         // when the last Receive that gave something took it
	idle    measure.Idleness
}

// NewReceiver makes a Receiver. more, which may be nil, says whether its owner
// has something else to do than to sleep; whoever gives it something to do
// calls Rouse afterwards. more must not block.
func (c *Channel) NewReceiver(more func() bool) *Receiver {
	if more == nil {
		more = func() bool { return false }
	}
	return &Receiver{channel: c, more: more, wake: make(chan struct{}, 1)}
}

// TakenAt is when the last Receive that gave something took it, by measure.Now.
func (v *Receiver) TakenAt() int64 { return v.at }

// Idle is how long the owner has slept, in nanoseconds. Any goroutine.
func (v *Receiver) Idle(now int64) int64 { return v.idle.Nanos(now) }

// Receive takes up to len(into) requests, oldest first, and sleeps while there
// are none. n may be 0: the owner was roused, or somebody else was quicker. It
// returns false when the channel is closed and all that it accepted was taken.
func (v *Receiver) Receive(into []*Job) (n int, ok bool) {
	c := v.channel
	if n = v.take(into); n > 0 {
		v.at = measure.Now()
		return n, true
	}
	if c.drained() {
		c.idle.wakeAll() // they wait for the same
		return 0, false
	}
	c.idle.enter(v)
	// Order: that v sleeps is visible before it looks a last time; whoever has
	// something for it does that first and then looks who sleeps.
	if (c.ready() || c.drained() || v.more()) && c.idle.withdraw(v) {
		n = v.take(into)
		v.at = measure.Now()
		return n, true
	}
	v.idle.Sleep(measure.Now())
	<-v.wake
	n = v.take(into)
	v.at = measure.Now()
	v.idle.Woke(v.at)
	c.idle.looked()
	if c.ready() {
		c.idle.wakeOne()
	}
	return n, true
}

// Rouse makes one sleeping Receiver return, if there is one.
func (c *Channel) Rouse() { c.idle.rouse() }

// RouseAll makes every sleeping Receiver return.
func (c *Channel) RouseAll() { c.idle.wakeAll() }

// idle are the Receivers that sleep. The one that slept least is woken first:
// its memory is warm, and those that are not needed sleep on.
//
// While one that was woken has not looked yet, nobody else is woken: it will
// look, and wake the next if there is more than it took. So a burst of small
// batches wakes one, and a long queue wakes everybody, one after the other.
type idle struct {
	count atomic.Int32 // asleep; stored under mu, read without
	// waking: somebody was woken and has not looked yet. Order: it stores false
	// before it looks; whoever publishes does that before it loads this.
	waking atomic.Bool
	mu     sync.Mutex
	asleep []*Receiver // guarded by mu
}

func (d *idle) enter(v *Receiver) {
	d.mu.Lock()
	d.asleep = append(d.asleep, v)
	d.count.Store(int32(len(d.asleep)))
	d.mu.Unlock()
}

// withdraw takes v back; false when it was chosen to be woken meanwhile.
func (d *idle) withdraw(v *Receiver) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.asleep, v)
	if i < 0 {
		return false
	}
	d.asleep = slices.Delete(d.asleep, i, i+1)
	d.count.Store(int32(len(d.asleep)))
	return true
}

// looked is said by a Receiver that was woken.
func (d *idle) looked() { d.waking.Store(false) }

// wakeOne wakes one, unless one is being woken.
func (d *idle) wakeOne() {
	if !d.waking.Load() {
		d.rouse()
	}
}

// rouse wakes one.
func (d *idle) rouse() {
	d.mu.Lock()
	k := len(d.asleep) - 1
	if k < 0 {
		d.mu.Unlock()
		return
	}
	v := d.asleep[k]
	d.asleep[k] = nil
	d.asleep = d.asleep[:k]
	d.count.Store(int32(k))
	d.waking.Store(true)
	d.mu.Unlock()
	v.wake <- struct{}{}
}

func (d *idle) wakeAll() {
	for d.count.Load() > 0 {
		d.rouse()
	}
}
