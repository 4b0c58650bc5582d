package processor

import (
	"math"

	"kring/engine"
)

// Intake is a processor's door for the connections of one listener.
type Intake struct {
	processor *Processor
	listener  *Listener
}

// Intake opens the door.
func (p *Processor) Intake(l *Listener) Intake { return Intake{p, l} }

// Assign hands an accepted socket over; false when too many wait already, or the
// processor or the listener is ending. Any goroutine.
func (i Intake) Assign(c engine.Accepted) bool {
	if !i.listener.Enter() {
		return false
	}
	if !i.processor.assign(message{socket: c, from: i.listener}) {
		i.listener.Leave()
		return false
	}
	return true
}

// Load is how many connections the processor has, of all listeners, those that
// wait to be adopted with them; as many as can be when it takes none any more. Any
// goroutine.
func (i Intake) Load() int64 {
	if !i.processor.Serves() {
		return math.MaxInt64
	}
	return i.processor.load.Load()
}
