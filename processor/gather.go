package processor

import (
	"runtime"
	"time"
)

const (
	// gatherRoundsMax is how often a pass lets handlers run.
	gatherRoundsMax = 16
	// gatherNanos is how long an answer may wait for what follows it on its
	// connection, beside the round of handlers that is under way then:
	// gatherNanosEach longer for each that gets company, which is less than a send
	// costs, up to gatherNanosMax.
	gatherNanos     = int64(100 * time.Microsecond)
	gatherNanosEach = int64(2 * time.Microsecond)
	gatherNanosMax  = int64(time.Millisecond)
)

// gather lets the handlers run that were given something, and says whether there
// are answers now, to be taken before anything is sent. So a client that has one
// request in flight at a time and sent several gets its answers in one send.
//
// It is also what keeps handlers going while there is always something to
// receive: a processor that never sleeps keeps its P. On one P they would run when
// Go's monitor takes it away, after 10 ms, and nothing would be answered meanwhile.
func (p *Processor) gather() (again bool) {
	if p.shared.Away() == 0 {
		p.handedOver = 0 // nobody waits for a P
	}
	if p.cfg.YieldFrom == 0 || p.handedOver < p.cfg.YieldFrom || p.rounds == gatherRoundsMax {
		p.rounds = 0
		return false
	}
	if p.rounds == 0 {
		p.tick()
		p.gatherFrom, p.gatherFor = p.shared.Now(), gatherNanos
	}
	p.rounds++
	p.gatherFor = min(p.gatherFor+int64(p.handedOver)*gatherNanosEach, gatherNanosMax)
	p.handedOver = 0
	runtime.Gosched()
	p.tick()
	if again = p.inbox.answers.Waiting() && p.shared.Now()-p.gatherFrom < p.gatherFor; !again {
		p.rounds = 0
	}
	return again
}
