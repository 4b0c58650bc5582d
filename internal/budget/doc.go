// Package budget bounds the memory of responses over all connections.
//
// Job: count what responses take, say how large the next one may be, and queue those
// for which there is no room.
//
// Flow: Change when memory is taken and given back; Room before a response is made;
// Queue before work that takes much memory, Ticket.Release after it.
//
// Ownership: a Budget may be used by any goroutine. A Ticket belongs to whoever got
// it.
//
// It differs from capacity.Capacity. That one refuses; here what is counted exists
// already. There a waiter is called and tries again, and the first to try wins; here each
// has its turn in a queue, with the bytes that it asked for.
//
// Never: block; hand out memory itself; let small requests wait for large ones.
//
// Kernel: none.
package budget
