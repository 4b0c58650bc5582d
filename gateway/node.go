package gateway

import (
	"math/rand/v2"
	"sync"
	"time"

	"kring"
	"kring/kafka"
)

// nodeState is what is known of a broker.
type nodeState uint8

const (
	nodeUnknown nodeState = iota // nobody has said its address, or nobody has tried it
	nodeUp
	nodeDown
)

var nodeStateNames = [...]string{"unknown", "up", "down"}

func (s nodeState) String() string { return nodeStateNames[s] }

// node is a broker: its address, its versions, and the connections to it. Node NoNode stands
// for any broker: it is reached by the bootstrap addresses, one after the other.
//
// Owner: mu guards all of it, and all of its pools, uplinks, clients and slots.
type node struct {
	g  *Gateway
	id int32

	clients int // guarded by Gateway.mu; whose node it is

	mu       sync.Mutex
	clock    int64 // see now; 0: nobody has looked
	address  kafka.Address
	known    bool // there is an address
	turn     int  // NoNode: which of the bootstrap addresses
	state    nodeState
	failure  error // of the last attempt, nil once one succeeded
	failures int   // in a row
	retryAt  int64 // no attempt before that
	opening  int   // uplinks that are not ready yet
	owned    int   // uplinks that are a client's own
	versions *nodeVersions
	heardAt  int64 // when the broker said them
	hearing  bool  // it is being asked again
	pools    map[poolKey]*pool
	refused  map[*Identity]*refusal // those that the broker does not accept
	tickets  uint64
	held     map[*client]bool // those that a broker has throttled, and that have requests
	random   *rand.Rand

	answers []answer // to be given once mu is free
	calls   []func() // events, likewise
	counts  NodeCounts
}

func newNode(g *Gateway, id int32) *node {
	seed := g.cfg.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	n := &node{g: g, id: id, pools: map[poolKey]*pool{}, refused: map[*Identity]*refusal{}, held: map[*client]bool{}, random: rand.New(rand.NewPCG(seed, uint64(id)+1))}
	if id == NoNode {
		n.turn = n.random.IntN(len(g.cfg.Bootstrap)) // instances do not all ask the same broker
		n.address, n.known = g.cfg.Bootstrap[n.turn], true
	}
	return n
}

// lock and unlock are around everything; unlock gives the answers that there were.
func (n *node) lock() {
	n.mu.Lock()
	n.clock = 0
}

// now is the clock as of the first look at it since lock: one request is many questions for it.
func (n *node) now() int64 {
	if n.clock == 0 {
		n.clock = n.g.now()
	}
	return n.clock
}

func (n *node) unlock() {
	answers, calls := n.answers, n.calls
	n.answers, n.calls = nil, nil
	n.mu.Unlock()
	for i := range answers {
		answers[i].give()
	}
	for _, f := range calls {
		f()
	}
}

func (n *node) say(a answer) {
	a.node = n
	n.answers = append(n.answers, a)
}

// submit takes a request of c.
func (n *node) submit(c *client, r kafka.APIRequest) {
	s := newSlot(c, r)
	n.lock()
	defer n.unlock()
	switch {
	case c.doomed:
		n.say(answer{slot: s, kind: answerClose, why: kring.ReasonBackendFailed})
		return
	case c.gone:
		n.say(answer{slot: s, kind: answerNothing})
		return
	case !n.g.passes(s):
		n.counts.Refused++
		n.say(answer{slot: s, kind: answerClose, why: kring.ReasonUnknownAPI})
		return
	}
	if s.course.lane == LaneOwn {
		c.alone = true // from here on, so that its order stays
		c.silent = c.silent || s.course.silent
		c.shares = c.shares || r.Header.Key == keyShareFetch || r.Header.Key == keyShareAcknowledge
	}
	s.due = n.now() + int64(n.waitTimeout(c))
	c.queue.push(s)
	n.pump(c, false)
}

// pump sends what c may send. fromLine: it is its turn for a connection of its lane.
func (n *node) pump(c *client, fromLine bool) {
	if n.holds(c) {
		return
	}
	for c.queue.len() > 0 && !c.doomed && !c.gone {
		s := c.queue.first()
		if s.course.lane == LaneHere {
			if !n.answerHere(c) {
				return
			}
			continue
		}
		if !n.fits(c, s) {
			return
		}
		u := n.place(c, s, fromLine)
		if u == nil {
			return
		}
		fromLine = false
		c.queue.pop()
		n.leaveLine(c)
		u.start(s)
	}
}

// holds says that c is throttled by its broker, and by the gateway: what it had sent before it
// was told does not go by other connections meanwhile. release goes on.
func (n *node) holds(c *client) bool {
	if c.heldUntil == 0 || n.now() >= c.heldUntil || n.g.closed.Load() {
		return false
	}
	n.leaveLine(c)
	if c.queue.len() > 0 {
		n.held[c] = true
	}
	return true
}

// release goes on with clients whose throttle has ended. Their requests have waited for
// nothing until now.
func (n *node) release(now int64) {
	over := n.g.waitsOver(now)
	for c := range n.held {
		left := c.queue.len() == 0 // all of them, since its throttle ended
		if !left && !over && now < c.heldUntil {
			continue
		}
		delete(n.held, c)
		switch {
		case left:
		case over:
			n.giveUp(c)
		default:
			for _, s := range c.queue.all() {
				s.due = now + int64(n.waitTimeout(c))
			}
			n.pump(c, false)
		}
	}
}

// answerHere answers the ApiVersions request that is the first of c's queue; false: it has to
// wait until the broker's versions are known.
func (n *node) answerHere(c *client) bool {
	if n.announced() == nil || n.outdated() {
		n.wait(c, n.greeter())
		return false
	}
	n.leaveLine(c)
	n.say(answer{slot: c.queue.pop(), kind: answerHere})
	return true
}

// downWait is how long a request waits for a broker that has been away for a while: for
// an attempt or two.
const downWait = 2 * time.Second

func (n *node) waitTimeout(c *client) time.Duration {
	failures := n.failures
	if len(n.refused) > 0 {
		if r := n.refused[n.g.identityOf(c.conn)]; r != nil {
			failures = max(failures, r.failures)
		}
	}
	if failures > 3 {
		return min(downWait, n.g.cfg.WaitTimeout)
	}
	return n.g.cfg.WaitTimeout
}

// fits says whether the broker knows the version of s; if not, c is closed, as the broker
// would.
func (n *node) fits(c *client, s *slot) bool {
	if !n.identify(c) {
		n.calls = append(n.calls, func() {
			n.g.warn("a client's principal has no upstream credentials: its connection is closed; map it, or give a default")
		})
		n.doom(c, kring.ReasonAuthenticationFailed)
		return false
	}
	if n.versions == nil || n.versions.supports(s.req.Header) || n.g.passSASL(s.req.Header.Key) {
		return true
	}
	n.doom(c, kring.ReasonUnsupportedVersion)
	return false
}

// mayDial says whether an attempt to connect may begin. A node that is down is tried by one
// connection at a time.
func (n *node) mayDial(now int64) bool {
	if !n.known || n.g.closed.Load() || !n.g.began.Load() { // clients may come before Start
		return false
	}
	return n.state == nodeUp || now >= n.retryAt && (n.opening == 0 || n.failures == 0)
}

// up is when a connection can be used.
func (n *node) up() {
	n.failures, n.retryAt, n.failure = 0, 0, nil
	if n.state == nodeUp {
		return
	}
	n.state = nodeUp
	if f := n.g.cfg.Events.BrokerUp; f != nil {
		id, at := n.id, n.address
		n.calls = append(n.calls, func() { f(id, at) })
	}
	for _, p := range n.pools {
		p.serveAll()
	}
	n.serveOwn()
}

// failed is when a connection could not be opened.
func (n *node) failed(at kafka.Address, err error) {
	n.counts.OpenFailures++
	if at != n.address { // it says nothing of where the broker is looked for by now
		return
	}
	n.failures++
	n.retryAt = n.now() + int64(n.backoff(n.failures))
	n.down(err)
	n.nextBootstrap(n.failures, &n.retryAt)
	n.g.stale.Store(true) // it may have moved
}

// down is when nobody can use the broker, for all that is known.
func (n *node) down(err error) {
	n.failure = n.explain(err)
	if n.state == nodeDown {
		return
	}
	n.state = nodeDown
	if f := n.g.cfg.Events.BrokerDown; f != nil {
		id, at, why := n.id, n.address, n.failure
		n.calls = append(n.calls, func() { f(id, at, why) })
	}
}

// away says that the broker can't be reached, or accepts nobody. It is not while there is another
// address to bootstrap from, which is tried at once.
func (n *node) away() bool { return n.state == nodeDown && (n.failures == 0 || n.retryAt != 0) }

// closeSilent closes the clients that wait with Produce without an answer for a connection that is
// hopeless. The broker itself would refuse theirs, and they would keep their records and look for
// another leader; while they wait here all that they send is lost.
func (n *node) closeSilent() {
	for _, p := range n.pools {
		if !n.hopeless(p.key.identity) {
			continue
		}
		l := &p.lanes[LaneOwn]
		for _, t := range l.line.all() {
			if l.wants(&t) && t.client.silent && t.client.own == nil {
				n.doom(t.client, kring.ReasonBackendFailed)
			}
		}
	}
}

// nextBootstrap has the next of several bootstrap addresses be tried, at once unless all have
// failed.
func (n *node) nextBootstrap(failures int, retryAt *int64) {
	all := n.g.cfg.Bootstrap
	if n.id != NoNode || len(all) < 2 {
		return
	}
	n.turn = (n.turn + 1) % len(all)
	n.address = all[n.turn]
	if failures%len(all) != 0 {
		*retryAt = 0
	}
}

// backoff doubles with every failure in a row, between the bounds.
func (c *Config) backoff(failures int) time.Duration {
	d := c.BackoffMin << min(max(failures-1, 0), 20)
	if d > c.BackoffMax || d <= 0 {
		d = c.BackoffMax
	}
	return d
}

// backoff is less up to a half, so that not all come at once.
func (n *node) backoff(failures int) time.Duration {
	d := n.g.cfg.backoff(failures)
	return d - time.Duration(n.random.Int64N(int64(d)/2+1))
}

// moveTo has the node be at another address from now on: what is under way ends where it is.
func (n *node) moveTo(at kafka.Address) {
	n.lock()
	defer n.unlock()
	if n.known && n.address == at {
		return
	}
	if n.known {
		if f := n.g.cfg.Events.BrokerMoved; f != nil {
			id, from := n.id, n.address
			n.calls = append(n.calls, func() { f(id, from, at) })
		}
	}
	n.address, n.known, n.retryAt, n.failures = at, true, 0, 0
	if n.state == nodeDown {
		n.state = nodeUnknown
	}
	clear(n.refused)
	for _, p := range n.pools {
		p.retireAll()
		p.serveAll()
	}
	n.serveOwn()
}

// tick does what time asks for.
func (n *node) tick(now int64) {
	n.lock()
	defer n.unlock()
	n.release(now)
	for key, p := range n.pools {
		p.tick(now)
		if p.empty() {
			delete(n.pools, key)
		}
	}
	n.serveOwn()
	n.forgetRefusals(now)
	n.hearAgain(now)
}
