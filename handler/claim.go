package handler

// claim is the word that says who owns which part of a batch: of the runs that were
// taken, and of the requests of these that Handle was called for.
//
//	        0             run           end
//	runs    ├──────────────┼──────────────┤
//	             begun       not begun yet
//
//	        0        homed        begun-1    begun
//	requests├──────────┼─────────────┼──────────┤
//	            home      finished     in Handle
//
// The goroutine of the batch begins the next request by adding one, and the first of the
// next run by adding one to runs as well. The guard frees hostages with one
// CompareAndSwap that sets homed to begun-1 and end to run: the answers and the runs
// that lay between are the guard's. What is behind a request in its own run stays there.
// When run is past end the batch is over; the goroutine swaps the claim for 0 and brings
// home what lies behind homed.
//
// Order: before its Add the goroutine has written everything about the requests
// before; whoever reads the new value may read that. The guard's CompareAndSwap
// fails if the goroutine went on meanwhile.
type claim uint64

const (
	begunOne      claim = 1
	homedShift          = 8
	runShift            = 16
	endShift            = 32
	lentBit       claim = 1 << 48 // the guard is reading the batch, under its mutex
	roundShift          = 49      // tells a batch from the one before
	requestsMask  claim = 1<<8 - 1
	runsMask      claim = 1<<16 - 1
	begunMax            = 1<<8 - 2 // begun goes one past what was begun
	batchMaxLimit       = 1 << 15  // so does run
	runOne              = 1<<runShift | begunOne
)

func newClaim(round, runs int) claim { return claim(round)<<roundShift | claim(runs)<<endShift }

func (c claim) begun() int { return int(c & requestsMask) }
func (c claim) homed() int { return int(c >> homedShift & requestsMask) }
func (c claim) run() int   { return int(c >> runShift & runsMask) }
func (c claim) end() int   { return int(c >> endShift & runsMask) }
func (c claim) lent() bool { return c&lentBit != 0 }

// open says that the batch is not over.
func (c claim) open() bool { return c.run() <= c.end() && c.end() > 0 }

// finished is where the requests end that Handle returned from.
func (c claim) finished() int { return max(c.begun()-1, 0) }

// holds says that a goroutine that is stuck holds hostages.
func (c claim) holds() bool { return c.finished() > c.homed() || c.run() < c.end() }

// broughtHome is the claim after its goroutine brought the finished home.
func (c claim) broughtHome() claim {
	return c&^(requestsMask<<homedShift) | claim(c.finished())<<homedShift
}

// freed is the claim after the guard took the hostages.
func (c claim) freed() claim {
	kept := c &^ (runsMask<<endShift | requestsMask<<homedShift)
	return kept | lentBit | claim(min(c.run(), c.end()))<<endShift | claim(c.finished())<<homedShift
}
