package gateway

import (
	"kring"
)

// client is a client's connection, as far as the gateway goes. It belongs to one node for
// its life: the broker whose address it came by, or any.
//
// Invariant: its requests go upstream in the order in which they came, and one goes to
// another connection only when those before it are answered. So the broker sees them in
// that order, as if the client were connected with it.
//
// Owner: the node's lock, but conn and node, which never change.
type client struct {
	conn *kring.Conn
	node *node

	pool      *pool // from the first request that goes upstream on
	queue     fifo[*slot]
	on        *uplink // where its requests under way are; nil: none is
	away      int     // how many
	lane      Lane    // of these
	own       *uplink // its own connection upstream, if it has one
	alone     bool    // everything goes by its own
	shares    bool    // it has a share session, which is its own connection's
	silent    bool    // it has sent Produce with acks=0
	heldUntil int64   // a broker throttles it until then
	doomed    bool    // its connection is being closed
	gone      bool
	line      *lanes // where it waits for a connection; nil: it does not
	ticket    uint64 // of its place in that line
}

// processor is the one that c's connection lives on.
func (c *client) processor() int { return int(c.conn.Processor()) }

// clientOf is the client of a connection. It is called for one request of it at a time.
func (g *Gateway) clientOf(conn *kring.Conn) *client {
	if c, known := conn.Attachment().(*client); known {
		return c
	}
	c := &client{conn: conn, node: g.nodeForClient(g.wants(conn))}
	c.alone = g.cfg.Mode == Dedicated
	conn.Attach(c)
	if conn.Ended() { // Order: ConnClosed may have been called, and found nobody; one of the two does
		g.leave(c)
	}
	return c
}

// wants is the broker that a client means, by the address that it came by; NoNode: any.
func (g *Gateway) wants(conn *kring.Conn) int32 {
	if g.cfg.NodeOf != nil {
		return g.cfg.NodeOf(conn)
	}
	if tls := conn.TLS(); tls != nil && g.cfg.Addressing.Names != "" {
		return g.cfg.Addressing.NodeOfName(tls.ServerName)
	}
	return NoNode
}

// leave forgets a client whose connection has ended, once.
func (g *Gateway) leave(c *client) {
	c.node.lock()
	first := !c.gone
	if first {
		c.node.leave(c)
	}
	c.node.unlock()
	if first {
		g.leaveNode(c.node)
	}
}

// identify gives c its pool, when its first request goes upstream; false: nobody has said
// by whose credentials.
func (n *node) identify(c *client) bool {
	if c.pool != nil {
		return true
	}
	id := n.g.identityOf(c.conn)
	if id == nil {
		return false
	}
	key := poolKey{identity: id}
	if n.g.cfg.PoolByClientID && c.queue.len() > 0 {
		key.clientID = string(c.queue.first().req.Header.ClientID)
	}
	c.pool = n.pool(key)
	c.pool.clients++
	if n.g.poisoners.has(c.queue.first()) {
		c.alone = true
	}
	return true
}

// doom closes the connection of c: none of its requests is answered any more, as nobody can
// say which of them the broker has seen.
func (n *node) doom(c *client, why kring.CloseReason) {
	c.doomed = true
	delete(n.held, c)
	n.leaveLine(c)
	for _, s := range c.queue.all() {
		n.say(answer{slot: s, kind: answerClose, why: why})
	}
	c.queue.clear()
}

// leave is when the connection of c has ended.
func (n *node) leave(c *client) {
	c.gone = true
	delete(n.held, c)
	n.leaveLine(c)
	for _, s := range c.queue.all() {
		n.say(answer{slot: s, kind: answerNothing})
	}
	c.queue.clear()
	if c.pool != nil {
		c.pool.clients--
	}
	if c.own != nil {
		c.own.retire()
	}
	switch {
	case c.on == nil:
	case c.lane == LaneJoining && c.on != c.own, c.on == c.own && c.own.onlyWaits():
		c.on.close(errClientGone) // else it would wait for minutes, for nobody, and take up room
	}
	if p := c.pool; p != nil && p.clients == 0 && p.key.clientID != "" {
		p.retireAll() // clients choose their ids: each new one would keep connections
	}
}

// onlyWaits says that nothing is under way on u but requests that wait and change nothing: a
// broker need not go on with them when their client has gone.
func (u *uplink) onlyWaits() bool {
	for _, s := range u.away.all() {
		switch key := s.req.Header.Key; {
		case s.client == nil, key != keyFetch && key != keyShareFetch && key != keyJoinGroup && key != keySyncGroup:
			return false
		}
	}
	return u.unsent.Load() == 0
}
