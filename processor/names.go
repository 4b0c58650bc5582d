package processor

import "kring/internal/conn"

// What a connection is known by outside: see the package of that name for what it does.
type (
	// ConnConfig is what the connections of one processor have in common.
	ConnConfig = conn.Config
	// Hooks are called on the processor's goroutine and must not block.
	Hooks = conn.Hooks
	// Settings are what connections go by.
	Settings = conn.Settings
	// Listener is what the connections of one listener share, over all processors.
	Listener = conn.Listener
	// MakeTransport makes what stands between the wire and the frames of a connection.
	MakeTransport = conn.MakeTransport
	// SlowReader says what happens to a connection that leaves too much unread.
	SlowReader = conn.SlowReader
	// ConnInfo is what a processor knew of a connection at a moment.
	ConnInfo = conn.Info
	// ConnRates are what a connection did in a second, lately.
	ConnRates = conn.Rates
	// ConnLatency is how long its requests took, lately.
	ConnLatency = conn.Latency
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
	// SlowRequest is a request that took long, and where.
	SlowRequest = conn.SlowRequest
)

// The values of SlowReader.
const (
	// SlowReaderPause starts nothing more of it until it reads on.
	SlowReaderPause = conn.SlowReaderPause
	// SlowReaderThrottle also mutes it for a second.
	SlowReaderThrottle = conn.SlowReaderThrottle
	// SlowReaderClose closes it.
	SlowReaderClose = conn.SlowReaderClose
)

// The values of ConnState.
const (
	// ConnOpen: it is served.
	ConnOpen = conn.Open
	// ConnPreface: its forwarder has not said who its client is (PROXY protocol).
	ConnPreface = conn.Preface
	// ConnPeerDone: it sent all it will; what it sent is served.
	ConnPeerDone = conn.PeerDone
	// ConnFinishing: it closes once its responses are out.
	ConnFinishing = conn.Finishing
	// ConnEnding: it waits for its last completions.
	ConnEnding = conn.Ending
)

// The values of MutedBy.
const (
	// MutedNot: it may go on.
	MutedNot = conn.MutedNot
	// MutedEnding: it is closing.
	MutedEnding = conn.MutedEnding
	// MutedDraining: its server or its listener finishes.
	MutedDraining = conn.MutedDraining
	// MutedMoving: to another processor.
	MutedMoving = conn.MutedMoving
	// MutedThrottled: by an answer, or as a slow reader.
	MutedThrottled = conn.MutedThrottled
	// MutedParked: its last response and its end wait.
	MutedParked = conn.MutedParked
	// MutedInFlight: as many of its requests as may be are in flight.
	MutedInFlight = conn.MutedInFlight
	// MutedWaiting: the same, and the newest of them is a long poll, which asked to wait.
	MutedWaiting = conn.MutedWaiting
	// MutedShare: it has its share of the request channel.
	MutedShare = conn.MutedShare
	// MutedQueuedResponses: its peer doesn't read.
	MutedQueuedResponses = conn.MutedQueuedResponses
	// MutedMemory: it waits for bytes of the request channel.
	MutedMemory = conn.MutedMemory
	// MutedReceiveBuffer: it waits for a buffer to receive into.
	MutedReceiveBuffer = conn.MutedReceiveBuffer
)

// OtherAPI stands for all requests whose API is not known.
const OtherAPI = conn.OtherAPI

// What a processor may keep of what all share without using it: of the request channel's
// bytes, of the budget of all responses (the share of small ones must leave room beside
// that), and of Config.Held.
const (
	// HoardedBytesMax is of the request channel's bytes.
	HoardedBytesMax = conn.HoardedBytesMax
	// HoardedOutputMax is of the budget of all responses.
	HoardedOutputMax = conn.HoardedOutputMax
	// HoardedHeldMax is of Config.Held.
	HoardedHeldMax = conn.HoardedHeldMax
)

// ErrGoexit is what the Panicked hook is told when a handler called runtime.Goexit on the
// processor.
var ErrGoexit = conn.ErrGoexit

// NewListener makes a Listener. privileged is for handlers to see (Kafka: the request came
// by the control plane's or the brokers' own listener).
func NewListener(name string, privileged bool, s Settings) *Listener {
	return conn.NewListener(name, privileged, s)
}
