// Package queue is how goroutines hand things to each other without a lock.
//
// Job: three shapes, named after who may use them. ManyToOne brings commands
// to a processor, ManyToMany carries batches from many to many, Doorbell wakes
// an owner that sleeps in the kernel.
//
// Flow: push, then ring. The owner arms its bell, looks at its queues once more
// and only then sleeps, so that either it sees what was pushed or it is woken.
//
// Ownership: what was pushed belongs to whoever takes it; the queue publishes
// all that the pusher wrote before. ManyToOne and Doorbell have one owner each.
//
// Never: block; lose what was pushed; hand it out twice.
//
// Kernel: none. A Doorbell's wake function may enter it.
package queue
