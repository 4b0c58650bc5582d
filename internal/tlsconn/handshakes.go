package tlsconn

import (
	"crypto/tls"
	"sync"
	"sync/atomic"

	"kring/internal/conn"
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
	begun    atomic.Int64
	at       sync.WaitGroup
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
	h.turns.setMax(s.RunningMax)
}

// Begun is how many have begun and not ended.
func (h *Handshakes) Begun() int { return int(h.begun.Load()) }

// Wait waits until none is left. No connection is made any more, and all are closed.
func (h *Handshakes) Wait() { h.at.Wait() }

// Transport is a conn.MakeTransport.
func (h *Handshakes) Transport(info *reqchan.Conn, moved func()) conn.Transport {
	return &Transport{all: h, info: info, moved: moved}
}

// enter counts a handshake in; false: there are as many as may be.
func (h *Handshakes) enter(s *Settings) bool {
	if h.begun.Add(1) > int64(s.RunningMax)+int64(s.WaitingMax) {
		h.begun.Add(-1)
		return false
	}
	return true
}

// turns bound how many goroutines compute at once. Who has computed before goes first: it
// has less left to do, and a peer that waits for the end.
type turns struct {
	mu      sync.Mutex
	max     int              // guarded by mu
	running int              // guarded by mu
	waiting [2][]chan func() // guarded by mu; index: rank, the first goes first
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

// take waits for a turn, until gone is closed; nil: there is none. The func that it gives
// ends the turn.
func (t *turns) take(rank int, gone <-chan struct{}) (end func()) {
	t.mu.Lock()
	if t.running < t.max && len(t.waiting[rankBegun])+len(t.waiting[rankNew]) == 0 {
		t.running++
		t.mu.Unlock()
		return t.end
	}
	mine := make(chan func(), 1)
	t.waiting[rank] = append(t.waiting[rank], mine)
	t.mu.Unlock()
	select {
	case end = <-mine:
		return end
	case <-gone:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range t.waiting[rank] {
		if c == mine {
			t.waiting[rank] = append(t.waiting[rank][:i], t.waiting[rank][i+1:]...)
			return nil
		}
	}
	t.running-- // it was given in this moment
	t.admit()
	return nil
}

func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.admit()
}

// admit gives turns to those that wait longest. mu is held.
func (t *turns) admit() {
	for rank := range t.waiting {
		for len(t.waiting[rank]) > 0 && t.running < t.max {
			first := t.waiting[rank][0]
			t.waiting[rank][0] = nil
			t.waiting[rank] = t.waiting[rank][1:]
			t.running++
			first <- t.end
		}
	}
}
