package acceptor

import (
	"net/netip"
	"time"
)

// NoPlace is what there was when a connection found no place.
type NoPlace struct {
	// Listener that it came by. ConnsMax is the bound that is reached: the whole
	// server's, or else that of the listener.
	Listener string
	Server   bool
	ConnsMax int64
	// Waiting stand in line now, for all listeners; more may wait in the kernel's
	// queue. Refused were closed by this listener for want of a place so far.
	Waiting int64
	Refused uint64
	// Busiest is the remote address that has most connections, BusiestConns of them;
	// the zero value when there is none, as on Unix domain sockets.
	Busiest      netip.Addr
	BusiestConns int64
}

// noPlaceEvery is how often NoPlace is told at most, while it lasts.
const noPlaceEvery = time.Minute

// tellNoPlace tells of a connection that found no place, once in a while. Nobody
// waits for it but those that wait anyway.
func (l *Line) tellNoPlace(by *limits, now int64) {
	g, a := l.gate, l.gate.admission
	last := a.noPlaceTold.Load()
	if a.noPlace == nil || last != 0 && now-last < int64(noPlaceEvery) || !a.noPlaceTold.CompareAndSwap(last, max(now, 1)) {
		return
	}
	is := NoPlace{Listener: g.name, ConnsMax: by.Listeners[g.name].ConnsMax, Refused: g.counters.refused[Full].Load()}
	if is.ConnsMax == 0 || g.open.Load() < is.ConnsMax {
		is.Server, is.ConnsMax = true, by.Server.ConnsMax
	}
	for _, other := range *a.lines.Load() {
		if other != l {
			is.Waiting += other.length.Load()
		}
	}
	if !by.Refuse {
		is.Waiting += int64(len(l.queue))
	}
	is.Busiest, is.BusiestConns = a.Busiest()
	a.noPlace(is)
}

// Busiest is the remote address that has most connections, and how many; zero
// values when none has any. It looks at every address, so ask rarely. Any goroutine.
func (a *Admission) Busiest() (ip netip.Addr, conns int64) {
	for i := range a.addresses.shards {
		s := &a.addresses.shards[i]
		s.mu.Lock()
		for of, is := range s.counts {
			if is.conns > conns {
				ip, conns = of, is.conns
			}
		}
		s.mu.Unlock()
	}
	return ip, conns
}
