package gateway

import (
	"fmt"
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
	// service is about how long the first request of a connection is under way, in nanoseconds.
	service int64
	line    fifo[turn]
	waits   int // turns of line that are still wanted
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
	near := c.processor()
	if l.waits > 0 && !fromLine {
		n.wait(c, l)
		l.dial(near)
		return nil
	}
	u := l.free(near)
	if u == nil || u.away.len() > 0 || !l.has(near) {
		l.dial(near) // more are needed, up to the bound
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
		if !l.dialFor(c) && c.silent && n.hopeless(c.pool.key.identity) {
			n.doom(c, kring.ReasonBackendFailed)
			return nil
		}
	case c.own.ready():
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

// free is the connection of l by which a request would be answered first, nil if none takes
// another one: that which has least to do of those that live on the processor near, or of the
// others, if its answer comes so much earlier there that it is worth a hand-over.
func (l *lanes) free(near int) *uplink {
	var here, there *uplink
	for _, u := range l.links {
		best := &there
		if u.near == near {
			best = &here
		}
		if (*best == nil || u.away.len() < (*best).away.len()) && u.takes() {
			*best = u
		}
	}
	if here == nil || there != nil && l.worthHandOver(here.away.len(), there.away.len()) {
		here, near = there, anywhere
	}
	if here == nil || here.away.len() < gatherFrom {
		return here
	}
	return l.gather(here, near)
}

// gatherFrom is from how many requests under way on each connection on further ones are gathered.
const gatherFrom = 3

// gather is the fullest connection that has hardly more to do than least, which has least: what
// goes by one connection leaves in one send, and what follows each other there is received
// together. Where every connection is free or nearly so, each request would wait for another, and
// where a broker takes long for one, for more than that is worth.
func (l *lanes) gather(least *uplink, near int) *uplink {
	best, most := least, least.away.len()+least.away.len()/gatherFrom
	for _, u := range l.links {
		if n := u.away.len(); n > best.away.len() && n <= most && int64(n-least.away.len())*l.service <= handOverNanos && (near == anywhere || u.near == near) && u.takes() {
			best = u
		}
	}
	return best
}

// handOverNanos is about what it takes to wake another processor for a request, and to be woken
// for its answer.
const handOverNanos = int64(50 * time.Microsecond)

// worthHandOver says that a request behind there others on another processor is answered so much
// earlier than behind here others on its own. A quarter of what is under way is no difference: a
// moment later it is the other way round.
func (l *lanes) worthHandOver(here, there int) bool {
	return here-there > there/4 && int64(here-there)*l.service > handOverNanos
}

// learn takes how long a request took, once it was the first of its connection.
func (l *lanes) learn(took int64) { l.service += (took - l.service) / serviceParts }

// serviceParts: the last so many answers say how long one takes.
const serviceParts = 16

// has says that a connection of l lives on the processor near, or will.
func (l *lanes) has(near int) bool {
	for _, u := range l.links {
		if u.near == near {
			return true
		}
	}
	return false
}

// anywhere is for a connection that no client asks for.
const anywhere = -1

// dial opens one more connection, if the bound and the node's back-off allow; near is the
// processor of who needs it.
func (l *lanes) dial(near int) {
	n := l.pool.node
	now := n.now()
	if len(l.links) >= l.most && len(l.links) >= l.bound(now) {
		return
	}
	opening := 0
	for _, u := range l.links {
		if !u.settled() {
			opening++
		}
	}
	if opening >= max(1, l.waits) || !l.pool.mayDial(now) {
		return
	}
	u := &uplink{node: n, lanes: l, near: l.share(near)}
	l.links = append(l.links, u)
	u.open()
}

// share is the processor where the next connection is to live: near, until it has its part of
// what l may have; else the one that has fewest. Whose clients come first would have them all, and
// all others' requests would be handed over.
func (l *lanes) share(near int) int {
	p, has := l.pool.node.g.processors(), l.most // of one that has ended: enough
	if len(p) < 2 || near == anywhere {
		return near
	}
	fewest, at := l.most, near
	for _, id := range p {
		n := 0
		for _, u := range l.links {
			if u.near == int(id) {
				n++
			}
		}
		if int(id) == near {
			has = n
		}
		if n < fewest {
			fewest, at = n, int(id)
		}
	}
	if has < (l.most+len(p)-1)/len(p) {
		return near
	}
	return at
}

// mayDial is the node's, for connections of p's identity.
func (p *pool) mayDial(now int64) bool {
	return p.node.mayDial(now) && !p.node.refuses(p.key.identity, now)
}

// dialFor opens the connection that is c's own; false: it may not, for now.
func (l *lanes) dialFor(c *client) bool {
	n := l.pool.node
	if l.ownFull() || !l.pool.mayDial(n.now()) {
		return false
	}
	n.owned++
	u := &uplink{node: n, lanes: l, near: c.processor(), owner: c}
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
		l.dial(c.processor())
	}
}

func (n *node) leaveLine(c *client) {
	if c.line != nil {
		c.line.waits--
		c.line = nil
	}
}

// wants says that the client of t still stands at its place in l.
func (l *lanes) wants(t *turn) bool { return t.client.line == l && t.client.ticket == t.ticket }

// next is the client whose turn it is, nil if nobody stands in line.
func (l *lanes) next() *turn {
	for l.line.len() > 0 {
		if t := &l.line.all()[0]; l.wants(t) {
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
		n.serveOwn()
		return
	}
	for t := l.next(); t != nil; t = l.next() {
		c := t.client
		here := c.queue.first().course.lane == LaneHere
		if here && (n.announced() == nil || n.outdated()) || !here && l.free(anywhere) == nil {
			l.dial(c.processor())
			return
		}
		l.line.pop()
		n.leaveLine(c)
		n.pump(c, true)
	}
}

// serveOwn opens connections for those who wait for one of their own, of any principal: what
// one gives back another may have.
func (n *node) serveOwn() {
	for _, p := range n.pools {
		if l := &p.lanes[LaneOwn]; l.waits > 0 {
			l.serveOwn()
		}
	}
}

// serveOwn is node's, of one principal. Who gets one is pumped when it is ready.
func (l *lanes) serveOwn() {
	for _, t := range l.line.all() {
		if l.wants(&t) && t.client.own == nil && !l.dialFor(t.client) {
			return
		}
	}
}

func (p *pool) serveAll() {
	for i := range p.lanes {
		if p.lanes[i].pool != nil && p.lanes[i].lane != LaneOwn { // serveOwn is for all pools
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
		for _, t := range l.line.all() { // one may be due before those in front of it: see waitTimeout
			if l.wants(&t) && now >= p.node.g.waitsUntil(t.due) {
				p.node.giveUp(t.client)
			}
		}
		l.next() // drops the places at the head that were given up
		for _, u := range append([]*uplink(nil), l.links...) {
			u.tick(now)
		}
		l.shed(now)
		if l.lane != LaneOwn { // node.tick does, once for all pools
			l.serve()
		}
	}
}

// bound is how many connections l may have now. A broker that throttles a client reads nothing
// of the connection that it answered by (KIP-219), whoever else's requests go by it: so these
// get another in its place.
func (l *lanes) bound(now int64) int {
	muted := 0
	for _, u := range l.links {
		if now < u.muted {
			muted++
		}
	}
	return l.most + min(muted, l.insteadMax())
}

// insteadMax bounds the connections in the place of those that are throttled.
func (l *lanes) insteadMax() int { return min(l.most, insteadMax) }

const insteadMax = 64

// shed retires what is beyond the bound, once the broker reads all of l again.
func (l *lanes) shed(now int64) {
	if l.lane == LaneOwn {
		return
	}
	over := len(l.links) - l.bound(now)
	for _, u := range l.links {
		if u.retiring || u.life >= lifeClosing {
			over--
		}
	}
	for _, u := range append([]*uplink(nil), l.links...) {
		if over > 0 && !u.retiring && u.ready() && u.away.len() == 0 && u.unsent.Load() == 0 && now >= u.muted {
			u.retire()
			over--
		}
	}
}

// giveUp tells c that its requests could not be sent: all of them, so that none overtakes
// another. Nothing of them has left.
func (n *node) giveUp(c *client) {
	if l := c.line; l != nil && l.lane == LaneOwn && c.own == nil && l.ownFull() {
		n.counts.OwnFull++
		n.calls = append(n.calls, func() { n.g.warnAgain(ownFullText(n.id)) })
	}
	n.leaveLine(c)
	if c.queue.first().course.lane == LaneHere && n.announced() != nil {
		n.say(answer{slot: c.queue.pop(), kind: answerHere}) // outdated is better than none
		n.pump(c, false)
		return
	}
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

// ownFull says that no client more of l may have a connection of its own: as many of its
// principal have one as may, or its principal has half of what others leave of those that all
// may have of this broker. So one principal never has all.
func (l *lanes) ownFull() bool {
	n := l.pool.node
	others := n.owned - len(l.links)
	return len(l.links) >= l.most || len(l.links) >= (n.g.cfg.DedicatedAll-others+1)/2
}

func ownFullText(node int32) string {
	return fmt.Sprintf("broker %d: a client that needs an upstream connection of its own (acks=0, a share group) was closed, as all of them are taken; raise --upstream-own", node)
}

// drop forgets a connection that is gone.
func (l *lanes) drop(u *uplink) {
	if l.lane == LaneOwn {
		l.pool.node.owned--
	}
	for i, v := range l.links {
		if v == u {
			l.links = append(l.links[:i], l.links[i+1:]...)
			return
		}
	}
}
