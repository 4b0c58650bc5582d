package handler

// claim is the word that says who brings which answers of a run home.
//
//	0        homed        begun-1    begun
//	├──────────┼─────────────┼──────────┼──── not begun yet
//	  home      finished      in Handle
//
// The goroutine of the run begins the next request by adding one. The guard takes
// what is finished with one CompareAndSwap that sets homed to begun-1. When the run is
// over the goroutine swaps the claim for 0 and brings home what lies behind homed.
//
// Order: before its Add the goroutine has written everything about the requests
// before; whoever reads the new value may read that. The guard's CompareAndSwap
// fails if the goroutine went on meanwhile.
type claim uint64

const (
	begunOne    claim = 1
	homedShift        = 8
	lentBit     claim = 1 << 16 // the guard is reading the run, under its mutex
	roundShift        = 17      // tells a run from the one before
	claimFields claim = 1<<homedShift - 1
)

func newClaim(round uint64) claim { return claim(round << roundShift) }

func (c claim) begun() int { return int(c & claimFields) }
func (c claim) homed() int { return int(c >> homedShift & claimFields) }
func (c claim) lent() bool { return c&lentBit != 0 }

// finished is where the requests end that Handle returned from.
func (c claim) finished() int { return max(c.begun()-1, 0) }

// holds says that a goroutine that is stuck holds answers.
func (c claim) holds() bool { return c.finished() > c.homed() }

// freed is the claim after the guard took what is finished.
func (c claim) freed() claim {
	return c&^(claimFields<<homedShift) | lentBit | claim(c.finished())<<homedShift
}
