package reqchan

import (
	"fmt"
	"slices"
)

// CloseReason says why a connection ended. It is a closed set, counted per
// reason; as text it is its stable name.
type CloseReason uint8

// The reasons, most ordinary first. The server gives most of them; a handler gives
// those of what it refuses (CloseConnection), which are marked so.
const (
	// ReasonNone: the connection is open.
	ReasonNone CloseReason = iota
	// PeerFinished: the client closed the connection, or finished sending.
	PeerFinished
	// PeerReset: the client reset the connection, or it broke on the way.
	PeerReset
	// ServerDraining: the server was shut down.
	ServerDraining
	// ListenerRemoved: the listener that it came by was removed.
	ListenerRemoved
	// IdleExpired: neither side said anything for the idle timeout.
	IdleExpired
	// WriteTimeout: the client took nothing of a response for too long.
	WriteTimeout
	// FrameTooBig: a frame said that it is larger than frames may be.
	FrameTooBig
	// FrameSizeNegative: a frame said that its size is negative.
	FrameSizeNegative
	// HeaderMalformed (handlers): the request's header can't be read.
	HeaderMalformed
	// UnknownAPI (handlers): the request is of an API that is not served.
	UnknownAPI
	// UnsupportedVersion (handlers): the API is served, but not in this version.
	UnsupportedVersion
	// BodyMalformed (handlers): the request's body can't be read.
	BodyMalformed
	// HandlerClosed (handlers): any other reason of the handler's own.
	HandlerClosed
	// FileFailed: a file of a response could not be read, or was shorter than said.
	FileFailed
	// HandlerPanicked: the handler panicked before it answered.
	HandlerPanicked
	// BackendFailed (handlers): what the handler forwards to did not answer.
	BackendFailed
	// EngineFailed: the processor's engine died.
	EngineFailed
	// MuteStateIllegal: a step that the connection's mute state does not allow,
	// a fault of the server's own.
	MuteStateIllegal
	// SlowReader: it left more responses unread than it may, and the policy is to
	// close.
	SlowReader
	// AuthenticationFailed (handlers): who the client says it is was not proved. TLSConfig.Principal
	// gives it as well.
	AuthenticationFailed
	// Evicted: it had to make room for a connection of the protected listener.
	Evicted
	// MemoryRefused: the system had no memory for a frame or for a response.
	MemoryRefused
	// HeldMemoryFull: it brought bytes that could not be cut, when all connections held as
	// many as there is memory for.
	HeldMemoryFull
	// ResponseMemoryFull: what it answered found no room in the memory of all responses, in
	// its time or ever. Of connections that the server makes.
	ResponseMemoryFull
	// FrameTimeout: a frame that was begun did not come, or came too slowly.
	FrameTimeout
	// HandshakeFailed: the TLS handshake failed, or what came after it was no TLS.
	HandshakeFailed
	// HandshakeTimeout: the TLS handshake was not done in its time.
	HandshakeTimeout
	// HandshakesFull: as many TLS handshakes had begun as there may be.
	HandshakesFull
	// Truncated: the client's bytes ended inside TLS without close_notify, so that
	// something may be missing.
	Truncated
	// PlaintextOnTLS: the client speaks no TLS, on a listener that does.
	PlaintextOnTLS
	// TLSOnPlaintext: the client speaks TLS, on a listener in plain text.
	TLSOnPlaintext
	// HTTPRequest: the client speaks HTTP.
	HTTPRequest
	// ProxyHeaderMissing: it came from a trusted forwarder, and did not begin with a PROXY
	// protocol header.
	ProxyHeaderMissing
	// ProxyHeaderMalformed: its PROXY protocol header can't be read.
	ProxyHeaderMalformed
	// ProxyHeaderUntrusted: it began with a PROXY protocol header, and came from an address
	// that is not trusted to forward.
	ProxyHeaderUntrusted
	// ProxyHeaderTimeout: its PROXY protocol header did not come in time.
	ProxyHeaderTimeout
	// AddressFull: the address that a PROXY protocol header names has as many connections
	// as it may have.
	AddressFull
	// AddressRate: the address that a PROXY protocol header names makes more connections a
	// second than it may.
	AddressRate
	// NotAuthenticated (handlers): it asked for something before it had authenticated.
	NotAuthenticated
	// AuthenticationTimeout: it had not authenticated in its time.
	AuthenticationTimeout
	// SessionExpired (handlers): it went on when what authenticated it had expired, without
	// authenticating again.
	SessionExpired
	// AuthenticationOverload (handlers): too many others were being authenticated.
	AuthenticationOverload
	// ClosedByAdmin: whoever runs the server closed it (Server.CloseConns).
	ClosedByAdmin
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
	ResponseMemoryFull:   "response_memory_full",
	FrameTimeout:         "frame_timeout",
	NotAuthenticated:     "not_authenticated",
	SessionExpired:       "session_expired",

	AuthenticationOverload: "authentication_overload",
	AuthenticationTimeout:  "authentication_timeout",
	ClosedByAdmin:          "closed_by_admin",

	HandshakeFailed:      "tls_handshake_failed",
	HandshakeTimeout:     "tls_handshake_timeout",
	HandshakesFull:       "tls_handshakes_full",
	Truncated:            "tls_truncated",
	PlaintextOnTLS:       "plaintext_on_tls",
	TLSOnPlaintext:       "tls_on_plaintext",
	HTTPRequest:          "http_request",
	ProxyHeaderMissing:   "proxy_header_missing",
	ProxyHeaderMalformed: "proxy_header_malformed",
	ProxyHeaderUntrusted: "proxy_header_untrusted",
	ProxyHeaderTimeout:   "proxy_header_timeout",
	AddressFull:          "address_full",
	AddressRate:          "address_rate",
}

// String is the reason's stable name in logs and metrics.
func (r CloseReason) String() string {
	if r < ReasonCount {
		return reasonNames[r]
	}
	return "unknown"
}

// MarshalText gives the name.
func (r CloseReason) MarshalText() ([]byte, error) {
	if r >= ReasonCount {
		return nil, fmt.Errorf("kring: %d is no CloseReason: choose one below %d", uint8(r), ReasonCount)
	}
	return []byte(r.String()), nil
}

// UnmarshalText takes a name; an error that has all names when text is none of them.
func (r *CloseReason) UnmarshalText(text []byte) error {
	i := slices.Index(reasonNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("kring: %q is no CloseReason: choose one of %q", text, reasonNames)
	}
	*r = CloseReason(i)
	return nil
}
