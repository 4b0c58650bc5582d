package reqchan

// CloseReason says why a connection ended. It is a closed set, counted per
// reason.
type CloseReason uint8

// The reasons, most ordinary first.
const (
	ReasonNone CloseReason = iota
	PeerFinished
	PeerReset
	ServerDraining
	ListenerRemoved
	IdleExpired
	WriteTimeout
	FrameTooBig
	FrameSizeNegative
	HeaderMalformed
	UnknownAPI
	UnsupportedVersion
	BodyMalformed
	HandlerClosed
	FileFailed
	HandlerPanicked
	BackendFailed
	EngineFailed
	// MuteStateIllegal: a step that the connection's mute state does not allow,
	// a fault of the server's own.
	MuteStateIllegal
	// SlowReader: it left more responses unread than it may, and the policy is to
	// close.
	SlowReader
	// AuthenticationFailed is for handlers that authenticate.
	AuthenticationFailed
	// Evicted: it had to make room for a connection of the protected listener.
	Evicted
	// MemoryRefused: the system had no memory for a frame or for a response.
	MemoryRefused
	// HeldMemoryFull: it brought bytes that could not be cut, when all connections held as
	// many as there is memory for.
	HeldMemoryFull
	// FrameTimeout: a frame that was begun did not come, or came too slowly.
	FrameTimeout
	// ReasonCount is how many there are.
	ReasonCount
)

var reasonNames = [ReasonCount]string{
	ReasonNone:         "none",
	PeerFinished:       "peer_finished",
	PeerReset:          "peer_reset",
	ServerDraining:     "server_draining",
	ListenerRemoved:    "listener_removed",
	IdleExpired:        "idle_expired",
	WriteTimeout:       "write_timeout",
	FrameTooBig:        "frame_too_big",
	FrameSizeNegative:  "frame_size_negative",
	HeaderMalformed:    "header_malformed",
	UnknownAPI:         "unknown_api",
	UnsupportedVersion: "unsupported_version",
	BodyMalformed:      "body_malformed",
	HandlerClosed:      "handler_closed",
	FileFailed:         "file_failed",
	HandlerPanicked:    "handler_panicked",
	BackendFailed:      "backend_failed",
	EngineFailed:       "engine_failed",

	MuteStateIllegal:     "mute_state_illegal",
	SlowReader:           "slow_reader",
	AuthenticationFailed: "authentication_failed",
	Evicted:              "evicted",
	MemoryRefused:        "memory_refused",
	HeldMemoryFull:       "held_memory_full",
	FrameTimeout:         "frame_timeout",
}

// String is the reason's stable name in logs and metrics.
func (r CloseReason) String() string {
	if r < ReasonCount {
		return reasonNames[r]
	}
	return "unknown"
}
