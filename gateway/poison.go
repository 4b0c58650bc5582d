package gateway

import (
	"sync"
	"time"
)

// poisoners remembers clients that brokers closed shared connections for. Who did it twice
// gets connections of its own, so that it harms nobody else.
type poisoners struct {
	mu     sync.Mutex
	seen   map[string]poisoner // guarded by mu
	looked int64
}

type poisoner struct {
	times int
	last  int64
}

const (
	poisonersMax  = 1024
	poisonedFrom  = 2
	poisonForgets = 10 * time.Minute
)

// poisonKey is by what a client is known again, as it comes back by another connection.
func poisonKey(s *slot) string {
	c := s.client.conn
	return c.Principal() + "\x00" + c.Remote.Addr().String() + "\x00" + string(s.req.Header.ClientID)
}

func (p *poisoners) add(key string, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, known := p.seen[key]
	if !known && len(p.seen) >= poisonersMax {
		return
	}
	p.seen[key] = poisoner{was.times + 1, now}
}

func (p *poisoners) has(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[key].times >= poisonedFrom
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
