package tlsconn

import (
	"container/heap"
	"container/list"
	"errors"
	"net/netip"
	"sync"
)

// places bound how many handshakes have begun. When all are taken, one that waits makes way
// for the next to begin: of the address that has most, the one that has waited longest for
// its peer. So a crowd that begins handshakes and does not go on keeps nobody out, and an
// address with many takes from itself.
//
// Who makes way keeps its place until its goroutine has ended, which is soon. leavingMax
// bounds these, so that no more goroutines exist than PlacesMax says.
type places struct {
	mu      sync.Mutex
	max     int                    // guarded by mu
	begun   int                    // guarded by mu; all that have not ended
	leaving int                    // guarded by mu; of these: they make way
	clock   uint64                 // guarded by mu; counts waits
	peers   map[netip.Prefix]*peer // guarded by mu
	most    peerHeap               // guarded by mu; all of peers
}

// waitsFor is what a handshake waits for.
type waitsFor int

const (
	forTurn    waitsFor = iota // its turn to compute
	forPeer                    // its peer
	forNothing                 // it computes
)

// place is what one handshake has. Its fields belong to places.mu.
type place struct {
	of      *peer
	shakes  *handshake
	waits   waitsFor
	at      *list.Element // in of.waiting[waits]; nil: it computes
	since   uint64        // of places.clock
	leaving bool
}

// peer is one address, or network, with its handshakes that do not make way.
type peer struct {
	key     netip.Prefix
	begun   int
	waiting [forNothing]list.List // of *place; the longest first
	at      int                   // in peerHeap
}

// leavingMax is how many may make way at once, of so many places.
func leavingMax(places int) int { return 8 + places/16 }

// PlacesMax is how many handshakes a listener has at most at once, of those too that are
// about to end.
func PlacesMax(running, waiting int) int { return running + waiting + leavingMax(running+waiting) }

// errMadeWay is why a handshake ended for another's sake.
var errMadeWay = errors.New("as many handshakes had begun as there may be, and this one waited for its peer longest among those of its address; it made way for another")

func (p *places) setMax(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.max = n
}

// take gives h, whose client is key, a place; false: there is none.
func (p *places) take(key netip.Prefix, h *handshake) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun-p.leaving >= p.max && !p.makeWay(key) {
		return false
	}
	of := p.peers[key]
	if of == nil {
		if p.peers == nil {
			p.peers = map[netip.Prefix]*peer{}
		}
		of = &peer{key: key}
		p.peers[key] = of
		heap.Push(&p.most, of)
	}
	p.begun++
	of.begun++
	heap.Fix(&p.most, of.at)
	h.place = &place{of: of, shakes: h, waits: forNothing}
	p.nowWaits(h.place, forTurn)
	return true
}

// makeWay ends one handshake for one of key. mu is held.
func (p *places) makeWay(key netip.Prefix) bool {
	if len(p.most) == 0 || p.leaving >= leavingMax(p.max) {
		return false
	}
	of := p.most[0]
	if first := of.waiting[forPeer].Front(); first != nil {
		p.leave(first.Value.(*place))
		return true
	}
	own := 0
	if mine := p.peers[key]; mine != nil {
		own = mine.begun
	}
	last := of.waiting[forTurn].Back()
	if last == nil || of.begun < own+2 {
		return false
	}
	p.leave(last.Value.(*place))
	return true
}

// leave has a handshake end, and its goroutine give the place back. mu is held.
func (p *places) leave(pl *place) {
	p.uncount(pl)
	pl.leaving = true
	p.leaving++
	pl.shakes.makeWay()
}

// uncount takes a handshake from its peer. mu is held.
func (p *places) uncount(pl *place) {
	p.nowWaits(pl, forNothing)
	of := pl.of
	if of.begun--; of.begun == 0 {
		heap.Remove(&p.most, of.at)
		delete(p.peers, of.key)
		return
	}
	heap.Fix(&p.most, of.at)
}

// wait says what a handshake waits for from now on.
func (p *places) wait(pl *place, what waitsFor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !pl.leaving {
		p.nowWaits(pl, what)
	}
}

// nowWaits is wait; mu is held.
func (p *places) nowWaits(pl *place, what waitsFor) {
	if pl.at != nil {
		pl.of.waiting[pl.waits].Remove(pl.at)
		pl.at = nil
	}
	if pl.waits = what; what != forNothing {
		p.clock++
		pl.since = p.clock
		pl.at = pl.of.waiting[what].PushBack(pl)
	}
	heap.Fix(&p.most, pl.of.at)
}

// end gives a place back.
func (p *places) end(pl *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun--
	if pl.leaving {
		p.leaving--
	} else {
		p.uncount(pl)
	}
}

func (p *places) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun
}

// peerHeap has the peer first that has most handshakes; of equal ones whose handshake has
// waited longest.
type peerHeap []*peer

func (h peerHeap) Len() int { return len(h) }

func (h peerHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.begun != b.begun {
		return a.begun > b.begun
	}
	first, second := a.waiting[forPeer].Front(), b.waiting[forPeer].Front()
	switch {
	case first == nil:
		return false
	case second == nil:
		return true
	}
	return first.Value.(*place).since < second.Value.(*place).since
}

func (h peerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push and Pop are heap.Interface's.
func (h *peerHeap) Push(x any) {
	p := x.(*peer)
	p.at = len(*h)
	*h = append(*h, p)
}

// Pop is beside Push.
func (h *peerHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}
