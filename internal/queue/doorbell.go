package queue

import "sync/atomic"

// Doorbell is a wakeup flag: the one handshake by which a sleeping owner is woken.
//
//	owner                       anybody
//	Arm    parked = true        push
//	look at the queues          Ring   if parked { parked = false; wake }
//	sleep, unless there is work
//	Disarm parked = false
//
// Order: Go's atomics are sequentially consistent. Arm's store comes before the
// owner's look, a push comes before Ring's load. Whichever of the two stores is
// first in the one order that all agree on, the other side sees it: the owner
// sees what was pushed, or Ring sees that the owner is parked. A Ring that sees
// parked == false therefore has nothing to do, and costs one plain load.
type Doorbell struct {
	wake   func()
	_      pad
	parked atomic.Bool
	_      pad
}

// NewDoorbell makes a Doorbell that wakes its owner by wake. Several goroutines may
// call wake at once. It must not block, and it must be sticky: it ends the owner's
// present sleep or else the next one.
func NewDoorbell(wake func()) *Doorbell { return &Doorbell{wake: wake} }

// Arm is called by the owner before it sleeps. It must look at its queues
// afterwards, and may sleep if they are empty.
func (d *Doorbell) Arm() { d.parked.Store(true) }

// Disarm is called by the owner when it is awake: it looks at its queues before it
// sleeps again, so nobody needs to wake it.
func (d *Doorbell) Disarm() {
	if d.parked.Load() {
		d.parked.Store(false)
	}
}

// Ring wakes the owner if it sleeps. Call it after pushing to one of the queues
// that the owner looks at between Arm and its sleep.
func (d *Doorbell) Ring() {
	if d.parked.Load() && d.parked.Swap(false) { // one of several callers wakes it
		d.wake()
	}
}

// Call makes the owner go through another pass, whether it sleeps or is about
// to. It is for events that no queue holds, such as free room: nothing that the
// owner looks at after Arm would show them.
func (d *Doorbell) Call() {
	d.Disarm() // it is woken here: other callers need not
	d.wake()
}
