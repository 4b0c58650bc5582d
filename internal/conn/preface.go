package conn

import (
	"math"

	"kring/engine"
	"kring/internal/proxyproto"
	"kring/reqchan"
)

// What a forwarder (a load balancer) sends before the bytes of the client that it forwards
// for is a preface: the PROXY protocol's header. It comes before the transport and before
// frames, and until it is there nobody is told of the connection: its client is not known.

// preface is what a connection has until its own first byte.
type preface struct {
	parser   proxyproto.Parser
	sniffer  proxyproto.Sniffer
	required bool  // else a header is forbidden
	parked   bool  // the client's address is over its rate: it is held open until the alarm, and closed
	since    int64 // when the header's time began; 0: it has not
	last     int64 // when it ends, whatever is on the way; 0 before since is too long ago
}

func (c *Conn) expectPreface(p engine.Preface) {
	c.preface = &preface{required: p == engine.PrefaceRequired}
	if c.preface.required {
		c.preface.since = c.shared.now
	}
}

// fromForwarder takes the first bytes of a connection.
func (c *Conn) fromForwarder(done *engine.Completion) {
	p, wire := c.preface, done.Data
	switch {
	case c.life >= finishing || p.parked:
		c.recordReceived(len(wire))
	case p.required:
		c.takeHeader(wire, done)
	default:
		c.forbidHeader(wire, done)
	}
}

// takeHeader takes bytes of a header that there must be, and goes on with what is behind it.
func (c *Conn) takeHeader(wire []byte, done *engine.Completion) {
	p := c.preface
	n, header, err := p.parser.Take(wire)
	switch {
	case err != nil:
		c.recordReceived(len(wire))
		c.headerRefused(err)
		return
	case header == nil:
		c.recordReceived(n)
		c.keep(p.parser.Memory())
		return
	}
	c.recordReceived(n)
	c.info.Forward(header)
	if c.keep(header.Memory()) && (header.ForItself || c.admitted()) {
		c.behindPreface(nil, wire[n:], done)
	}
}

// headerRefused ends a connection for a header that is none.
func (c *Conn) headerRefused(err error) {
	c.info.SetEndDetail(err)
	if err == proxyproto.ErrMissing {
		c.terminate(reqchan.ProxyHeaderMissing)
	} else {
		c.terminate(reqchan.ProxyHeaderMalformed)
	}
}

// admitted has the connection judged by its client's address. It is held open for a while
// when that address connects too often, so that its client does not come back at once.
func (c *Conn) admitted() bool {
	switch v, hold := c.shared.loop.Identify(c, c.info.Remote.Addr()); {
	case v == engine.WithinBounds:
		return true
	case v == engine.OverCount:
		c.terminate(reqchan.AddressFull)
	case hold <= 0:
		c.terminate(reqchan.AddressRate)
	default:
		c.preface.parser, c.preface.parked = proxyproto.Parser{}, true
		c.cancelReceive()
		c.setAlarm(c.shared.now + int64(hold))
	}
	return false
}

// forbidHeader looks whether a header comes that must not.
func (c *Conn) forbidHeader(wire []byte, done *engine.Completion) {
	p := c.preface
	switch is, decided := p.sniffer.Look(wire); {
	case is:
		c.recordReceived(len(wire))
		c.terminate(reqchan.ProxyHeaderUntrusted)
	case decided:
		c.behindPreface(p.sniffer.Seen(), wire, done)
	default: // what is kept is counted when it is somebody's
		c.at.active, c.in.doubted = c.shared.now, 0
		if p.since == 0 {
			p.since = c.shared.now
		}
	}
}

// behindPreface goes on as if the connection began here, with what came already: seen
// before, and rest, which done lent.
func (c *Conn) behindPreface(seen, rest []byte, done *engine.Completion) {
	c.preface = nil
	c.at.opened, c.at.window = c.shared.now, c.shared.now+ratesOver // what has a deadline from the beginning has it from here
	c.begins()
	c.shared.loop.SetDeadline(c)
	if len(seen) > 0 {
		c.ownBytes(seen, nil)
	}
	if len(rest) > 0 && c.life < finishing {
		c.ownBytes(rest, done)
	}
}

func (c *Conn) ownBytes(b []byte, lent *engine.Completion) {
	if c.secure != nil {
		c.fromWire(b)
	} else {
		c.feed(b, lent)
	}
}

// prefaceCut says that nothing more comes: quietly when nothing came at all, which is how
// many a health check looks.
func (c *Conn) prefaceCut() {
	switch p := c.preface; {
	case p.parked:
		c.terminate(reqchan.AddressRate)
	case p.required && p.parser.Begun():
		c.info.SetEndDetail(errHeaderCut)
		c.terminate(reqchan.ProxyHeaderMalformed)
	default: // no frame is as short as what a sniffer keeps
		c.peerFinished()
	}
}

var errHeaderCut = &proxyproto.MalformedError{Version: "1 or 2", What: "the connection ended in the middle of it"}

// armPreface puts a receive up, of whatever comes. While held memory is scarce too: a header
// is short, and has a deadline.
func (c *Conn) armPreface() {
	if !c.preface.parked {
		c.in.receive = receiveStream
		c.shared.loop.Receive(c)
	}
}

// keep counts n bytes as held for a header; false: all hold too much, and c ends.
func (c *Conn) keep(n int) bool {
	more := n - c.header
	if more == 0 || c.shared.cfg.Held == nil {
		return true
	}
	c.shared.takeHeld(more)
	c.header = n
	if more < 0 || c.heldFits(true) {
		return true
	}
	c.preface.parser = proxyproto.Parser{} // at once: its last completion may take a while
	c.shared.takeHeld(-c.header)
	c.header = 0
	return false
}

// prefaceDue is when the header's time could be over at the soonest.
func (c *Conn) prefaceDue(now int64) int64 {
	p, timeout := c.preface, int64(c.set.ProxyTimeout)
	switch {
	case timeout == 0 || p.parked:
		return math.MaxInt64
	case p.since == 0:
		return now + timeout
	}
	return p.since + timeout
}

// prefaceLate says that the header should have come by now. Bytes that the kernel knows of
// count, because the process may have been stopped; but only for the same time once more:
// a peer that drips always has some on the way.
func (c *Conn) prefaceLate() bool {
	p, now, timeout := c.preface, c.shared.now, int64(c.set.ProxyTimeout)
	if timeout == 0 || p.parked || p.since == 0 || now-p.since < timeout {
		return false
	}
	if p.last == 0 {
		p.last = now + timeout
	}
	return now >= p.last || !c.peerWrites()
}

// silentUntil is when a connection that must not send a header should have sent its first
// byte: none of the deadlines for what comes behind a preface has begun. False: it has, or there
// is no such deadline.
func (c *Conn) silentUntil() (at int64, why reqchan.CloseReason, waits bool) {
	if c.preface == nil || c.preface.required || c.preface.since != 0 || c.life != serving {
		return 0, reqchan.ReasonNone, false
	}
	limit := int64(math.MaxInt64)
	if n := int64(c.set.HandshakeTimeout); n > 0 && c.set.Transport != nil {
		limit, why = n, reqchan.HandshakeTimeout
	}
	if n := int64(c.set.AuthTimeout); n > 0 && n < limit && c.unauthenticated() {
		limit, why = n, reqchan.AuthenticationTimeout
	}
	if why == reqchan.ReasonNone {
		return 0, why, false
	}
	return c.at.opened + limit, why, true
}
