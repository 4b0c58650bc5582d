package processor

import "kring/internal/conn"

// What a connection is known by outside: see the package of that name for what it does.
type (
	// Settings are what connections go by.
	Settings = conn.Settings
	// Listener is what the connections of one listener share, over all processors.
	Listener = conn.Listener
	// SlowReader says what happens to a connection that leaves too much unread.
	SlowReader = conn.SlowReader
	// ConnInfo is what a processor knew of a connection at a moment.
	ConnInfo = conn.Info
	// ConnState is how far the life of a connection has come.
	ConnState = conn.State
	// MutedBy is why nothing more is started for a connection.
	MutedBy = conn.MutedBy
	// RequestStats is what is known of the requests of one API.
	RequestStats = conn.RequestStats
	// Distribution is how values are distributed.
	Distribution = conn.Distribution
	// DeprecatedUse is who uses what should not be used any more (KIP-896).
	DeprecatedUse = conn.DeprecatedUse
)

// The values of SlowReader.
const (
	SlowReaderPause    = conn.SlowReaderPause
	SlowReaderThrottle = conn.SlowReaderThrottle
	SlowReaderClose    = conn.SlowReaderClose
)

// The values of ConnState.
const (
	ConnOpen      = conn.Open
	ConnPeerDone  = conn.PeerDone
	ConnFinishing = conn.Finishing
	ConnEnding    = conn.Ending
)

// The values of MutedBy.
const (
	MutedNot             = conn.MutedNot
	MutedEnding          = conn.MutedEnding
	MutedDraining        = conn.MutedDraining
	MutedMoving          = conn.MutedMoving
	MutedThrottled       = conn.MutedThrottled
	MutedParked          = conn.MutedParked
	MutedInFlight        = conn.MutedInFlight
	MutedShare           = conn.MutedShare
	MutedQueuedResponses = conn.MutedQueuedResponses
	MutedMemory          = conn.MutedMemory
	MutedReceiveBuffer   = conn.MutedReceiveBuffer
)

// OtherAPI stands for all requests whose API is not known.
const OtherAPI = conn.OtherAPI

// What a processor may keep of what all share without using it: of the request channel's
// bytes, of the budget of all responses (the share of small ones must leave room beside
// that), and of Config.Held.
const (
	HoardedBytesMax  = conn.HoardedBytesMax
	HoardedOutputMax = conn.HoardedOutputMax
	HoardedHeldMax   = conn.HoardedHeldMax
)

// ErrGoexit is what the Panicked hook is told when a handler called runtime.Goexit on the
// processor.
var ErrGoexit = conn.ErrGoexit

// NewListener makes a Listener. privileged is for handlers to see (Kafka: the request came
// by the control plane's or the brokers' own listener).
func NewListener(name string, privileged bool, s Settings) *Listener {
	return conn.NewListener(name, privileged, s)
}
