package kring

import "kring/reqchan"

// The reasons that connections end for, most ordinary first. The server gives most of
// them; a Handler gives those of what it refuses (Request.CloseConnection), which are
// marked so.
const (
	// ReasonNone: the connection is open.
	ReasonNone = reqchan.ReasonNone
	// ReasonPeerFinished: the client closed the connection, or finished sending.
	ReasonPeerFinished = reqchan.PeerFinished
	// ReasonPeerReset: the client reset the connection, or it broke on the way.
	ReasonPeerReset = reqchan.PeerReset
	// ReasonServerDraining: the server was shut down.
	ReasonServerDraining = reqchan.ServerDraining
	// ReasonListenerRemoved: the listener that it came by was removed.
	ReasonListenerRemoved = reqchan.ListenerRemoved
	// ReasonIdleExpired: neither side said anything for the idle timeout.
	ReasonIdleExpired = reqchan.IdleExpired
	// ReasonWriteTimeout: the client took nothing of a response for too long.
	ReasonWriteTimeout = reqchan.WriteTimeout
	// ReasonFrameTooBig: a frame said that it is larger than frames may be.
	ReasonFrameTooBig = reqchan.FrameTooBig
	// ReasonFrameSizeNegative: a frame said that its size is negative.
	ReasonFrameSizeNegative = reqchan.FrameSizeNegative
	// ReasonHeaderMalformed (handlers): the request's header can't be read.
	ReasonHeaderMalformed = reqchan.HeaderMalformed
	// ReasonUnknownAPI (handlers): the request is of an API that is not served.
	ReasonUnknownAPI = reqchan.UnknownAPI
	// ReasonUnsupportedVersion (handlers): the API is served, but not in this version.
	ReasonUnsupportedVersion = reqchan.UnsupportedVersion
	// ReasonBodyMalformed (handlers): the request's body can't be read.
	ReasonBodyMalformed = reqchan.BodyMalformed
	// ReasonHandlerClosed (handlers): any other reason of the handler's own.
	ReasonHandlerClosed = reqchan.HandlerClosed
	// ReasonFileFailed: a file of a response could not be read, or was shorter than said.
	ReasonFileFailed = reqchan.FileFailed
	// ReasonHandlerPanicked: the handler panicked before it answered.
	ReasonHandlerPanicked = reqchan.HandlerPanicked
	// ReasonBackendFailed (handlers): what the handler forwards to did not answer.
	ReasonBackendFailed = reqchan.BackendFailed
	// ReasonEngineFailed: the processor's engine died.
	ReasonEngineFailed = reqchan.EngineFailed
	// ReasonMuteStateIllegal: a step that the connection's mute state does not allow,
	// a fault of the server's own.
	ReasonMuteStateIllegal = reqchan.MuteStateIllegal
	// ReasonSlowReader: it left more responses unread than it may, and the policy is to
	// close.
	ReasonSlowReader = reqchan.SlowReader
	// ReasonAuthenticationFailed (handlers): who the client says it is was not proved. TLSConfig.Principal
	// gives it as well.
	ReasonAuthenticationFailed = reqchan.AuthenticationFailed
	// ReasonEvicted: it had to make room for a connection of the protected listener.
	ReasonEvicted = reqchan.Evicted
	// ReasonMemoryRefused: the system had no memory for a frame or for a response.
	ReasonMemoryRefused = reqchan.MemoryRefused
	// ReasonHeldMemoryFull: it brought bytes that could not be cut, when all connections held as
	// many as there is memory for.
	ReasonHeldMemoryFull = reqchan.HeldMemoryFull
	// ReasonResponseMemoryFull: what it answered found no room in Memory.ResponseBytesMax, in its
	// time or ever. Of connections that the Server makes (Connect).
	ReasonResponseMemoryFull = reqchan.ResponseMemoryFull
	// ReasonFrameTimeout: a frame that was begun did not come, or came too slowly.
	ReasonFrameTimeout = reqchan.FrameTimeout
	// ReasonNotAuthenticated (handlers): it asked for something before it had authenticated.
	ReasonNotAuthenticated = reqchan.NotAuthenticated
	// ReasonSessionExpired (handlers): it went on when what authenticated it had expired,
	// without authenticating again.
	ReasonSessionExpired = reqchan.SessionExpired
	// ReasonAuthenticationOverload (handlers): too many others were being authenticated.
	ReasonAuthenticationOverload = reqchan.AuthenticationOverload
	// ReasonClosedByAdmin: whoever runs the server closed it (Server.CloseConns).
	ReasonClosedByAdmin = reqchan.ClosedByAdmin
	// ReasonHandshakeFailed: the TLS handshake failed, or what came after it was no TLS.
	ReasonHandshakeFailed = reqchan.HandshakeFailed
	// ReasonHandshakeTimeout: the TLS handshake was not done in its time.
	ReasonHandshakeTimeout = reqchan.HandshakeTimeout
	// ReasonHandshakesFull: as many TLS handshakes had begun as there may be.
	ReasonHandshakesFull = reqchan.HandshakesFull
	// ReasonTruncated: the client's bytes ended inside TLS without close_notify, so that
	// something may be missing.
	ReasonTruncated = reqchan.Truncated
	// ReasonPlaintextOnTLS: the client speaks no TLS, on a listener that does.
	ReasonPlaintextOnTLS = reqchan.PlaintextOnTLS
	// ReasonTLSOnPlaintext: the client speaks TLS, on a listener in plain text.
	ReasonTLSOnPlaintext = reqchan.TLSOnPlaintext
	// ReasonHTTPRequest: the client speaks HTTP.
	ReasonHTTPRequest = reqchan.HTTPRequest
	// ReasonAuthenticationTimeout: it had not authenticated in its time.
	ReasonAuthenticationTimeout = reqchan.AuthenticationTimeout
	// ReasonProxyHeaderMissing: it came from a trusted forwarder, and did not begin with a
	// PROXY protocol header.
	ReasonProxyHeaderMissing = reqchan.ProxyHeaderMissing
	// ReasonProxyHeaderMalformed: its PROXY protocol header can't be read.
	ReasonProxyHeaderMalformed = reqchan.ProxyHeaderMalformed
	// ReasonProxyHeaderUntrusted: it began with a PROXY protocol header, and came from an
	// address that is not trusted to forward.
	ReasonProxyHeaderUntrusted = reqchan.ProxyHeaderUntrusted
	// ReasonProxyHeaderTimeout: its PROXY protocol header did not come in time.
	ReasonProxyHeaderTimeout = reqchan.ProxyHeaderTimeout
	// ReasonAddressFull: the address that a PROXY protocol header names has as many
	// connections as it may have. (Without a header such a connection is refused, and not
	// opened: Stats.RefusedBy counts it by the same name.)
	ReasonAddressFull = reqchan.AddressFull
	// ReasonAddressRate: the address that a PROXY protocol header names makes more
	// connections a second than it may; likewise.
	ReasonAddressRate = reqchan.AddressRate
)
