package gateway

import (
	"time"

	"kring"
)

// poolKey is whose connections a pool has: those of one upstream principal, and of one
// client id where the upstream's quotas go by it. Nothing is shared across pools.
type poolKey struct {
	identity *Identity
	clientID string
}

// pool is the connections to one broker for one principal.
type pool struct {
	node    *node
	key     poolKey
	lanes   [LaneOwn + 1]lanes
	clients int
}

// lanes are the connections of one lane, and the clients that wait for one.
type lanes struct {
	pool  *pool
	lane  Lane
	most  int
	links []*uplink
	line  fifo[turn]
	waits int // turns of line that are still wanted
}

// turn is a client's place in a line. It is void when the client has left the line.
type turn struct {
	client *client
	ticket uint64
	due    int64
}

func (n *node) pool(key poolKey) *pool {
	p := n.pools[key]
	if p == nil {
		p = &pool{node: n, key: key}
		c := &n.g.cfg
		for l, most := range [...]int{LaneShort: c.Connections, LaneWrite: c.Connections, LaneWaiting: c.Waiting,
			LaneJoining: c.Joining, LaneOwn: c.Dedicated} {
			p.lanes[l] = lanes{pool: p, lane: Lane(l), most: most}
		}
		n.pools[key] = p
	}
	return p
}

// greeter is where a client waits for the broker's versions: any connection asks for them.
func (n *node) greeter() *lanes {
	return &n.pool(poolKey{identity: n.g.identityOf(nil)}).lanes[LaneShort]
}

// place is the connection that s may leave by now, nil if it has to wait; c then waits in a
// line, or for the answers to its requests under way.
func (n *node) place(c *client, s *slot, fromLine bool) *uplink {
	if c.alone {
		return n.placeAlone(c)
	}
	if c.away > 0 {
		if s.course.lane == c.lane && c.lane.shared() && c.on.takes() {
			return c.on
		}
		return nil // its answers pump c
	}
	l := &c.pool.lanes[s.course.lane]
	if l.waits > 0 && !fromLine {
		n.wait(c, l)
		l.dial()
		return nil
	}
	u := l.free()
	if u == nil || u.away.len() > 0 {
		l.dial() // more are needed, up to the bound
	}
	if u == nil {
		n.wait(c, l)
		return nil
	}
	if s.course.waitAt > 0 {
		s.lowerWait(l.waitMost())
	}
	return u
}

// placeAlone is c's own connection.
func (n *node) placeAlone(c *client) *uplink {
	if c.away > 0 && c.on != c.own {
		return nil
	}
	l := &c.pool.lanes[LaneOwn]
	switch {
	case c.own == nil:
		l.dialFor(c)
	case c.own != nil && c.own.ready():
		if c.away < n.g.cfg.Depth {
			return c.own
		}
		return nil // its answers pump c
	}
	n.wait(c, l)
	return nil
}

// waitMost bounds how long a Fetch of l waits for data: the more clients stand in line, the
// sooner each gets its turn.
func (l *lanes) waitMost() time.Duration {
	return l.pool.node.g.cfg.FetchWaitMax / time.Duration(1+(l.waits+l.most-1)/l.most)
}

// free is the connection of l that has least to do, nil if none takes another request.
func (l *lanes) free() (best *uplink) {
	for _, u := range l.links {
		if u.takes() && (best == nil || u.away.len() < best.away.len()) {
			if best = u; u.away.len() == 0 {
				return u
			}
		}
	}
	return best
}

// dial opens one more connection, if the bound and the node's back-off allow.
func (l *lanes) dial() {
	n := l.pool.node
	opening := 0
	for _, u := range l.links {
		if !u.settled() {
			opening++
		}
	}
	if len(l.links) >= l.most || opening >= max(1, l.waits) || !n.mayDial(n.g.now()) {
		return
	}
	u := &uplink{node: n, lanes: l, near: -1}
	l.links = append(l.links, u)
	u.open()
}

// dialFor opens the connection that is c's own; false: it may not, for now.
func (l *lanes) dialFor(c *client) bool {
	n := l.pool.node
	if len(l.links) >= l.most || !n.mayDial(n.g.now()) {
		return false
	}
	u := &uplink{node: n, lanes: l, near: int(c.conn.ID.Processor), owner: c}
	l.links = append(l.links, u)
	c.own = u
	u.open()
	return true
}

// wait puts c at the end of a line, if it does not stand in it.
func (n *node) wait(c *client, l *lanes) {
	if n.g.closed.Load() { // nobody's turn comes any more
		n.doom(c, kring.ReasonServerDraining)
		return
	}
	if c.line == l {
		return
	}
	n.leaveLine(c)
	n.tickets++
	c.line, c.ticket = l, n.tickets
	l.waits++
	l.line.push(turn{c, n.tickets, c.queue.first().due})
	n.counts.Waited++
	if l.lane != LaneOwn {
		l.dial()
	}
}

func (n *node) leaveLine(c *client) {
	if c.line != nil {
		c.line.waits--
		c.line = nil
	}
}

// next is the client whose turn it is, nil if nobody stands in line.
func (l *lanes) next() *turn {
	for l.line.len() > 0 {
		t := &l.line.items[l.line.at]
		if t.client.line == l && t.client.ticket == t.ticket {
			return t
		}
		l.line.pop()
	}
	return nil
}

// serve gives what is free to those who stand in line.
func (l *lanes) serve() {
	n := l.pool.node
	if l.lane == LaneOwn {
		l.serveOwn()
		return
	}
	for t := l.next(); t != nil; t = l.next() {
		c := t.client
		here := c.queue.first().course.lane == LaneHere
		if here && n.versions == nil || !here && l.free() == nil {
			l.dial()
			return
		}
		l.line.pop()
		n.leaveLine(c)
		n.pump(c, true)
	}
}

// serveOwn opens connections for those who wait for one of their own. It pumps them when it
// is ready.
func (l *lanes) serveOwn() {
	for _, t := range l.line.all() {
		c := t.client
		if c.line == l && c.ticket == t.ticket && c.own == nil && !l.dialFor(c) {
			return
		}
	}
}

func (p *pool) serveAll() {
	for i := range p.lanes {
		if p.lanes[i].pool != nil {
			p.lanes[i].serve()
		}
	}
}

func (p *pool) retireAll() {
	for i := range p.lanes {
		for _, u := range append([]*uplink(nil), p.lanes[i].links...) {
			u.retire()
		}
	}
}

func (p *pool) empty() bool {
	for i := range p.lanes {
		if len(p.lanes[i].links) > 0 || p.lanes[i].waits > 0 {
			return false
		}
	}
	return p.clients == 0
}

// tick ends waits that took too long, and looks after connections.
func (p *pool) tick(now int64) {
	for i := range p.lanes {
		l := &p.lanes[i]
		if l.pool == nil {
			continue
		}
		for t := l.next(); t != nil && now >= t.due; t = l.next() {
			p.node.giveUp(t.client)
		}
		for _, u := range append([]*uplink(nil), l.links...) {
			u.tick(now)
		}
		l.serve()
	}
}

// giveUp tells c that its requests could not be sent: all of them, so that none overtakes
// another. Nothing of them has left.
func (n *node) giveUp(c *client) {
	n.leaveLine(c)
	n.counts.GivenUp++
	for _, s := range c.queue.all() {
		if n.refusal(s) == codeNone {
			n.doom(c, kring.ReasonBackendFailed)
			return
		}
	}
	for _, s := range c.queue.all() {
		n.say(answer{slot: s, kind: answerRefuse, code: n.refusal(s), why: kring.ReasonBackendFailed})
	}
	c.queue.clear()
}

// drop forgets a connection that is gone.
func (l *lanes) drop(u *uplink) {
	for i, v := range l.links {
		if v == u {
			l.links = append(l.links[:i], l.links[i+1:]...)
			return
		}
	}
}
