package kring

import "kring/reqchan"

// Request is one frame on its way to a Handler and back. Its methods are the ways to
// answer: go doc kring/reqchan.Request.
type Request = reqchan.Request

// Conn is what a Handler may know of the connection of a Request.
type Conn = reqchan.Conn

// Part is a piece of a response: bytes, or a range of a file.
type Part = reqchan.Part

// ConnName is the id that Kafka gives a connection, for logs.
type ConnName = reqchan.ConnName

// CloseReason says why a connection ended.
type CloseReason = reqchan.CloseReason

// Handler answers requests. Handle is called from many goroutines at once, but
// (while Limits.PipelineMax is 1) for one request of a connection at a time, in the
// order they arrived. It must answer every request (Respond, NoResponse or
// CloseConnection), before it returns or later and from any goroutine. The first
// answer counts; others do nothing but be counted (Stats.Total.ExtraAnswers). With
// inline dispatch it must not block.
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
