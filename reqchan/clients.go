package reqchan

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// OtherClient stands for the client ids beyond the bound of a ClientIDs.
const OtherClient = "other"

// ClientIDs counts open connections by their client id, and what they did. It keeps a bounded
// number of ids, because clients choose them: all others are OtherClient. An id is gone with
// its last connection, and its place is free for the next id. Its lock is taken when a client
// says its id, when a connection ends, and by Counts; not for requests.
type ClientIDs struct {
	max int

	mu    sync.Mutex
	by    map[string]*clientUse // guarded by mu; each has a connection
	other clientUse             // its conns are guarded by mu
}

// clientUse is what the connections of one client id did. It is a line of the cache, since
// several processors write it.
type clientUse struct {
	id                       string
	conns                    int // guarded by ClientIDs.mu
	requests, received, sent atomic.Uint64
	_                        [16]byte
}

// ClientCount is how many open connections a client id has, and what connections of it did
// since it had none: requests, and bytes received and sent.
type ClientCount struct {
	ID                          string
	Conns                       int
	Requests, BytesIn, BytesOut uint64
}

// NewClientIDs makes a ClientIDs that keeps up to most ids.
func NewClientIDs(most int) *ClientIDs {
	return &ClientIDs{max: most, by: map[string]*clientUse{}, other: clientUse{id: OtherClient}}
}

// Counts are those of the ids that have connections, by id, and of all others, which come
// last and are there always. Any goroutine.
func (s *ClientIDs) Counts() []ClientCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ClientCount, 0, len(s.by)+1)
	for _, u := range s.by {
		all = append(all, u.count())
	}
	slices.SortFunc(all, func(a, b ClientCount) int { return cmp.Compare(a.ID, b.ID) })
	return append(all, s.other.count())
}

func (u *clientUse) count() ClientCount {
	return ClientCount{u.id, u.conns, u.requests.Load(), u.received.Load(), u.sent.Load()}
}

// move counts c by another id from now on, unless it has left.
func (s *ClientIDs) move(c *Conn, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.clientLeft {
		s.countOut(c)
		use := s.useOf(id)
		use.conns++
		c.clientUse.Store(use)
	}
	c.clientID.Store(&id)
}

// useOf finds the counts of an id, or makes room for them. mu is held.
func (s *ClientIDs) useOf(id string) *clientUse {
	if u := s.by[id]; u != nil {
		return u
	}
	if len(s.by) >= s.max || id == OtherClient {
		return &s.other
	}
	u := &clientUse{id: id}
	s.by[id] = u
	return u
}

// leave counts c out, for good.
func (s *ClientIDs) leave(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.clientLeft {
		c.clientLeft = true
		s.countOut(c)
	}
}

// countOut needs mu.
func (s *ClientIDs) countOut(c *Conn) {
	old := c.clientUse.Load()
	if old == nil {
		return // it never said
	}
	if old.conns--; old.conns == 0 && old != &s.other {
		delete(s.by, old.id)
	}
}

// nameClient keeps what the client calls itself.
func (c *Conn) nameClient(id string) {
	if c.clientIDs != nil {
		c.clientIDs.move(c, id)
		return
	}
	c.clientID.Store(&id)
}

// Enter has s count c by its client id; LeaveClientIDs ends that, and CountUse counts what was
// done on c since the last call. They are for the processor.
func (s *ClientIDs) Enter(c *Conn) { c.clientIDs = s }

// LeaveClientIDs is beside ClientIDs.Enter.
func LeaveClientIDs(c *Conn) {
	if c.clientIDs != nil {
		c.clientIDs.leave(c)
	}
}

// CountUse is beside ClientIDs.Enter; false: the client has not said its id, and nothing was
// counted.
func CountUse(c *Conn, requests, received, sent uint64) bool {
	use := c.clientUse.Load()
	if use == nil {
		return false
	}
	if requests > 0 {
		use.requests.Add(requests)
	}
	if received > 0 {
		use.received.Add(received)
	}
	if sent > 0 {
		use.sent.Add(sent)
	}
	return true
}
