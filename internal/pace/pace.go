// Package pace has long computations give way to the server that they run beside.
//
// Job: a goroutine that computes for milliseconds (a scrape, a listing) keeps a P of the Go
// scheduler for up to 10 ms, and on one CPU every request waits for it. A Pace makes it sleep
// after each short turn.
//
// Flow: the computation calls Step between its pieces.
//
// Ownership: a Pace is its goroutine's.
//
// Never: lock; sleep while somebody waits for a lock of the caller's, which is the caller's part.
//
// Kernel: none. A sleep and not runtime.Gosched: a P that has a goroutine to run does not look
// at Go's poller, and a parked processor is found only there, or by Go's monitor after 10 ms.
package pace

import (
	"time"

	"kring/internal/measure"
)

const (
	// Turn is how long is computed before a rest: a request that comes meanwhile waits for the
	// rest of it.
	Turn = 200 * time.Microsecond
	// Rest is how long others have the P for themselves at least. When nobody has anything to
	// do Go rounds it up to a millisecond.
	Rest = 20 * time.Microsecond
)

// Pace is a computation's. The zero value begins its first turn with the first Step.
type Pace struct {
	// Now and Sleep are for tests; nil: the clock, and time.Sleep.
	Now   func() int64
	Sleep func(time.Duration)

	until int64 // when the turn is over; 0: none has begun
	small uint
}

// smallSteps is how many small steps are between two looks at the clock.
const smallSteps = 64

// SmallStep is Step for pieces of less than a microsecond, such as a comparison.
func (p *Pace) SmallStep() {
	if p.small++; p.small%smallSteps == 0 {
		p.Step()
	}
}

// Step rests if the turn is over. It costs a look at the clock.
func (p *Pace) Step() {
	now := p.now()
	switch {
	case p.until == 0:
	case now < p.until:
		return
	case p.Sleep != nil:
		p.Sleep(Rest)
		now = p.now()
	default:
		time.Sleep(Rest)
		now = p.now()
	}
	p.until = now + int64(Turn)
}

func (p *Pace) now() int64 {
	if p.Now != nil {
		return p.Now()
	}
	return measure.Now()
}
