package conn

import "kring/engine"

// A connection goes on with another processor in three steps: leave (nothing
// more of it is cut, its receive is cancelled), the join on what is outstanding
// and in flight, and handOver. Its descriptor, its place, the bytes that came
// and were not cut, and their share of the request channel's capacity go along:
// what a processor reserved any other may release. Nothing of it is sent or
// received twice, and nothing closes.

// quiet says that nothing of the connection is with a handler, on its way out or
// waiting for its time.
func (c *Conn) quiet() bool {
	return c.up == nil && c.pipeline.empty() && c.out.empty() && !c.mute.throttled() && c.life < finishing && (c.preface == nil || !c.preface.parked) && (c.secure == nil || !c.secure.Waits() && !c.unsent())
}

// Migrate begins to move the connection to another processor.
func (c *Conn) Migrate() {
	c.become(toLeave)
	c.cancelReceive()
	c.migrateIfQuiet()
}

// migrateIfQuiet has the connection handed over in this pass, if nothing holds it any
// more.
func (c *Conn) migrateIfQuiet() {
	if c.CanMigrate() && c.leaveBuffer() {
		c.shared.loop.MigrateLater(c)
	}
}

// armLeaving has a handshake that was begun go on here until it is over; nothing else is
// received.
func (c *Conn) armLeaving() {
	if c.secure == nil || !c.secure.Waits() {
		c.cancelReceive() // a handshake's, that is over
		c.migrateIfQuiet()
		return
	}
	if c.in.receive == receiveNone {
		c.armSecure()
	}
}

func (c *Conn) CanMigrate() bool {
	return c.info != nil && c.life == leaving && !c.in.receive.up() && c.quiet()
}

// Resting says that nothing but bytes from the peer could bring the connection on, and
// that it may go on with another processor as well.
func (c *Conn) Resting() bool {
	return c.life == serving && c.in.receive == receiveStream && c.quiet() && c.in.frames.Empty()
}

// Moved is a connection between two processors.
type Moved struct{ conn Conn }

// Listener is whose connection it is.
func (m *Moved) Listener() *Listener { return m.conn.from }

// Detach takes the connection out of c.
func (c *Conn) Detach() *Moved {
	c.waits.leaveLine() // it stands in its target's
	if c.big.head != nil {
		c.shared.sizes.free, c.big.head = append(c.shared.sizes.free, c.big.head), nil
	}
	m := &Moved{*c}
	m.conn.shared, m.conn.in.cancelled = nil, false
	m.conn.waits.end()
	c.shared.count.MovedOut++
	c.out.recent = nil // it goes along
	c.vacate()
	return m
}

// Attach goes on with a connection that another processor detached. ApplySettings is to
// be called next.
func (c *Conn) Attach(sh *Shared, token engine.Token, m *Moved) {
	*c = m.conn // with its own latencies
	c.shared, c.token = sh, token
	if c.touched = sh.cfg.ClientIDs == nil; !c.touched {
		c.touch() // what was not counted where it came from
	}
	if c.secure != nil {
		c.secure.owner.Store(&owner{sh.loop, token, &sh.work})
	}
	c.in.frames.FixAfterCopy()
	sh.count.MovedIn++
}
