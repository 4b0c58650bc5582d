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
	address  kafka.Address
	known    bool // there is an address
	turn     int  // NoNode: which of the bootstrap addresses
	state    nodeState
	failure  error // of the last attempt, nil once one succeeded
	failures int   // in a row
	retryAt  int64 // no attempt before that
	opening  int   // uplinks that are not ready yet
	versions *nodeVersions
	pools    map[poolKey]*pool
	tickets  uint64
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
	n := &node{g: g, id: id, pools: map[poolKey]*pool{}, random: rand.New(rand.NewPCG(seed, uint64(id)+1))}
	if id == NoNode {
		n.turn = n.random.IntN(len(g.cfg.Bootstrap)) // instances do not all ask the same broker
		n.address, n.known = g.cfg.Bootstrap[n.turn], true
	}
	return n
}

// lock and unlock are around everything; unlock gives the answers that there were.
func (n *node) lock() { n.mu.Lock() }

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
	n.lock()
	defer n.unlock()
	s := &slot{req: r, client: c, course: courseOf(r.Header, r.Frame())}
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
		c.shares = c.shares || r.Header.Key == keyShareFetch || r.Header.Key == keyShareAcknowledge
	}
	s.due = n.g.now() + int64(n.waitTimeout())
	c.queue.push(s)
	n.pump(c, false)
}

// pump sends what c may send. fromLine: it is its turn for a connection of its lane.
func (n *node) pump(c *client, fromLine bool) {
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

// answerHere answers the ApiVersions request that is the first of c's queue; false: it has to
// wait until the broker's versions are known.
func (n *node) answerHere(c *client) bool {
	if n.versions == nil {
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

func (n *node) waitTimeout() time.Duration {
	if n.state == nodeDown && n.failures > 3 {
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
}

// failed is when a connection could not be opened, or was refused.
func (n *node) failed(err error) {
	at := n.address
	n.failures++
	n.counts.OpenFailures++
	n.failure = n.explain(err)
	n.retryAt = n.g.now() + int64(n.backoff())
	if n.id == NoNode && len(n.g.cfg.Bootstrap) > 1 {
		n.turn = (n.turn + 1) % len(n.g.cfg.Bootstrap)
		n.address = n.g.cfg.Bootstrap[n.turn]
		if n.failures%len(n.g.cfg.Bootstrap) != 0 {
			n.retryAt = 0 // the next one at once
		}
	}
	n.g.stale.Store(true) // it may have moved
	if n.state == nodeDown {
		return
	}
	n.state = nodeDown
	if f := n.g.cfg.Events.BrokerDown; f != nil {
		id, why := n.id, n.failure
		n.calls = append(n.calls, func() { f(id, at, why) })
	}
}

// backoff doubles with every failure in a row, between the bounds, less up to a half.
func (n *node) backoff() time.Duration {
	d := n.g.cfg.BackoffMin << min(n.failures-1, 20)
	if d > n.g.cfg.BackoffMax || d <= 0 {
		d = n.g.cfg.BackoffMax
	}
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
	for _, p := range n.pools {
		p.retireAll()
		p.serveAll()
	}
}

// tick does what time asks for.
func (n *node) tick(now int64) {
	n.lock()
	defer n.unlock()
	for key, p := range n.pools {
		p.tick(now)
		if p.empty() {
			delete(n.pools, key)
		}
	}
}
