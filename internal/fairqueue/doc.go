// Package fairqueue is a queue in which each address has its turn.
//
// Job: keep what has to wait for something scarce, by the address of the client that it is
// for, so that one address with many clients does not keep the others waiting.
//
// Flow: Push puts a value at the end of its address's own queue; Pop takes the first of the
// address whose turn it is; DropFor takes out what must make way when the queue is full.
//
// Ownership: a Queue belongs to its caller, who locks.
//
// Never: start a goroutine; bound itself: its caller looks at Len before Push.
//
// Kernel: none.
package fairqueue
