package handler

// claim is the word that says who owns which part of a batch.
//
//	0        homed        begun-1    begun           end
//	├──────────┼─────────────┼──────────┼──────────────┤
//	  home      finished      in Handle   not begun yet
//
// The goroutine of the batch begins the next request by adding one. The guard
// frees hostages with one CompareAndSwap that sets homed to begun-1 and end to
// begun: what lay between is the guard's. When begun is past end the batch is
// over and the goroutine brings home what lies from homed to end.
//
// Order: before its Add the goroutine has written everything about the requests
// before; whoever reads the new value may read that. The guard's CompareAndSwap
// fails if the goroutine went on meanwhile.
type claim uint64

const (
	begunOne      claim = 1
	endShift            = 16
	homedShift          = 32
	lentBit       claim = 1 << 48 // the guard is reading the batch, under its mutex
	roundShift          = 49      // tells a batch from the one before
	fieldMask     claim = 1<<16 - 1
	batchMaxLimit       = 1 << 15 // begun goes one past end
)

func newClaim(round, n int) claim {
	return claim(round)<<roundShift | claim(n)<<endShift
}

func (c claim) begun() int { return int(c & fieldMask) }
func (c claim) end() int   { return int(c >> endShift & fieldMask) }
func (c claim) homed() int { return int(c >> homedShift & fieldMask) }
func (c claim) lent() bool { return c&lentBit != 0 }

// open says that the batch is not over.
func (c claim) open() bool { return c.begun() <= c.end() && c.end() > 0 }

// finished is where the requests end that Handle returned from.
func (c claim) finished() int { return max(c.begun()-1, 0) }

// holds says that a goroutine that is stuck holds hostages.
func (c claim) holds() bool {
	return c.open() && (c.finished() > c.homed() || c.begun() < c.end())
}

// freed is the claim after the guard took the hostages.
func (c claim) freed() claim {
	kept := c &^ (fieldMask<<endShift | fieldMask<<homedShift)
	return kept | lentBit | claim(c.begun())<<endShift | claim(c.finished())<<homedShift
}
