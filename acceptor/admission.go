package acceptor

import "sync/atomic"

// Admission bounds how many connections are open at once, over all acceptors
// that share it. Any goroutine may use it.
type Admission struct {
	// ConnsMax is the bound; 0 means none. Set before the first Admit.
	ConnsMax int64

	open    atomic.Int64
	refused atomic.Uint64
}

// Admit takes a place; false when there is none.
func (a *Admission) Admit() bool {
	if n := a.open.Add(1); a.ConnsMax > 0 && n > a.ConnsMax {
		a.open.Add(-1)
		a.refused.Add(1)
		return false
	}
	return true
}

// Leave gives a place back, once for every Admit that said yes.
func (a *Admission) Leave() { a.open.Add(-1) }

// Open is how many places are taken.
func (a *Admission) Open() int64 { return a.open.Load() }

// Refused counts the connections that found no place.
func (a *Admission) Refused() uint64 { return a.refused.Load() }
