package processor_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"kring/internal/faultengine"
	"kring/processor"
	"kring/reqchan"
)

// patterns is what payloads are cut from, so that any two of some length differ.
var patterns = func() []byte {
	b := make([]byte, 1<<18)
	fill(rand.New(rand.NewPCG(1, 2)), b)
	return b
}()

// requestOf is the payload of a client's n-th request, responseOf what a handler
// of the script's answers to it.
func requestOf(client, n, size int) []byte { return patternAt(client*4099+n*257, size) }

func responseOf(client, n, size int) []byte { return patternAt(1<<16+client*4099+n*257, size) }

func patternAt(at, size int) []byte { return patterns[at%(1<<17):][:size] }

// client is one connection as its peer knows it, and what handlers did for it.
type client struct {
	number   int
	peer     *faultengine.Peer
	unsent   []byte
	sizes    []int // of the payloads of its requests, sent or not
	ends     []int // where in the stream they end
	written  int   // bytes of the stream
	bad      reqchan.CloseReason
	finished bool // it finished sending
	gone     bool // it closed, or reset

	depth   int // of its pipeline, when it was let in; 0: it was not
	closed  reqchan.CloseReason
	handled int // requests that came to a handler
	answers []answer
	left    int                 // answers that left, as far as their order goes
	due     []byte              // what it must read next
	ended   reqchan.CloseReason // an answer ended the connection
}

type answer struct {
	came     bool // the request, to a handler
	given    bool
	sends    bool
	response []byte
	closes   reqchan.CloseReason
}

func (p *player) dial() {
	if len(p.clients) >= 24 {
		return
	}
	peer, err := p.network.Dial(p.acceptor.Addr())
	if err != nil {
		p.fault("dial: %v", err)
		return
	}
	p.clients = append(p.clients, &client{number: len(p.clients), peer: peer})
}

// clientOf finds the one that a connection is with.
func (p *player) clientOf(conn *reqchan.Conn) *client {
	for _, c := range p.clients {
		if conn.Remote.String() == c.peer.LocalAddr().String() {
			return c
		}
	}
	p.fault("%v is nobody's connection", conn.Remote)
	return &client{depth: 1}
}

// ask has the client send one more request, when it comes to writing.
func (c *client) ask(size int) {
	if c.bad != 0 || c.finished || c.gone {
		return
	}
	c.unsent = binary.BigEndian.AppendUint32(c.unsent, uint32(size))
	c.unsent = append(c.unsent, requestOf(c.number, len(c.sizes), size)...)
	c.sizes = append(c.sizes, size)
	c.ends = append(c.ends, c.written+len(c.unsent))
}

// spoil has it send a size that can't be.
func (c *client) spoil(size uint32, why reqchan.CloseReason) {
	if c.bad != 0 || c.finished || c.gone {
		return
	}
	c.bad = why
	c.unsent = append(binary.BigEndian.AppendUint32(c.unsent, size), "and more"...)
}

// write writes up to n bytes and says whether it wrote any.
func (c *client) write(p *player, n int) bool {
	n = min(n, c.peer.Room(), len(c.unsent))
	if n == 0 || c.finished || c.gone {
		return false
	}
	if _, err := c.peer.Write(c.unsent[:n]); err != nil {
		p.fault("client %d: %v", c.number, err)
	}
	c.unsent = c.unsent[n:]
	c.written += n
	return true
}

// read reads up to n bytes, which must be the next of those that it was answered.
func (c *client) read(p *player, n int) bool {
	there, _ := c.peer.Pending()
	if n = min(n, there); n == 0 || c.gone {
		return false
	}
	b := make([]byte, n)
	if _, err := c.peer.Read(b); err != nil {
		p.fault("client %d: %v", c.number, err)
	}
	if n > len(c.due) || !bytes.Equal(b, c.due[:n]) {
		p.fault("client %d reads %d bytes that are not the next of the %d that it was answered", c.number, n, len(c.due))
		return false
	}
	c.due = c.due[n:]
	return true
}

// finish has it finish sending, close ends its connection, reset breaks it.
func (c *client) finish() {
	if !c.gone && !c.finished {
		c.finished = true
		_ = c.peer.CloseWrite()
	}
}

func (c *client) close() {
	if !c.gone {
		c.gone = true
		_ = c.peer.Close()
	}
}

func (c *client) reset() {
	if !c.gone {
		c.gone = true
		_ = c.peer.Reset()
	}
}

// whole is how many requests it sent to the end.
func (c *client) whole() (n int) {
	for n < len(c.ends) && c.ends[n] <= c.written {
		n++
	}
	return n
}

// comes notes that request n came to a handler, and says how many are with one.
func (c *client) comes(p *player, n int) (inFlight int) {
	for len(c.answers) <= n {
		c.answers = append(c.answers, answer{})
	}
	if c.answers[n].came {
		p.fault("request %d of client %d came to a handler twice", n, c.number)
	}
	c.answers[n].came = true
	c.handled++
	for _, a := range c.answers {
		if a.came && !a.given {
			inFlight++
		}
	}
	return inFlight
}

// answer notes an answer that is about to be given.
func (c *client) answer(n int, a answer) {
	a.came, a.given = true, true
	c.answers[n] = a
	for ; c.left < len(c.answers) && c.answers[c.left].given && c.ended == 0; c.left++ {
		a := c.answers[c.left]
		if a.sends {
			c.due = binary.BigEndian.AppendUint32(c.due, uint32(len(a.response)))
			c.due = append(c.due, a.response...)
		}
		c.ended = a.closes
	}
}

// mustBeServed says that the stage is at rest: whoever did not go, and was not
// sent away for something of its own, has all that it is owed.
func (c *client) mustBeServed(p *player) {
	_, ends := c.peer.Pending()
	switch {
	case c.gone || p.cut:
	case c.depth == 0:
		if !ends && !p.draining {
			p.fault("client %d was never let in", c.number)
		}
	case c.lostAll():
	case len(c.due) > 0:
		p.fault("client %d (closed: %v) misses %d bytes of its answers", c.number, c.closed, len(c.due))
	case c.closed != 0 && !ends:
		p.fault("client %d doesn't see that it was closed", c.number)
	case c.ended != 0:
		if c.closed == 0 {
			p.fault("client %d was to be closed", c.number)
		}
	case p.draining:
	case c.handled != c.whole():
		p.fault("%d requests of client %d were handled, it sent %d", c.handled, c.number, c.whole())
	case c.closed == 0 && (c.finished || c.bad != 0 && len(c.unsent) == 0):
		p.fault("client %d finished, or sent nonsense, and its connection is still there", c.number)
	}
}

// lostAll says that it was closed in a way that forgets what it is owed.
func (c *client) lostAll() bool {
	switch c.closed {
	case reqchan.PeerReset, reqchan.IdleExpired, reqchan.WriteTimeout, reqchan.FrameTimeout, reqchan.SlowReader, reqchan.Evicted:
		return true
	}
	return false
}

func (p *player) opened(conn *reqchan.Conn) {
	c := p.clientOf(conn)
	if c.depth != 0 {
		p.fault("client %d was let in twice", c.number)
	}
	if c.depth = p.settings.PipelineMax; p.settings.FrameBytesMaxUnauthenticated > 0 {
		c.depth = 1
	}
	p.open++
	p.openMost = max(p.openMost, p.open)
}

func (p *player) closed(conn *reqchan.Conn, why reqchan.CloseReason) {
	c := p.clientOf(conn)
	if c.depth == 0 || c.closed != 0 {
		p.fault("client %d was closed for %v; it was let in: %t, closed before: %v", c.number, why, c.depth > 0, c.closed)
	}
	c.closed = why
	p.open--
	if !p.mayClose(c, why) {
		p.fault("client %d was closed for %v, without a reason", c.number, why)
	}
}

// mayClose says whether something happened that is a reason.
func (p *player) mayClose(c *client, why reqchan.CloseReason) bool {
	switch why {
	case reqchan.PeerFinished:
		return c.finished || c.gone
	case reqchan.PeerReset:
		return c.gone || p.rough
	case reqchan.ServerDraining:
		return p.draining
	case reqchan.FrameTooBig, reqchan.FrameSizeNegative:
		return c.bad == why
	case reqchan.EngineFailed:
		return p.dead
	case reqchan.IdleExpired:
		return p.settings.IdleTimeout > 0
	case reqchan.WriteTimeout:
		return p.settings.WriteTimeout > 0
	case reqchan.FrameTimeout:
		return p.settings.FrameTimeout > 0
	case reqchan.SlowReader:
		return p.settings.SlowReader == processor.SlowReaderClose
	case reqchan.Evicted:
		return p.evicts
	}
	return why != 0 && why == c.ended
}
