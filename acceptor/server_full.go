package acceptor

import (
	"net/netip"
	"time"
)

// ServerFull describes the server at the moment when a connection found no free slot.
type ServerFull struct {
	// Listener of the connection. ConnsMax is the bound that is reached: the server's
	// if Server, otherwise the listener's.
	Listener string
	Server   bool
	ConnsMax int64
	// Waiting connections are queued now, for all listeners; more may wait in the
	// kernel's queue. Refused were closed by this listener so far because it was full.
	Waiting int64
	Refused uint64
	// Busiest is the remote address with most connections, BusiestConns of them; the
	// zero value if there is none, as on Unix domain sockets.
	Busiest      netip.Addr
	BusiestConns int64
}

// serverFullInterval is the least time between two ServerFull events.
const serverFullInterval = time.Minute

// reportServerFull calls the ServerFull event, at most once in serverFullInterval.
func (q *AcceptQueue) reportServerFull(lim *limits, now int64) {
	lq, a := q.quota, q.quota.admission
	last := a.serverFullTold.Load()
	if a.serverFull == nil || last != 0 && now-last < int64(serverFullInterval) || !a.serverFullTold.CompareAndSwap(last, max(now, 1)) {
		return
	}
	is := ServerFull{Listener: lq.name, ConnsMax: lim.Listeners[lq.name].ConnsMax, Refused: lq.counters.refused[Full].Load()}
	if is.ConnsMax == 0 || lq.open.Load() < is.ConnsMax {
		is.Server, is.ConnsMax = true, lim.Server.ConnsMax
	}
	for _, other := range *a.queues.Load() {
		if other != q {
			is.Waiting += other.queued.Load()
		}
	}
	if !lim.Refuse {
		is.Waiting += int64(len(q.arrivals))
	}
	is.Busiest, is.BusiestConns = a.Busiest()
	a.serverFull(is)
}

// Busiest returns the remote address with most connections, and how many; zero
// values if there is none. It scans every address, so call it rarely. Any goroutine.
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
