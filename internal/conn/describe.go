package conn

import (
	"crypto/tls"
	"net/netip"
	"time"

	"kring/reqchan"
)

// Info is what a processor knew of a connection at a moment.
type Info struct {
	ID            reqchan.ConnID
	Listener      string
	Local, Remote netip.AddrPort
	Principal     string
	// ClientID is the client's own text, see reqchan.Conn.ClientID.
	ClientID string
	Software reqchan.Software
	// TLS is the protocol's version, such as "TLS 1.3"; empty in plain text.
	TLS string
	// State says how far its life has come.
	State State
	// Muted says why nothing more is started for it; MutedNot while it may go on.
	Muted MutedBy
	// MuteState is Kafka's name of the same, without the reason: NOT_MUTED, MUTED,
	// MUTED_AND_RESPONSE_PENDING, MUTED_AND_THROTTLED or
	// MUTED_AND_THROTTLED_AND_RESPONSE_PENDING.
	MuteState string
	// Requests were cut so far; InFlight of them are not answered.
	Requests uint64
	InFlight int
	// BytesIn and BytesOut were received and sent. HeldBytes were received, and no
	// handler has begun with them; QueuedBytes are responses that were not sent.
	BytesIn, BytesOut      uint64
	HeldBytes, QueuedBytes int
	// Age is how long it has been adopted; Idle how long nothing was received or
	// sent.
	Age, Idle time.Duration
	Rates     Rates
	Latency   Latency
}

// State is how far the life of a connection has come.
type State string

// The states.
const (
	Open      State = "open"
	Preface   State = "proxy_header"  // its forwarder has not said who its client is
	PeerDone  State = "peer_finished" // it sent all it will; what it sent is served
	Finishing State = "finishing"     // closes once its responses are out
	Ending    State = "ending"        // waits for the last completions
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
	MutedWaiting         MutedBy = "waiting"          // the same, and the newest asked to wait: no fault
	MutedShare           MutedBy = "share"            // it has its share of the request channel
	MutedQueuedResponses MutedBy = "queued_responses" // its peer doesn't read
	MutedMemory          MutedBy = "memory"           // waits for bytes of the request channel
	MutedReceiveBuffer   MutedBy = "receive_buffer"   // waits for a buffer to receive into
)

func (c *Conn) Describe() Info {
	i := Info{
		ID: c.info.ID, Listener: c.info.Listener, Local: c.info.Local, Remote: c.info.Remote,
		Principal: c.info.Principal(), MuteState: c.mute.String(),
		ClientID: c.info.ClientID(), Software: c.info.Software(), State: c.state(), Muted: c.mutedBy(),
		Requests: c.pipeline.cut, InFlight: c.withHandlers(),
		BytesIn: c.in.bytes, BytesOut: c.out.bytes, HeldBytes: c.in.frames.Held() + int(c.pipeline.followed),
		Age: time.Duration(c.shared.now - c.at.opened), Idle: time.Duration(c.shared.now - c.at.active), QueuedBytes: c.out.queued(),
	}
	i.Rates, i.Latency = c.lately()
	if s := c.info.TLS(); s != nil {
		i.TLS = tls.VersionName(s.Version)
	}
	return i
}

func (c *Conn) state() State {
	switch {
	case c.life >= ending:
		return Ending
	case c.life >= finishing:
		return Finishing
	case c.in.receive == receiveOver:
		return PeerDone
	case c.preface != nil:
		return Preface
	}
	return Open
}

func (c *Conn) mutedBy() MutedBy {
	switch {
	case c.out.parked != nil || c.preface != nil && c.preface.parked:
		return MutedParked
	case c.life >= finishing:
		return MutedEnding
	case c.life == leaving:
		return MutedMoving
	case c.life == draining:
		return MutedDraining
	case c.waits.buffer:
		return MutedReceiveBuffer
	case c.waits.again() || c.waits.ticket != nil:
		return MutedMemory
	case c.mute.throttled():
		return MutedThrottled
	case c.pipeline.inFlight >= c.pipelineMax() && c.pipeline.polls:
		return MutedWaiting
	case c.pipeline.inFlight >= c.pipelineMax():
		return MutedInFlight
	case c.out.queued() >= c.outputMax():
		return MutedQueuedResponses
	case c.pipeline.inFlight > 0 && !c.mayCrowd():
		return MutedShare
	}
	return MutedNot
}

// Closing says that it will be served no more.
func (c *Conn) Closing() bool { return c.life >= finishing }

// Busy says that it has a request in flight or under way, or a response to send.
func (c *Conn) Busy() bool {
	return !c.pipeline.empty() || c.out.sending || c.in.receive == receiveFrame
}

// Ended says that it only waits for its last completions.
func (c *Conn) Ended() bool { return c.life >= ending }

// HoldsBehind says that answers of c wait for the one to r.
func (c *Conn) HoldsBehind(r *reqchan.Job) bool {
	return c.pipeline.order != nil && c.pipeline.order.holdsBehind(r.Seq)
}

// Residue names what the connection has that it must not have at rest; "" is nothing.
func (c *Conn) Residue() string {
	switch {
	case c.info == nil:
	case c.out.unsent != nil:
		return "has output"
	case c.pipeline.followed != 0:
		return "has requests that follow others"
	case c.mute != notMuted && c.life == serving:
		return "is " + c.mute.String()
	}
	return ""
}
