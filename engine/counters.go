package engine

import "sync/atomic"

// Counters are what an engine counts about itself. The owner writes, anybody
// reads; each is a total since Open.
type Counters struct {
	// Enters counts calls into the kernel from Poll and Wake together.
	Enters atomic.Uint64
	// Submitted counts operations handed to the kernel (SQEs on io_uring,
	// read/write calls elsewhere); Completed counts completions out of Poll.
	Submitted atomic.Uint64
	Completed atomic.Uint64
	// Wakes counts Wake calls that had to reach a sleeping owner.
	Wakes atomic.Uint64
	// Exhausted counts receives that ended because every buffer was lent.
	Exhausted atomic.Uint64
	// Overflows counts completion-queue overflows that the kernel reported.
	Overflows atomic.Uint64
	// LentBytes is the memory lent and not recycled yet.
	LentBytes atomic.Int64
}
