// Package measure has what the parts of the server measure themselves with: a
// clock, a histogram, and the idle time of a goroutine.
//
// Job: numbers that cost their owner next to nothing and that any goroutine may
// read at any time.
//
// Flow: the owner notes values in memory of its own, as runs of equal values, and
// publishes them once per pass; a Distribution is what was published.
//
// Ownership: a Histogram and an Idleness have one writer. A Distribution is its
// reader's.
//
// Never: lock; allocate after the start; make a reader wait for the owner, or
// the owner for a reader.
//
// Kernel: none, except the clock, which the vDSO reads without a system call.
package measure
