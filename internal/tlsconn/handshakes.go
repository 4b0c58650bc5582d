package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
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
	counted  counts
}

// Counts of handshakes. Each that had Begun ends as one of Succeeded, Failed, Left and
// MadeWay.
type Counts struct {
	Begun     uint64 // a place was taken
	Succeeded uint64 // and who the peer is was found
	Failed    uint64 // by what the peer or the configuration said
	Left      uint64 // the peer went away, or the time was over
	MadeWay   uint64 // for another, when all places were taken
	Full      uint64 // found no place, and nobody who would make way: they never began
	Now       int    // have begun and not ended
}

type counts struct{ begun, succeeded, failed, left, madeWay, full atomic.Uint64 }

// Counts reads what was counted since New; any goroutine.
func (h *Handshakes) Counts() Counts {
	n := &h.counted
	return Counts{
		Succeeded: n.succeeded.Load(), Failed: n.failed.Load(), Left: n.left.Load(), MadeWay: n.madeWay.Load(),
		Begun: n.begun.Load(), Full: n.full.Load(), Now: h.Begun(), // Begun after those that have ended: never less
	}
}

// ended counts the end of a handshake that had begun.
func (n *counts) ended(why reqchan.CloseReason, err error) {
	switch {
	case why == reqchan.ReasonNone:
		n.succeeded.Add(1)
	case errors.Is(err, errMadeWay):
		n.madeWay.Add(1)
	case errors.Is(err, errEnded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		n.left.Add(1)
	default:
		n.failed.Add(1)
	}
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
