package gateway

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// poisoners remembers clients that brokers closed shared connections for. Who did it twice
// gets connections of its own, so that it harms nobody else. A client is known again by its
// principal, its network and its client id, since many share the first two. As clients choose
// their ids, the first two alone are held to it as well, once several ids of them did it.
type poisoners struct {
	mu     sync.Mutex
	seen   map[string]poisoner // guarded by mu
	looked int64
}

type poisoner struct {
	times int // of principal and network: how many client ids
	last  int64
}

const (
	poisonersMax    = 1024
	poisonedFrom    = 2
	poisonedFromIDs = 4
	poisonForgets   = 10 * time.Minute
)

// poisonKeys are by what a client is known again, as it comes back by another connection: with
// its client id, and without.
func poisonKeys(s *slot) (who, from string) {
	c := s.client.conn
	from = c.Principal() + "\x00" + networkOf(c.ClientAddr()).String()
	return from + "\x00" + string(s.req.Header.ClientID), from
}

// networkOf is what a client can't change at will: an IPv6 address is one of as many as it likes.
func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := min(addr.BitLen(), 64)
	p, _ := addr.Prefix(bits) // of no address, none
	return p
}

func (p *poisoners) add(s *slot, now int64) {
	who, from := poisonKeys(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.note(who, now) == 1 {
		p.note(from, now)
	}
}

// note counts once more for key; mu is held.
func (p *poisoners) note(key string, now int64) (times int) {
	was, known := p.seen[key]
	if !known && len(p.seen) >= poisonersMax {
		p.dropOldest()
	}
	p.seen[key] = poisoner{was.times + 1, now}
	return was.times + 1
}

func (p *poisoners) dropOldest() {
	oldest, last := "", int64(math.MaxInt64)
	for key, is := range p.seen {
		if is.last < last {
			oldest, last = key, is.last
		}
	}
	delete(p.seen, oldest)
}

func (p *poisoners) has(s *slot) bool {
	who, from := poisonKeys(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[who].times >= poisonedFrom || p.seen[from].times >= poisonedFromIDs
}

func (p *poisoners) forget(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now-p.looked < int64(time.Minute) {
		return
	}
	p.looked = now
	for key, was := range p.seen {
		if now-was.last > int64(poisonForgets) {
			delete(p.seen, key)
		}
	}
}
