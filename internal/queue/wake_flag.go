package queue

import "sync/atomic"

// WakeFlag is the one handshake by which a sleeping owner is woken.
//
//	owner                             anybody
//	BeforeSleep  asleep = true        push
//	look at the queues                Notify   if asleep { asleep = false; wake }
//	sleep, unless there is work
//	AfterSleep   asleep = false
//
// Order: Go's atomics are sequentially consistent. BeforeSleep's store comes before the
// owner's look, a push comes before Notify's load. Whichever of the two stores is
// first in the one order that all agree on, the other side sees it: the owner
// sees what was pushed, or Notify sees that the owner sleeps. A Notify that sees
// asleep == false therefore has nothing to do, and costs one plain load.
type WakeFlag struct {
	wake   func()
	_      pad
	asleep atomic.Bool
	_      pad
}

// NewWakeFlag makes a WakeFlag that wakes its owner by wake. Several goroutines may
// call wake at once. It must not block, and it must be sticky: it ends the owner's
// present sleep or else the next one.
func NewWakeFlag(wake func()) *WakeFlag { return &WakeFlag{wake: wake} }

// BeforeSleep is called by the owner before it sleeps. It must look at its queues
// afterwards, and may sleep if they are empty.
func (f *WakeFlag) BeforeSleep() { f.asleep.Store(true) }

// AfterSleep is called by the owner when it is awake: it looks at its queues before it
// sleeps again, so nobody needs to wake it.
func (f *WakeFlag) AfterSleep() {
	if f.asleep.Load() {
		f.asleep.Store(false)
	}
}

// Notify wakes the owner if it sleeps. Call it after pushing to one of the queues
// that the owner looks at between BeforeSleep and its sleep.
func (f *WakeFlag) Notify() {
	if f.asleep.Load() && f.asleep.Swap(false) { // one of several callers wakes it
		f.wake()
	}
}

// NotifyAlways makes the owner go through another pass, whether it sleeps or is about
// to. It is for events that no queue holds, such as free room: nothing that the
// owner looks at after BeforeSleep would show them.
func (f *WakeFlag) NotifyAlways() {
	f.AfterSleep() // it is woken here: other callers need not
	f.wake()
}
