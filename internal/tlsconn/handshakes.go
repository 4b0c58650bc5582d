package tlsconn

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"sync/atomic"

	"kring/internal/conn"
	"kring/internal/fairqueue"
	"kring/reqchan"
)

// Settings of a listener. They are not changed once Handshakes has them.
type Settings struct {
	// Config gives the configuration of a new connection.
	Config func() *tls.Config
	// Principal says who the peer is; nil: nobody asks. "" changes nothing.
	Principal func(*tls.ConnectionState) (string, error)
	// RunningMax is how many handshakes compute at once, WaitingMax how many more may have
	// begun: they wait for their turn, or for their peer.
	RunningMax, WaitingMax int
}

// Handshakes are those of one listener. Its methods may be called by any goroutine.
type Handshakes struct {
	settings atomic.Pointer[Settings]
	at       sync.WaitGroup
	places   places
	turns    turns
}

// New makes Handshakes.
func New(s Settings) *Handshakes {
	h := &Handshakes{}
	h.Change(s)
	return h
}

// Change has new handshakes go by other settings.
func (h *Handshakes) Change(s Settings) {
	h.settings.Store(&s)
	h.places.setMax(s.RunningMax + s.WaitingMax)
	h.turns.setMax(s.RunningMax)
}

// Begun is how many have begun and not ended.
func (h *Handshakes) Begun() int { return h.places.taken() }

// Wait waits until none is left. No connection is made any more, and all are closed.
func (h *Handshakes) Wait() { h.at.Wait() }

// Transport is a conn.MakeTransport.
func (h *Handshakes) Transport(info *reqchan.Conn, moved func()) conn.Transport {
	return h.transport(info, moved)
}

func (h *Handshakes) transport(info *reqchan.Conn, moved func()) *Transport {
	return &Transport{all: h, info: info, moved: moved, work: func(int32) {}}
}

// turns bound how many goroutines compute at once. Who has computed before goes first: it
// has less left to do, and a peer that waits for the end. Among equals each address has its
// turn.
type turns struct {
	mu      sync.Mutex
	max     int                             // guarded by mu
	running int                             // guarded by mu
	waiting [2]fairqueue.Queue[chan func()] // guarded by mu; index: rank, the first goes first
}

// The ranks of those that wait.
const (
	rankBegun = iota
	rankNew
)

func (t *turns) setMax(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.max = n
	t.admit()
}

// take waits for a turn of key, until gone is closed; nil: there is none. The func that it
// gives ends the turn.
func (t *turns) take(rank int, key netip.Prefix, gone <-chan struct{}) (end func()) {
	t.mu.Lock()
	if t.running < t.max && t.inLine() == 0 {
		t.running++
		t.mu.Unlock()
		return t.end
	}
	mine := t.waiting[rank].Push(key, make(chan func(), 1))
	t.mu.Unlock()
	select {
	case end = <-mine.Value:
		return end
	case <-gone:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.waiting[rank].Remove(mine) {
		t.running-- // it was given in this moment
		t.admit()
	}
	return nil
}

func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.admit()
}

// inLine is how many wait; mu is held.
func (t *turns) inLine() int { return t.waiting[rankBegun].Len() + t.waiting[rankNew].Len() }

// admit gives turns to those whose they are. mu is held.
func (t *turns) admit() {
	for rank := range t.waiting {
		for t.running < t.max {
			first, ok := t.waiting[rank].Pop()
			if !ok {
				break
			}
			t.running++
			first <- t.end
		}
	}
}
