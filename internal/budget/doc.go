// Package budget bounds the memory of responses over all connections.
//
// Job: count what responses take, say how large the next one may be, and let those
// wait in line for whom there is no room.
//
// Flow: Change as memory is taken and given back; Room before a response is made;
// Line before work that takes much, Ticket.Release after it.
//
// Ownership: a Budget may be used by any goroutine. A Ticket belongs to whoever got
// it.
//
// It is not a Capacity of package capacity: that refuses, and here what is counted exists
// already. Who waits there is called and tries again, whoever comes first; here each has
// its turn, with the bytes that it has asked for.
//
// Never: block; hand out memory itself; keep who takes little waiting for who takes
// much.
//
// Kernel: none.
package budget
