package conn

// A connection that nobody vouches for has a deadline of its own: what it is sent and sends
// keeps its idle timeout away, and it may send a byte now and then for ever.

// mustAuthenticate says that the deadline holds. Before the transport is open the handshake
// has one.
func (c *Conn) mustAuthenticate() bool {
	return c.set.AuthTimeout > 0 && c.preface == nil && c.unauthenticated() && c.life == serving
}

// excuseStranger adds time to that of c in which the server has it wait. In sum that is
// AuthTimeout once: one that always asks for what it is throttled for does not stay.
func (c *Conn) excuseStranger(wait int64) {
	if !c.mustAuthenticate() || c.at.usable == 0 {
		return
	}
	wait = min(wait, int64(c.set.AuthTimeout)-c.at.excused)
	if wait > 0 {
		c.at.excused += wait
		c.at.usable += wait
	}
}

// authDue is when c should have authenticated, or is to be looked at again.
func (c *Conn) authDue(now int64) int64 {
	limit := int64(c.set.AuthTimeout)
	switch {
	case c.at.usable == 0:
		return now + limit
	case c.pipeline.inFlight > 0 || c.lenient:
		return max(c.at.usable+limit, now+limit/16)
	}
	return c.at.usable + limit
}

// authLate says that c should have authenticated by now. A request of it that is not answered
// keeps it: handlers bound how many they take of a stranger. So does, once, what the kernel
// has of it, because the process may have been stopped.
func (c *Conn) authLate() bool {
	if !c.mustAuthenticate() || c.at.usable == 0 {
		return false
	}
	limit := int64(c.set.AuthTimeout)
	switch late := c.shared.now - c.at.usable - limit; {
	case late < 0, c.pipeline.inFlight > 0 || c.waits.ticket != nil:
		return false
	case c.lenient:
		return late >= limit/16
	}
	if !c.peerWrites() {
		return true
	}
	c.lenient, c.at.usable = true, c.shared.now-limit
	return false
}
