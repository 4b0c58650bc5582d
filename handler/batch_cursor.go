package handler

// batchCursor is the word that says who owns which part of a batch: of the runs that were
// taken, and of the requests of these that Handle was called for.
//
//	        0             run           end
//	runs    ├──────────────┼──────────────┤
//	             begun       not begun yet
//
//	        0       returned      begun-1    begun
//	requests├──────────┼─────────────┼──────────┤
//	            home      finished     in Handle
//
// The goroutine of the batch begins the next request by adding one, and the first of the
// next run by adding one to runs as well. The watchdog frees stuck runs and answers with one
// CompareAndSwap that sets returned to begun-1 and end to run: the answers and the runs
// that lay between are the watchdog's. What is behind a request in its own run stays there.
// When run is past end the batch is over; the goroutine swaps the cursor for 0 and brings
// home what lies behind returned.
//
// Order: before its Add the goroutine has written everything about the requests
// before; whoever reads the new value may read that. The watchdog's CompareAndSwap
// fails if the goroutine went on meanwhile.
type batchCursor uint64

const (
	begunOne      batchCursor = 1
	returnedShift             = 8
	runShift                  = 16
	endShift                  = 32
	lentBit       batchCursor = 1 << 48 // the watchdog is reading the batch, under its mutex
	roundShift                = 49      // tells a batch from the one before
	requestsMask  batchCursor = 1<<8 - 1
	runsMask      batchCursor = 1<<16 - 1
	begunMax                  = 1<<8 - 2 // begun goes one past what was begun
	batchMaxLimit             = 1 << 15  // so does run
	runOne                    = 1<<runShift | begunOne
)

func newBatchCursor(round, runs int) batchCursor {
	return batchCursor(round)<<roundShift | batchCursor(runs)<<endShift
}

func (c batchCursor) begun() int    { return int(c & requestsMask) }
func (c batchCursor) returned() int { return int(c >> returnedShift & requestsMask) }
func (c batchCursor) run() int      { return int(c >> runShift & runsMask) }
func (c batchCursor) end() int      { return int(c >> endShift & runsMask) }
func (c batchCursor) lent() bool    { return c&lentBit != 0 }

// open says that the batch is not over.
func (c batchCursor) open() bool { return c.run() <= c.end() && c.end() > 0 }

// finished is where the requests end that Handle returned from.
func (c batchCursor) finished() int { return max(c.begun()-1, 0) }

// holds says that a goroutine that is stuck holds what is others'.
func (c batchCursor) holds() bool { return c.finished() > c.returned() || c.run() < c.end() }

// afterReturn is the cursor after its goroutine brought the finished home.
func (c batchCursor) afterReturn() batchCursor {
	return c&^(requestsMask<<returnedShift) | batchCursor(c.finished())<<returnedShift
}

// freed is the cursor after the watchdog freed what was stuck.
func (c batchCursor) freed() batchCursor {
	kept := c &^ (runsMask<<endShift | requestsMask<<returnedShift)
	return kept | lentBit | batchCursor(min(c.run(), c.end()))<<endShift | batchCursor(c.finished())<<returnedShift
}
