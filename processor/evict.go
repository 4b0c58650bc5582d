package processor

import (
	"cmp"

	"kring/engine"
)

// Candidate is the connection that its processor can best do without. The zero
// value is none.
type Candidate struct {
	processor *Processor
	token     engine.Token
	rank      evictRank
	active    int64 // when it last received or sent
}

// evictRank is the first thing that candidates are compared by.
type evictRank uint8

const (
	evictNever   evictRank = iota
	evictBusy              // has a request in flight or under way, or a response to send
	evictIdle              // has none of these
	evictClosing           // is closing already: it costs nobody anything
)

// Better says that c should go rather than o: who is closing already, else who
// has been idle for longer, else anybody.
func (c Candidate) Better(o Candidate) bool {
	return cmp.Or(cmp.Compare(c.rank, o.rank), cmp.Compare(o.active, c.active)) > 0
}

// None says that c is no connection.
func (c Candidate) None() bool { return c.rank == evictNever }

// Nominate has answer called once with the connection that the processor can
// best do without, of all listeners but the one that is spared; None if it has
// none, or has ended. answer runs on the processor's goroutine, or on the
// caller's if the processor has ended, and must not block. Any goroutine.
func (p *Processor) Nominate(spared string, answer func(Candidate)) {
	if !p.inbox.submit(func() { answer(p.nominee(spared)) }) {
		answer(Candidate{})
	}
}

func (p *Processor) nominee(spared string) (best Candidate) {
	for _, c := range p.slots.all {
		if c.Info() == nil || c.upstream != nil || p.slots.evicted[c] != nil || c.Listener().Name() == spared {
			continue
		}
		one := Candidate{processor: p, token: c.Token(), rank: evictIdle, active: c.Active()}
		switch {
		case c.Closing():
			one.rank = evictClosing
		case c.Busy():
			one.rank = evictBusy
		}
		if one.Better(best) {
			best = one
		}
	}
	return best
}

// Evict closes the connection, whatever it has in flight, and has gone called
// once: with true when it has given its slot back, with false when it was there no
// more, because it left or moved to another processor. gone runs on the
// processor's goroutine, or on the caller's if the processor has ended, and must
// not block. Any goroutine.
func (c Candidate) Evict(gone func(found bool)) {
	p := c.processor
	evict := func() {
		s := p.slots.of(c.token)
		if s == nil {
			gone(false)
			return
		}
		p.slots.evict(s, func() { gone(true) })
	}
	if !p.inbox.submit(evict) {
		gone(false)
	}
}
