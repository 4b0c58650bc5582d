package processor

import (
	"math"

	"kring/engine"
)

// ListenerInbox is a processor's inbox for the connections of one listener.
type ListenerInbox struct {
	processor *Processor
	listener  *Listener
}

// InboxFor is the inbox for the connections of l.
func (p *Processor) InboxFor(l *Listener) ListenerInbox { return ListenerInbox{p, l} }

// Assign hands an accepted socket over; false when too many wait already, or the
// processor or the listener is ending. Any goroutine.
func (i ListenerInbox) Assign(c engine.Accepted) bool {
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
func (i ListenerInbox) Load() int64 {
	if !i.processor.Serves() {
		return math.MaxInt64
	}
	return i.processor.load.Load()
}
