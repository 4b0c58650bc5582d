// Package queue has lock-free queues between goroutines, and the wakeup flag of
// their owner.
//
// Job: three types. ManyToOne brings tasks to a processor, ManyToMany carries
// batches from many goroutines to many, WakeFlag is the wakeup flag of an owner
// that sleeps.
//
// Flow: push, then Notify. The owner calls BeforeSleep, looks at its queues once more and
// only then sleeps, so that either it sees what was pushed or it is woken.
//
// Ownership: a pushed item belongs to whoever takes it; the queue publishes
// all that the pusher wrote before. ManyToOne and WakeFlag have one owner each.
//
// Never: block; lose what was pushed; hand it out twice.
//
// Kernel: none. A WakeFlag's wake function may enter it.
package queue
