package engine

import "sync/atomic"

// Counters are what an engine counts about itself. The owner writes, anybody
// reads; each is a total since Open, but for those that say "now". An engine
// leaves at 0 what it has no such thing of.
type Counters struct {
	// Enters counts calls into the kernel from Poll and Wake together.
	Enters atomic.Uint64
	// Submitted counts operations handed to the kernel (SQEs on io_uring,
	// read/write calls elsewhere); Completed counts completions out of Poll.
	Submitted atomic.Uint64
	Completed atomic.Uint64
	// Wakes counts Wake calls that had to reach a sleeping owner.
	Wakes atomic.Uint64
	// WakesSuppressed counts those that had not: it was awake, or woken already.
	WakesSuppressed atomic.Uint64
	// Exhausted counts receives that ended because every buffer was lent.
	Exhausted atomic.Uint64
	// Starved counts receives that found no buffer with the kernel while there
	// were some: they wait inside the engine until it has published more.
	Starved atomic.Uint64
	// Rearmed counts operations that the engine armed again by itself.
	Rearmed atomic.Uint64
	// Overflows counts completion-queue overflows that the kernel reported.
	Overflows atomic.Uint64
	// ShortSends counts sends of which the kernel took only a part.
	ShortSends atomic.Uint64
	// ZeroCopySends counts sends that were to go without a copy, and
	// ZeroCopyCopied those that the kernel copied nevertheless.
	ZeroCopySends  atomic.Uint64
	ZeroCopyCopied atomic.Uint64
	// Registered counts operations on registered memory.
	Registered atomic.Uint64
	// Followed counts operations that were brought to the thread that their owner
	// had moved to; only where it matters, on io_uring.
	Followed atomic.Uint64
	// LentBytes is the memory lent and not recycled yet, now. BuffersLent are
	// its buffers, BuffersReady those that the kernel has to receive into.
	LentBytes    atomic.Int64
	BuffersLent  atomic.Int64
	BuffersReady atomic.Int64
}

// Counts is a snapshot of Counters, under their names.
type Counts struct {
	Enters, Submitted, Completed           uint64
	Wakes, WakesSuppressed                 uint64
	Exhausted, Starved, Rearmed, Overflows uint64
	ShortSends                             uint64
	ZeroCopySends, ZeroCopyCopied          uint64
	Registered, Followed                   uint64
	LentBytes, BuffersLent, BuffersReady   int64
}

// Snapshot reads the counters one by one; any goroutine.
func (c *Counters) Snapshot() Counts {
	return Counts{
		Enters: c.Enters.Load(), Submitted: c.Submitted.Load(), Completed: c.Completed.Load(),
		Wakes: c.Wakes.Load(), WakesSuppressed: c.WakesSuppressed.Load(),
		Exhausted: c.Exhausted.Load(), Starved: c.Starved.Load(), Rearmed: c.Rearmed.Load(), Overflows: c.Overflows.Load(),
		ShortSends:    c.ShortSends.Load(),
		ZeroCopySends: c.ZeroCopySends.Load(), ZeroCopyCopied: c.ZeroCopyCopied.Load(), Registered: c.Registered.Load(), Followed: c.Followed.Load(),
		LentBytes: c.LentBytes.Load(), BuffersLent: c.BuffersLent.Load(), BuffersReady: c.BuffersReady.Load(),
	}
}

// Add adds another engine's counts.
func (n *Counts) Add(o Counts) {
	n.Enters += o.Enters
	n.Submitted += o.Submitted
	n.Completed += o.Completed
	n.Wakes += o.Wakes
	n.WakesSuppressed += o.WakesSuppressed
	n.Exhausted += o.Exhausted
	n.Starved += o.Starved
	n.Rearmed += o.Rearmed
	n.Overflows += o.Overflows
	n.ShortSends += o.ShortSends
	n.ZeroCopySends += o.ZeroCopySends
	n.ZeroCopyCopied += o.ZeroCopyCopied
	n.Registered += o.Registered
	n.Followed += o.Followed
	n.LentBytes += o.LentBytes
	n.BuffersLent += o.BuffersLent
	n.BuffersReady += o.BuffersReady
}

// SubmittedPerEnter and CompletedPerEnter are the batching: what one call into
// the kernel brought there, and back.
func (n Counts) SubmittedPerEnter() float64 { return per(n.Submitted, n.Enters) }

// CompletedPerEnter is beside SubmittedPerEnter.
func (n Counts) CompletedPerEnter() float64 { return per(n.Completed, n.Enters) }

func per(a, b uint64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
