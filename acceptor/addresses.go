package acceptor

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"kring/internal/rate"
)

// addresses counts connections per remote address, in shards, so that neither
// who enters nor who leaves waits for the whole (Kafka's counts have one lock).
type addresses struct {
	windows rate.Windows // with their defaults
	max     int          // addressesMax
	seed    maphash.Seed
	shards  [addressShards]addressShard
}

const (
	addressShards = 64
	// addressesMax bounds, per shard, the addresses that are remembered for their
	// rate alone: a storm from ever new sources must not fill the memory. The
	// rate of one that is forgotten begins anew.
	addressesMax = 1024
	// sweptPerEntry is how many addresses each entering connection looks at, for
	// some that can be forgotten.
	sweptPerEntry = 2
)

type addressShard struct {
	mu     sync.Mutex
	counts map[netip.Addr]*address // guarded by mu
	_      [64]byte                // neighbours have cache lines of their own
}

// address is what is known of one; guarded by its shard's mu.
type address struct {
	conns int64
	meter *rate.Meter // nil while no bound ever asked for its rate
	until int64       // when the meter will have forgotten all
}

func (a *address) idle(now int64) bool { return a.conns == 0 && now >= a.until }

func newAddresses(w rate.Windows) *addresses {
	all := &addresses{windows: w.WithDefaults(), max: addressesMax, seed: maphash.MakeSeed()}
	for i := range all.shards {
		all.shards[i].counts = map[netip.Addr]*address{}
	}
	return all
}

// enter counts a connection of ip in. Over the rate of b it is not counted, and
// delay says for how long it would have to wait; over its count, full is true.
// Who comes by a Unix domain socket has no address, and so none of its bounds.
func (all *addresses) enter(ip netip.Addr, b Bounds, now int64) (delay time.Duration, full bool) {
	if !ip.IsValid() {
		return 0, false
	}
	s := all.shard(ip)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now, all.max)
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
			a.meter.Record(now, -1) // it was never let in
			return delay, false
		}
		a.until = now + int64(all.windows.Count)*int64(all.windows.Size)
	}
	if b.ConnsMax != 0 && a.conns >= max(b.ConnsMax, 0) {
		if a.idle(now) {
			delete(s.counts, ip)
		}
		return 0, true
	}
	a.conns++
	return 0, false
}

// leave counts a connection out.
func (all *addresses) leave(ip netip.Addr, now int64) {
	if !ip.IsValid() {
		return
	}
	s := all.shard(ip)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.counts[ip]
	a.conns--
	if a.idle(now) {
		delete(s.counts, ip)
	}
}

// sweep forgets some addresses that nothing is known of any more. Where the
// sweep begins is a map's choice, so all have their turn.
func (s *addressShard) sweep(now int64, most int) {
	looked := 0
	for ip, a := range s.counts {
		if a.idle(now) || a.conns == 0 && len(s.counts) >= most {
			delete(s.counts, ip)
		}
		if looked++; looked == sweptPerEntry {
			return
		}
	}
}

func (all *addresses) shard(ip netip.Addr) *addressShard {
	return &all.shards[maphash.Comparable(all.seed, ip)%addressShards]
}

// known is how many addresses are remembered.
func (all *addresses) known() int {
	n := 0
	for i := range all.shards {
		s := &all.shards[i]
		s.mu.Lock()
		n += len(s.counts)
		s.mu.Unlock()
	}
	return n
}
