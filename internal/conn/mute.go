package conn

import "kring/reqchan"

// muteState says whether a connection is served further, in Kafka's five states
// (KafkaChannel.ChannelMuteState). Muted means that no request of it is cut;
// Kafka stops reading as well, here what arrives is held up to HeldBytesMax
// and only then does TCP push back.
//
// "Response pending" means that something is in flight. With PipelineMax 1
// that keeps the connection muted, as in Kafka; with more it is served on, up to
// PipelineMax, and the steps of the table are those of the first request that
// goes out and of the last answer that comes home. muted alone, with nothing
// in flight, means that the connection waits for something else: for memory,
// or for its peer to read what is queued.
type muteState uint8

const (
	notMuted muteState = iota
	muted
	mutedResponsePending
	mutedThrottled
	mutedThrottledResponsePending
	muteStates

	// noState is where an illegal step leads.
	noState
)

// muteStep is what happens to a muteState (Kafka: mute, ChannelMuteEvent,
// maybeUnmute).
type muteStep uint8

const (
	stepMute muteStep = iota
	stepRequestReceived
	stepResponseSent
	stepThrottleStarted
	stepThrottleEnded
	stepUnmute
	muteSteps
)

// muteTable is Kafka's. A step that changes nothing is legal where Kafka
// ignores it.
var muteTable = [noState + 1][muteSteps]muteState{
	notMuted:                      {muted, noState, noState, noState, noState, notMuted},
	muted:                         {muted, mutedResponsePending, noState, noState, noState, notMuted},
	mutedResponsePending:          {mutedResponsePending, noState, muted, mutedThrottledResponsePending, noState, mutedResponsePending},
	mutedThrottled:                {mutedThrottled, noState, noState, noState, muted, mutedThrottled},
	mutedThrottledResponsePending: {mutedThrottledResponsePending, noState, mutedThrottled, noState, mutedResponsePending, mutedThrottledResponsePending},
	noState:                       {noState, noState, noState, noState, noState, noState},
}

var muteNames = [...]string{"NOT_MUTED", "MUTED", "MUTED_AND_RESPONSE_PENDING", "MUTED_AND_THROTTLED",
	"MUTED_AND_THROTTLED_AND_RESPONSE_PENDING", "", "ILLEGAL"}

// String is Kafka's name.
func (s muteState) String() string { return muteNames[s] }

func (s muteState) throttled() bool {
	return s == mutedThrottled || s == mutedThrottledResponsePending
}

// step makes one step of c's mute state. After an illegal one nobody knows what
// the connection may do: it is closed, and that is counted.
func (c *Conn) step(s muteStep) {
	if c.mute = muteTable[c.mute][s]; c.mute == noState {
		c.endBatch()
		c.terminate(reqchan.MuteStateIllegal)
	}
}

// countStarted counts in a request that leaves for its handler.
func (c *Conn) countStarted() {
	if c.pipeline.inFlight++; c.pipeline.inFlight == 1 {
		c.step(stepMute)
		c.step(stepRequestReceived)
	} else {
		c.shared.runs.followers++
	}
}

// countAnswered counts out a request whose answer came home. Order: its throttle starts
// before its response is sent, so that the connection is never unmuted between
// the two.
func (c *Conn) countAnswered(r *reqchan.Job) {
	if until := r.ThrottledUntil(); until > c.shared.now && until > reqchan.Now() {
		c.throttle(until)
		r.Times.Throttled = min(until-c.shared.now, int64(c.set.ThrottleMax))
	}
	c.wentHome()
}

// wentHome counts out a request.
func (c *Conn) wentHome() {
	if c.pipeline.inFlight--; c.pipeline.inFlight == 0 {
		c.step(stepResponseSent)
	} else {
		c.shared.runs.followers--
	}
}

// settleMute says what the connection is after all was cut that may be.
func (c *Conn) settleMute() {
	switch {
	case c.mute == muted && !c.waits.again() && c.mayCut():
		c.step(stepUnmute)
	case c.mute == notMuted && (c.waits.again() || !c.mayCut()):
		c.step(stepMute)
	}
}
