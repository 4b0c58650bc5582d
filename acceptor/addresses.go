package acceptor

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"kring/internal/rate"
)

// addresses counts connections per remote address. It is sharded, so that opening
// and closing connections don't share one lock (Kafka's counts do).
type addresses struct {
	windows rate.Windows // with their defaults
	max     int          // addressesMax
	seed    maphash.Seed
	shards  [addressShards]addressShard
}

const (
	addressShards = 64
	// addressesMax bounds, per shard, the addresses that are kept for their rate
	// alone: a storm from ever new addresses must not fill the memory. A forgotten
	// address begins with a new rate.
	addressesMax = 1024
	// sweptPerConn is how many addresses each new connection checks for being
	// forgotten.
	sweptPerConn = 2
)

type addressShard struct {
	mu     sync.Mutex
	counts map[netip.Addr]*address // guarded by mu
	left   map[netip.Addr]int64    // guarded by mu; for a Follower: nil when there is none
	_      [64]byte                // neighbours have cache lines of their own
}

// address is the state of one remote address; guarded by its shard's mu.
type address struct {
	conns      int64
	meter      *rate.Meter // nil until a bound on its rate applied
	meterUntil int64       // when the meter will have forgotten all
}

func (a *address) idle(now int64) bool { return a.conns == 0 && now >= a.meterUntil }

func newAddresses(w rate.Windows) *addresses {
	all := &addresses{windows: w.WithDefaults(), max: addressesMax, seed: maphash.MakeSeed()}
	for i := range all.shards {
		all.shards[i].counts = map[netip.Addr]*address{}
	}
	return all
}

// addConn counts a new connection of ip. Over the rate of b it is not counted, and
// delay is how long it would have to wait. Over the count of b, full is true. A
// client of a Unix domain socket has no address, so no bound applies to it.
func (all *addresses) addConn(ip netip.Addr, b Bounds, now int64) (delay time.Duration, full bool) {
	if !ip.IsValid() {
		return 0, false
	}
	s := all.shard(ip)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetIdle(now, all.max)
	a := s.counts[ip]
	if a == nil {
		a = &address{}
		s.counts[ip] = a
	}
	if b.RateMax > 0 {
		if a.meter == nil {
			a.meter = rate.New(all.windows, now)
		}
		a.meter.Record(now, 1)
		if delay = a.meter.Throttle(now, b.RateMax); delay > 0 {
			a.meter.Record(now, -1) // it was not admitted
			return delay, false
		}
		a.meterUntil = now + int64(all.windows.Count)*int64(all.windows.Size)
	}
	if b.ConnsMax != 0 && a.conns >= max(b.ConnsMax, 0) {
		if a.idle(now) {
			delete(s.counts, ip)
		}
		return 0, true
	}
	a.conns++
	s.note(ip, -1)
	return 0, false
}

// removeConn ends the count of a connection.
func (all *addresses) removeConn(ip netip.Addr, now int64) {
	if !ip.IsValid() {
		return
	}
	s := all.shard(ip)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.counts[ip]
	a.conns--
	s.note(ip, 1)
	if a.idle(now) {
		delete(s.counts, ip)
	}
}

// forgetIdle removes some addresses that have no connection and no rate any more.
// Go begins each map iteration at a random place, so all are checked in time.
func (s *addressShard) forgetIdle(now int64, most int) {
	looked := 0
	for ip, a := range s.counts {
		if a.idle(now) || a.conns == 0 && len(s.counts) >= most {
			delete(s.counts, ip)
		}
		if looked++; looked == sweptPerConn {
			return
		}
	}
}

func (all *addresses) shard(ip netip.Addr) *addressShard {
	return &all.shards[maphash.Comparable(all.seed, ip)%addressShards]
}

// count returns how many addresses are kept.
func (all *addresses) count() int {
	n := 0
	for i := range all.shards {
		s := &all.shards[i]
		s.mu.Lock()
		n += len(s.counts)
		s.mu.Unlock()
	}
	return n
}
