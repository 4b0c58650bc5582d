package acceptor

import (
	"maps"
	"net/netip"
	"sync"
)

// Counts are connections that have a slot: in all, by listener, and by remote address. A
// difference between two of them may be negative.
type Counts struct {
	Total     int64
	Listeners map[string]int64
	Addresses map[netip.Addr]int64
}

// Empty says that there is nothing in it.
func (c *Counts) Empty() bool {
	return c.Total == 0 && len(c.Listeners) == 0 && len(c.Addresses) == 0
}

// Follower tells how many connections have left since it looked last: what a process tells
// another that counts this one's connections as well.
//
// Owner: one goroutine calls Take.
type Follower struct {
	admission *Admission
	changed   chan struct{}
	told      Counts // Total and Listeners, as of the last Take
}

// Follow begins to follow, and returns what there is now. There is one Follower at a time.
func (a *Admission) Follow() (*Follower, Counts) {
	f := &Follower{admission: a, changed: make(chan struct{}, 1)}
	a.follower.Store(f)
	now := Counts{Addresses: map[netip.Addr]int64{}}
	for i := range a.addresses.shards {
		s := &a.addresses.shards[i]
		s.mu.Lock()
		s.left = map[netip.Addr]int64{}
		for ip, of := range s.counts {
			if of.conns > 0 {
				now.Addresses[ip] = of.conns
			}
		}
		s.mu.Unlock()
	}
	now.Total, now.Listeners = a.open.Load(), a.openByListener()
	f.told = now
	return f, now
}

// Changed has something in it when Take may have something to tell.
func (f *Follower) Changed() <-chan struct{} { return f.changed }

// Take returns what has left since the last Take. What came is negative.
func (f *Follower) Take() Counts {
	a := f.admission
	left := Counts{Listeners: map[string]int64{}, Addresses: map[netip.Addr]int64{}}
	for i := range a.addresses.shards {
		s := &a.addresses.shards[i]
		s.mu.Lock()
		for ip, n := range s.left {
			if n != 0 {
				left.Addresses[ip] = n
			}
		}
		clear(s.left)
		s.mu.Unlock()
	}
	total, listeners := a.open.Load(), a.openByListener()
	left.Total = f.told.Total - total
	for name, was := range f.told.Listeners {
		if n := was - listeners[name]; n != 0 {
			left.Listeners[name] = n
		}
	}
	for name, n := range listeners {
		if _, known := f.told.Listeners[name]; !known {
			left.Listeners[name] = -n
		}
	}
	f.told.Total, f.told.Listeners = total, listeners
	return left
}

// Stop ends following. A nil Follower follows nobody.
func (f *Follower) Stop() {
	if f == nil {
		return
	}
	a := f.admission
	if !a.follower.CompareAndSwap(f, nil) {
		return
	}
	for i := range a.addresses.shards {
		s := &a.addresses.shards[i]
		s.mu.Lock()
		s.left = nil
		s.mu.Unlock()
	}
}

func (f *Follower) notify() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (a *Admission) openByListener() map[string]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	open := map[string]int64{}
	for name, g := range a.quotas {
		if n := g.open.Load(); n != 0 {
			open[name] = n
		}
	}
	return open
}

// Inherited are connections that another process still has, which count here too: no
// address, no listener and not the whole server gets more than its bound because two
// processes serve it. Listeners that there are none of here are passed over.
type Inherited struct {
	admission *Admission
	quotas    map[string]*ListenerQuota

	mu   sync.Mutex
	left Counts // guarded by mu; those that still count
}

// Inherit begins to count them. Listeners must be open. Any goroutine.
func (a *Admission) Inherit(c Counts) *Inherited {
	i := &Inherited{admission: a, quotas: map[string]*ListenerQuota{}, left: Counts{Listeners: map[string]int64{}, Addresses: map[netip.Addr]int64{}}}
	a.mu.Lock()
	for name := range c.Listeners {
		if g := a.quotas[name]; g != nil {
			i.quotas[name] = g
		}
	}
	a.mu.Unlock()
	i.change(c, 1)
	return i
}

// Leave ends counting those that have left; negative numbers are those that came. Never
// does more end than was inherited.
func (i *Inherited) Leave(c Counts) { i.change(c, -1) }

// End ends counting all that are left.
func (i *Inherited) End() {
	i.mu.Lock()
	rest := Counts{Total: i.left.Total, Listeners: maps.Clone(i.left.Listeners), Addresses: maps.Clone(i.left.Addresses)}
	i.mu.Unlock()
	i.change(rest, -1)
}

// change adds c (sign 1) or takes it away (-1).
func (i *Inherited) change(c Counts, sign int64) {
	a := i.admission
	i.mu.Lock()
	total := max(sign*c.Total, -i.left.Total)
	i.left.Total += total
	a.open.Add(total)
	a.inherited.Add(total)
	for name, g := range i.quotas {
		n := max(sign*c.Listeners[name], -i.left.Listeners[name])
		i.left.Listeners[name] += n
		g.open.Add(n)
	}
	for ip, of := range c.Addresses {
		n := max(sign*of, -i.left.Addresses[ip])
		if i.left.Addresses[ip] += n; i.left.Addresses[ip] == 0 {
			delete(i.left.Addresses, ip)
		}
		a.addresses.add(ip, n, a.clock())
	}
	i.mu.Unlock()
	a.told()
	a.wakeWaiting()
}

// told tells who follows that the counts have changed.
func (a *Admission) told() {
	if f := a.follower.Load(); f != nil {
		f.notify()
	}
}

// add changes the count of an address by n, whatever its bound is.
func (all *addresses) add(ip netip.Addr, n, now int64) {
	if n == 0 || !ip.IsValid() {
		return
	}
	s := all.shard(ip)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.counts[ip]
	if a == nil {
		a = &address{}
		s.counts[ip] = a
	}
	a.conns += n
	s.note(ip, -n)
	if a.idle(now) {
		delete(s.counts, ip)
	}
}

// note has a Follower know that n connections of an address have left. mu is held.
func (s *addressShard) note(ip netip.Addr, n int64) {
	if s.left != nil {
		s.left[ip] += n
	}
}
