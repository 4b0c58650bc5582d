package gateway

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"kring"
	"kring/kafka"
	"kring/reqchan"
)

// Gateway is the kafka.APIHandler that has an upstream cluster answer. It needs requests of
// one connection in their order: a server with inline dispatch, or with one request in flight
// for each connection.
type Gateway struct {
	cfg    Config
	dialer Dialer
	// clientID is what the gateway's own requests say; it is unlike that of every other
	// gateway, so that one that comes back here is a loop.
	clientID string
	closed   atomic.Bool
	// waitsEnd is when nothing waits any more, of now; 0: Drain was not called.
	waitsEnd atomic.Int64
	began    atomic.Bool // Start was called: the Dialer may be used
	stale    atomic.Bool // what is known of the brokers' addresses should be asked for again
	asking   atomic.Bool
	askedAt  atomic.Int64
	unheard  atomic.Int32 // how many requests of its own in a row a broker has closed the connection for
	topology atomic.Pointer[topology]
	versions atomic.Pointer[nodeVersions] // of the broker that was reached last

	mu     sync.Mutex
	nodes  map[int32]*node  // guarded by mu
	warned map[string]int64 // guarded by mu; when it was said

	told      func(Endpoint) kafka.Address // clientAddress
	topics    *topics                      // nil: nobody needs them
	poisoners poisoners
	promised  atomic.Int64 // bytes of answers that brokers were asked for, and that have not begun
	done      chan struct{}
	ticking   sync.WaitGroup
}

// New makes a Gateway whose connections d opens. Start begins its work.
func New(cfg Config, d Dialer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg.WithDefaults(), dialer: d, nodes: map[int32]*node{}, warned: map[string]int64{}, done: make(chan struct{})}
	g.clientID = fmt.Sprintf("%s%016x", clientIDPrefix, rand.Uint64())
	g.told = g.clientAddress
	g.poisoners.seen = map[string]poisoner{}
	g.topology.Store(&topology{addresses: map[int32]kafka.Address{}})
	g.stale.Store(true)
	if cfg.LearnTopics {
		g.topics = newTopics(g.now, func() { g.stale.Store(true) })
		g.topics.create = g.createTopics
	}
	g.nodes[NoNode] = newNode(g, NoNode)
	return g, nil
}

// Topics are those that brokers have named, for kafka.Filter.Topics; nil without
// Config.LearnTopics.
func (g *Gateway) Topics() kafka.Topics {
	if g.topics == nil { // nil in an interface would be Topics
		return nil
	}
	return g.topics
}

// BrokerOf is of kafka.Brokers.
func (g *Gateway) BrokerOf(c *kring.Conn) (id int32, known bool) {
	id = g.wants(c)
	return id, id != NoNode
}

// ListenerOf is of kafka.Brokers.
func (g *Gateway) ListenerOf(c *kring.Conn) string {
	if g.cfg.ListenerOf != nil {
		return g.cfg.ListenerOf(c)
	}
	return c.Listener
}

const clientIDPrefix = "kring-gateway-"

// tickEvery is how often waits are looked at.
const tickEvery = 50 * time.Millisecond

// Start begins to look for the brokers; it does not wait for them.
func (g *Gateway) Start() {
	g.Tick()
	g.ticking.Add(1)
	go func() {
		defer g.ticking.Done()
		t := time.NewTicker(tickEvery)
		defer t.Stop()
		for {
			select {
			case <-g.done:
				return
			case <-t.C:
				g.Tick()
			}
		}
	}()
}

// waitsStay is how long requests go on waiting once the gateway is drained.
const waitsStay = time.Second

// Drain has nothing wait for long any more. A second later requests that stand in line for an
// upstream connection, or whose broker throttles them, are refused, as after Config.WaitTimeout;
// and who waits at a broker for records or for a group is closed, and asks elsewhere, or later.
// (Apache Kafka closes all that has not been answered at once.) What a broker is at work on goes
// on. Call it before the server is shut down, which waits for all that is in flight. It does not
// block.
func (g *Gateway) Drain() { g.waitsEnd.CompareAndSwap(0, g.now()+int64(waitsStay)) }

// waitsUntil says until when what is due then may wait.
func (g *Gateway) waitsUntil(due int64) int64 {
	if end := g.waitsEnd.Load(); end != 0 {
		return min(due, end)
	}
	return due
}

// waitsOver says that nothing may wait.
func (g *Gateway) waitsOver(now int64) bool { return now >= g.waitsUntil(math.MaxInt64) }

// Close ends all upstream connections at once. Clients' requests that are left are answered
// by closing. Call it when the server has drained.
func (g *Gateway) Close() {
	if g.closed.Swap(true) {
		return
	}
	close(g.done)
	g.ticking.Wait()
	for _, n := range g.allNodes() {
		n.lock()
		for c := range n.held {
			n.doom(c, kring.ReasonServerDraining)
		}
		for _, p := range n.pools {
			for i := range p.lanes {
				for _, u := range p.lanes[i].links {
					u.close(errShutDown)
				}
				for t := p.lanes[i].next(); p.lanes[i].pool != nil && t != nil; t = p.lanes[i].next() {
					n.doom(t.client, kring.ReasonServerDraining)
				}
			}
		}
		n.unlock()
	}
}

// Tick does what time asks for; Start has it called.
func (g *Gateway) Tick() {
	g.began.Store(true)
	now := g.now()
	for _, n := range g.allNodes() {
		n.tick(now)
	}
	g.forgetNodes()
	g.poisoners.forget(now)
	g.ask(now)
}

func (g *Gateway) now() int64 {
	if g.cfg.Now != nil {
		return g.cfg.Now()
	}
	return reqchan.Now()
}

// processors are the ids of those that serve, nil if the Dialer does not say.
func (g *Gateway) processors() []uint32 {
	if d, says := g.dialer.(interface{ Processors() []uint32 }); says {
		return d.Processors()
	}
	return nil
}

func (g *Gateway) allNodes() []*node {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*node, 0, len(g.nodes))
	for _, n := range g.nodes {
		all = append(all, n)
	}
	return all
}

// node is that of an id; any broker's if clients can't reach one of that id.
func (g *Gateway) node(id int32) *node {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nodeLocked(id)
}

// nodeForClient is node for one more client, until leaveNode.
func (g *Gateway) nodeForClient(id int32) *node {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodeLocked(id)
	n.clients++
	return n
}

func (g *Gateway) leaveNode(n *node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n.clients--
}

// forgetNodes forgets what nobody has said that there is, once its clients have gone: clients
// name any broker they like. Those that the upstream has named stay, up to a bound, for their
// counts.
func (g *Gateway) forgetNodes() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.topology.Load().addresses
	for id, n := range g.nodes {
		if _, is := now[id]; is || id == NoNode || n.clients > 0 {
			continue
		}
		n.mu.Lock()
		unused := len(n.pools) == 0 && (!n.known || len(g.nodes) > nodesMax)
		n.mu.Unlock()
		if unused {
			delete(g.nodes, id)
		}
	}
}

// nodesMax bounds the brokers of a cluster. The largest have some hundred.
const nodesMax = 4096

// nodeLocked is node; mu is held.
func (g *Gateway) nodeLocked(id int32) *node {
	if _, reachable := g.cfg.Addressing.AddressOf(id); !reachable {
		id = NoNode
	}
	n := g.nodes[id]
	if n == nil {
		n = newNode(g, id)
		if at, known := g.topology.Load().addresses[id]; known {
			n.address, n.known = at, true
		}
		g.nodes[id] = n
	}
	return n
}

// HandleAPI is of kafka.APIHandler. It never blocks.
func (g *Gateway) HandleAPI(r kafka.APIRequest) {
	if r.Header.Key == keyApiVersions && string(r.Header.ClientID) == g.clientID {
		g.warn("the upstream is this gateway itself: a broker's advertised address leads here; give the brokers a listener of their own, and name it with --upstream")
		r.CloseConnection(kring.ReasonBackendFailed)
		return
	}
	r.Raw.PaceResponse() // by the Link, when the response begins
	c := g.clientOf(r.Conn())
	c.node.submit(c, r)
}

// ConnOpened is of kring.ConnWatcher.
func (g *Gateway) ConnOpened(*kring.Conn) {}

// ConnClosed is of kring.ConnWatcher.
func (g *Gateway) ConnClosed(conn *kring.Conn, _ kring.CloseReason) {
	if c, known := conn.Attachment().(*client); known {
		g.leave(c)
	}
}

// passes says whether requests like s are served.
func (g *Gateway) passes(s *slot) bool {
	key := s.req.Header.Key
	switch {
	case key == keySASLHandshake || key == keySASLAuthenticate:
		return g.cfg.PassSASL
	case s.course.lane == LaneRefused:
		return g.cfg.PassSASL && key >= 38 && key <= 41
	}
	return true
}

func (g *Gateway) passSASL(key int16) bool {
	return g.cfg.PassSASL && (key == keySASLHandshake || key == keySASLAuthenticate)
}

func (g *Gateway) identityOf(c *kring.Conn) *Identity {
	var id *Identity
	if g.cfg.IdentityOf != nil {
		id = g.cfg.IdentityOf(c)
	}
	if id == nil && (c == nil || g.cfg.IdentityOf == nil) {
		return &noIdentity // the gateway itself is nobody, and learns versions all the same
	}
	return id
}

// warn tells of something wrong, once.
func (g *Gateway) warn(text string) { g.warnEvery(text, math.MaxInt64) }

// warnAgain tells of something that goes on being wrong, once in a while.
func (g *Gateway) warnAgain(text string) { g.warnEvery(text, int64(warnAgainEvery)) }

func (g *Gateway) warnEvery(text string, every int64) {
	now := g.now()
	g.mu.Lock()
	last, said := g.warned[text]
	again := said && now-last < every || !said && len(g.warned) >= warningsMax
	if !again {
		g.warned[text] = now
	}
	g.mu.Unlock()
	if f := g.cfg.Events.Warning; f != nil && !again {
		f(text)
	}
}

const warnAgainEvery = 10 * time.Minute

// warningsMax bounds how many texts are remembered.
const warningsMax = 1000

// finish answers a client with what the upstream answered: under the client's correlation
// id, and with the addresses that it shall use. Without locks.
func (n *node) finish(s *slot, payload []byte) {
	r, h := s.req, s.req.Header
	binary.BigEndian.PutUint32(payload, uint32(h.CorrelationID))
	edits, err := rewriteEndpoints(h.Key, h.Version, payload, n.g.told)
	if err != nil {
		n.g.warn(err.Error())
		r.CloseConnection(kring.ReasonBackendFailed)
		return
	}
	if n.g.topics != nil && !s.dry {
		n.g.topics.hear(h, payload)
	}
	if s.throttled > 0 {
		r.Raw.Throttle(s.throttled)
	}
	if len(edits) == 0 {
		r.Finish(payload)
		return
	}
	size := len(payload) + grownBy(edits)
	if s.into != nil && cap(payload) >= size {
		r.Finish(editTail(payload, edits))
		return
	}
	if s.into != nil { // Buffer would give the same memory
		r.Finish(appendEdited(make([]byte, 0, size), payload, edits))
		return
	}
	r.Finish(appendEdited(r.Raw.Buffer(size)[:0], payload, edits))
}
