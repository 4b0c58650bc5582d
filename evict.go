package kring

import (
	"sync/atomic"

	"kring/processor"
)

// evictor makes room when the protected listener has brought the server over
// Conns.Max: for each of its connections that did, one of another listener goes,
// of all processors the one that can best be done without (Kafka has every
// processor close one of its own in the same moment). It chooses one at a time,
// and the next only once that one has left; so none goes that need not.
//
// Owner: whoever set running, which passes from goroutine to goroutine.
type evictor struct {
	server  *Server
	owed    atomic.Int64 // connections that have to go
	running atomic.Bool
}

// evict asks for one connection more to go. Any goroutine; it does not block.
func (e *evictor) evict() {
	e.owed.Add(1)
	e.begin()
}

func (e *evictor) begin() {
	// Order: who gives up running looks at owed once more; who adds to owed tries
	// to run afterwards. One of the two sees the other.
	for e.owed.Load() > 0 && e.running.CompareAndSwap(false, true) {
		if e.next() {
			return
		}
		e.running.Store(false)
	}
}

// next begins the next eviction, which goes on by itself; false when nobody has
// to go.
func (e *evictor) next() bool {
	for e.owed.Load() > 0 {
		e.owed.Add(-1)
		if e.server.admission.Excess() > 0 { // nobody left by himself
			e.choose()
			return true
		}
	}
	return false
}

func (e *evictor) done() {
	if !e.next() {
		e.running.Store(false)
		e.begin()
	}
}

// choose asks every processor for its candidate; who answers last decides.
func (e *evictor) choose() {
	processors := e.server.now().everyProcessor()
	spared := e.server.admission.Limits().Protected
	candidates := make([]processor.Candidate, len(processors))
	var missing atomic.Int64
	missing.Store(int64(len(processors)))
	for i, p := range processors {
		p.Nominate(spared, func(c processor.Candidate) {
			candidates[i] = c
			// Order: each answer is written before its count; the last sees all.
			if missing.Add(-1) == 0 {
				e.decide(candidates)
			}
		})
	}
	if len(processors) == 0 {
		e.done()
	}
}

func (e *evictor) decide(candidates []processor.Candidate) {
	var best processor.Candidate
	for _, c := range candidates {
		if c.Better(best) {
			best = c
		}
	}
	if best.None() {
		e.done()
		return
	}
	best.Evict(func(found bool) {
		if !found { // next looks whether another still has to
			e.owed.Add(1)
		}
		e.done()
	})
}
