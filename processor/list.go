package processor

import (
	"net/netip"
	"time"

	"kring/reqchan"
)

// listedPerPassMax is how many slots a listing looks at in one pass, so that
// listing very many connections holds up none of them.
const listedPerPassMax = 512

// ConnInfo is what a processor knew of a connection at a moment.
type ConnInfo struct {
	ID            reqchan.ConnID
	Listener      string
	Local, Remote netip.AddrPort
	Principal     string
	Software      reqchan.Software
	// State says how far its life has come.
	State ConnState
	// Muted says why nothing more is started for it; MutedNot while it may go on.
	Muted MutedBy
	// MuteState is Kafka's name of the same, without the reason: NOT_MUTED, MUTED,
	// MUTED_AND_RESPONSE_PENDING, MUTED_AND_THROTTLED or
	// MUTED_AND_THROTTLED_AND_RESPONSE_PENDING.
	MuteState string
	// Requests were cut so far; InFlight of them are not answered.
	Requests uint64
	InFlight int
	// BytesIn and BytesOut were received and sent. HeldBytes were received and
	// are not cut, QueuedBytes are responses that were not sent.
	BytesIn, BytesOut      uint64
	HeldBytes, QueuedBytes int
	// Age is how long it has been adopted; Idle how long nothing was received or
	// sent.
	Age, Idle time.Duration
}

// ConnState is how far the life of a connection has come.
type ConnState string

// The states.
const (
	ConnOpen      ConnState = "open"
	ConnPeerDone  ConnState = "peer_finished" // it sent all it will; what it sent is served
	ConnFinishing ConnState = "finishing"     // closes once its responses are out
	ConnEnding    ConnState = "ending"        // waits for the last completions
)

// MutedBy is why nothing more is started for a connection.
type MutedBy string

// The reasons.
const (
	MutedNot             MutedBy = ""
	MutedEnding          MutedBy = "ending"
	MutedDraining        MutedBy = "draining"
	MutedMoving          MutedBy = "moving"           // to another processor
	MutedThrottled       MutedBy = "throttled"        // by an answer, or as a slow reader
	MutedParked          MutedBy = "parked"           // its last response and its end wait
	MutedInFlight        MutedBy = "in_flight"        // as many requests as may be
	MutedShare           MutedBy = "share"            // it has its share of the request channel
	MutedQueuedResponses MutedBy = "queued_responses" // its peer doesn't read
	MutedMemory          MutedBy = "memory"           // waits for bytes of the request channel
	MutedReceiveBuffer   MutedBy = "receive_buffer"   // waits for a buffer to receive into
)

// Listing is a walk over the connections, some of them in each pass.
type Listing struct {
	at    int // the slot to look at next
	found []ConnInfo
	done  chan struct{}
}

// Done is closed when the walk is over, or the processor has ended.
func (l *Listing) Done() <-chan struct{} { return l.done }

// Conns are the connections, once Done is closed; none if the processor has ended.
// The slice is for all who asked.
func (l *Listing) Conns() []ConnInfo { return l.found }

// List asks for the connections. Those who ask before the walk begins get the same.
// Any goroutine.
func (p *Processor) List() *Listing {
	e := &p.errands
	e.mu.Lock()
	l := e.listing
	first := l == nil
	if first {
		l = &Listing{done: make(chan struct{})}
		e.listing = l
	}
	e.mu.Unlock()
	if first {
		p.list(l)
	}
	return l
}

// list has a listing go on in the next pass.
func (p *Processor) list(l *Listing) {
	if !p.do(func() { p.listSome(l) }) {
		p.begun(l)
		l.found = nil
		close(l.done)
	}
}

// begun has those who ask from here on wait for another listing.
func (p *Processor) begun(l *Listing) {
	p.errands.mu.Lock()
	defer p.errands.mu.Unlock()
	if p.errands.listing == l {
		p.errands.listing = nil
	}
}

func (p *Processor) listSome(l *Listing) {
	if l.at == 0 {
		p.begun(l)
	}
	for n := 0; n < listedPerPassMax && l.at < len(p.conns); n++ {
		if c := p.conns[l.at]; c.info != nil {
			l.found = append(l.found, p.describe(c))
		}
		l.at++
	}
	if l.at < len(p.conns) {
		p.list(l)
		return
	}
	close(l.done)
}

func (p *Processor) describe(c *conn) ConnInfo {
	i := ConnInfo{
		ID: c.info.ID, Listener: c.info.Listener, Local: c.info.Local, Remote: c.info.Remote,
		Principal: c.info.Principal(), MuteState: c.mute.String(),
		Software: c.info.Software(), State: c.state(), Muted: p.mutedBy(c),
		Requests: c.requests, InFlight: c.withHandlers(),
		BytesIn: c.bytesIn, BytesOut: c.bytesOut, HeldBytes: c.in.Held(),
		Age: time.Duration(p.now - c.opened), Idle: time.Duration(p.now - c.active),
	}
	if c.out != nil {
		i.QueuedBytes = c.out.queued
	}
	return i
}

func (c *conn) state() ConnState {
	switch {
	case c.ending:
		return ConnEnding
	case c.finishing:
		return ConnFinishing
	case c.eof:
		return ConnPeerDone
	}
	return ConnOpen
}

func (p *Processor) mutedBy(c *conn) MutedBy {
	switch {
	case c.parked != nil:
		return MutedParked
	case c.ending || c.finishing:
		return MutedEnding
	case c.phase == retiring:
		return MutedMoving
	case c.phase != serving:
		return MutedDraining
	case c.starved:
		return MutedReceiveBuffer
	case c.waiting || c.turn != nil:
		return MutedMemory
	case c.mute.throttled():
		return MutedThrottled
	case c.inFlight >= c.pipelineMax():
		return MutedInFlight
	case c.out != nil && c.out.queued >= p.outputMax(c):
		return MutedQueuedResponses
	case c.inFlight > 0 && !p.mayCrowd(c):
		return MutedShare
	}
	return MutedNot
}
