package kring

import (
	"kring/acceptor"
	"kring/internal/budget"
	"kring/internal/measure"
	"kring/processor"
	"kring/reqchan"
)

// Handler answers requests. Handle is called from many goroutines at once, but
// (while Limits.PipelineMax is 1) for one request of a connection at a time, in the
// order they arrived. It must answer every request (Respond, NoResponse or
// CloseConnection), before it returns or later and from any goroutine. The first
// answer counts; others do nothing but be counted (Stats.Total.ExtraAnswers). With
// inline dispatch it must not block. A handler that panics costs its connection.
//
// A Handler that is a ConnWatcher is told of connections, one that is an APIReader says
// which API a request is of. A broker that speaks Kafka has kafka.Filter as its Handler and
// implements kafka.APIHandler behind it.
type Handler interface {
	Handle(r Request)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(r Request)

// Handle calls f.
func (f HandlerFunc) Handle(r Request) { f(r) }

// handleOf is the Handle of h, without a detour if it is a function.
func handleOf(h Handler) func(Request) {
	if f, ok := h.(HandlerFunc); ok {
		return f
	}
	return h.Handle
}

// ConnWatcher is a Handler that wants to know of connections. Both methods run
// on a processor's goroutine and must not block. ConnOpened comes before the
// first request of the connection, ConnClosed after its descriptor is closed;
// requests of it may still be with the handler then, and their answers are
// dropped.
type ConnWatcher interface {
	ConnOpened(c *Conn)
	ConnClosed(c *Conn, why CloseReason)
}

// APIReader is a Handler that knows which API a payload asks for; Config.Dispatch.APIOf
// goes before it.
type APIReader interface {
	APIOf(payload []byte) (key, version int16)
}

// Request is one frame on its way to a Handler and back: a value of four words, so keep a
// copy to answer later. All copies are the same request. What it has, with the whole text
// in `go doc kring/reqchan.Request`:
//
//	Payload() []byte          the frame without its size, valid until the answer
//	Conn() *Conn              the connection that it came by
//	Context()                 ends when nobody waits for the answer any more
//	API(), Version()          what Config.Dispatch.APIOf read
//	Seq()                     its place among the requests of its connection
//	Age()                     how long ago it arrived
//
// To answer, once:
//
//	Respond(payload)          with a frame; its size is written for you
//	RespondParts(parts, f)    with ranges of files; f is called when they are read
//	NoResponse()              with nothing
//	CloseConnection(why)      by closing the connection
//	CloseConnectionAfter(why, d, payload)
//	                          the same after a while, for failed authentication
//
// Before the answer:
//
//	Buffer(n) []byte          memory for the answer that is sent without a copy
//	Owns(b) bool              b is memory of this request that a connection of Connect may send or fill
//	ResponseRoom() int        how large the answer should be, in bytes
//	Owns(b) bool              b may go to the kernel: see UpstreamWrite
//	Throttle(d)               mute the connection after the answer (KIP-219)
//	AskedToWait(d)            the client asked for this: it is no slow request
//	SetErrorCode(code), ErrorCode()
//	                          what Stats counts the request by
//
// For handlers in front of others, such as kafka.Filter:
//
//	Truncate(n)               Payload ends after n bytes
//	BeforeAnswer(a)           a sees the answer before it is given
//	WatchAnswer(w)            w is told of it then, behind a
//	PaceResponse()            the handler waits for room itself
//	LoseMemory()              nobody gets the memory of Payload and Buffer again
//	ClosedByPanic() bool      for Events.HandlerPanicked
type Request = reqchan.Request

// Conn is what a Handler may know of the connection of a Request. It stays valid after
// the connection ended; any goroutine may read it. The whole text is in
// `go doc kring/reqchan.Conn`:
//
//	ID, Listener, Privileged  which connection, and by which listener it came
//	Processor()               the id of the processor that it lives on now
//	Local, Remote             its two ends; Local is what Metadata should name
//	ClientAddr()              the address that rules and limits go by
//	Proxy() *Proxy            what forwards it for its client (PROXY protocol); nil: nothing does
//	Name() ConnName           the id that Kafka gives it, for logs
//	Context(), Done(), Ended()
//	                          whether anybody waits for answers
//	EndDetail()               what exactly it ended for, where its reason does not say all
//	Attach(v), Attachment()   one value of the Handler's own
//	AttachSession(v), Session()
//	                          how far the Handler has come with authenticating the peer
//	SetAuthenticated(yes), Authenticated()
//	                          the Handler vouches for the peer
//	SetPrincipal(p), Principal()
//	                          who the peer is, such as User:alice
//	TLS(), SetTLS(s)          the state of its TLS handshake, nil on a plaintext listener
//	SetSoftware(s), Software()
//	                          what the client says that it is (KIP-511)
//	SetClientID(id), ClientID()
//	                          what it calls itself in its requests
//	Totals()                  what it did, once it has closed
type Conn = reqchan.Conn

// Proxy is what forwards a connection for its client, and what it said by the PROXY protocol,
// see ListenerConfig.ProxyProtocol: Remote and Local are the ends of its own connection to
// the Server; Version is the protocol's; ForItself says that it has no client, or names none;
// Paths are the client's ends on a Unix domain socket; TLVs are what else it said, TLV(kind)
// the first of a type. Whole: `go doc kring/reqchan.Proxy`.
type Proxy = reqchan.Proxy

// ConnName is the id that Kafka gives a connection, for logs: Local, Remote and ID. String
// is LOCAL-REMOTE-ID.
type ConnName = reqchan.ConnName

// Part is a piece of a response for Request.RespondParts: Bytes, or Length bytes of File
// from Offset on.
type Part = reqchan.Part

// CloseReason says why a connection ended: see the constants ReasonPeerFinished and so on.
// String, MarshalText and UnmarshalText are by its stable name, such as peer_finished.
type CloseReason = reqchan.CloseReason

// ConnInfo is what the Server knew of a connection at a moment; see Server.Conns. Its
// fields ID, Listener, Local, Remote, Principal and Software are what its Conn has under
// these names; State, Muted and MuteState say how far its life has come and why nothing
// more is started for it; Requests were cut, InFlight of them are not answered; BytesIn,
// BytesOut, HeldBytes and QueuedBytes, Age and Idle are counts and times; Rates and Latency
// are of lately. ClientID is the client's own text, TLS the version of the protocol. Whole: `go doc kring/processor.ConnInfo`.
type ConnInfo = processor.ConnInfo

// RequestStats is what is known of the requests of one API, since the start: its API;
// Versions and Errors, which count requests by version and by error code (0: none); Bytes of
// payloads; and the times, in microseconds, with Kafka's meaning: Queue until a handler
// began, Local while Handle ran, Remote until a later answer, Throttle, Response until the
// processor took the answer, Send until all was sent, Total. Add sums up. Whole:
// `go doc kring/processor.RequestStats`.
type RequestStats = processor.RequestStats

// Distribution is how values are distributed: Count of them, their Sum, the largest (Max),
// and Buckets, those that are not empty. Mean() is their mean, Quantile(q), such as 0.99,
// the value that so many are not above, with an error of a few per cent. Add(o) adds
// another; AddZeros(n) adds n values of 0.
type Distribution = measure.Distribution

// ResponseMemory is what responses take over all connections: Used of Max bytes now;
// Waiting stand in line for room now, Waited ever did.
type ResponseMemory = budget.Stats

// ServerFull is what there was when a connection found no free slot: the Listener that it
// came by; whether the bound is the whole Server's, and ConnsMax, its value; how many are
// Waiting in line and were Refused; and the Busiest address with its BusiestConns.
type ServerFull = acceptor.ServerFull

// Descriptors says what the descriptors of a process are for: Limit is RLIMIT_NOFILE, Own
// are the server's, Reserve is for what comes and goes, Files are the Handler's, Conns
// connections; Short is how many are missing for what was asked.
type Descriptors = acceptor.Descriptors

// NoConns as a bound per address lets in none.
const NoConns = acceptor.NoConns

// OtherAPI is the API of requests that have none that is known, or that is no
// key of this protocol.
const OtherAPI = processor.OtherAPI
