package gateway

import (
	"fmt"
	"maps"

	"kring"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// topology is what the upstream last said of its brokers. It never changes.
type topology struct {
	addresses map[int32]kafka.Address
	clusterID string
}

// clientAddress is what clients are told instead of a broker's address. Any goroutine.
func (g *Gateway) clientAddress(e Endpoint) kafka.Address {
	if known, is := g.topology.Load().addresses[e.Node]; !is || known.Host != string(e.Host) || known.Port != e.Port {
		g.stale.Store(true)
		if g.cfg.PassSASL || g.unheard.Load() > 0 {
			g.hear(e)
		}
	}
	at, reachable := g.cfg.Addressing.AddressOf(e.Node)
	if !reachable {
		g.warn(fmt.Sprintf("broker %d has no address here: node ids from 0 to %d have; raise the number of --node-ports, or use names (SNI)", e.Node, g.cfg.Addressing.Nodes-1))
	}
	return at
}

var tooManyBrokers = fmt.Sprintf("the upstream names more than %d brokers: the others are not served; is it a Kafka cluster?", nodesMax)

// hear takes an address from what a client is answered: where the gateway is nobody to the brokers,
// as clients' own credentials are passed on, or clients alone have any, it can't ask. The locks are
// free.
func (g *Gateway) hear(e Endpoint) {
	at := kafka.Address{Host: string(e.Host), Port: e.Port}
	if _, reachable := g.cfg.Addressing.AddressOf(e.Node); !reachable || g.cfg.Addressing.loops(at, g.cfg.Own) {
		return
	}
	g.mu.Lock()
	old := g.topology.Load()
	if _, known := old.addresses[e.Node]; !known && len(old.addresses) >= nodesMax {
		g.mu.Unlock()
		g.warn(tooManyBrokers)
		return
	}
	t := &topology{addresses: maps.Clone(old.addresses), clusterID: old.clusterID}
	t.addresses[e.Node] = at
	g.topology.Store(t)
	g.mu.Unlock()
	g.node(e.Node).moveTo(at)
}

// ask asks a broker for all of them, from time to time, and when what is known seems old.
func (g *Gateway) ask(now int64) {
	n := g.node(NoNode)
	last := g.askedAt.Load()
	due := last == 0 || now-last >= int64(g.cfg.TopologyEvery) || g.stale.Load() && now-last >= int64(g.cfg.backoff(int(g.unheard.Load())))
	if !due || g.cfg.PassSASL || g.closed.Load() || !g.asking.CompareAndSwap(false, true) {
		return
	}
	n.lock()
	defer n.unlock()
	u := n.greeter().free(anywhere)
	if u == nil {
		n.greeter().dial(anywhere)
		g.asking.Store(false)
		return
	}
	g.askedAt.Store(max(now, 1))
	g.stale.Store(false)
	req := kmsg.NewPtrMetadataRequest()
	req.Version = n.versions.most(keyMetadata, 12)
	if req.Topics = []kmsg.MetadataRequestTopic{}; g.topics != nil { // none; null would be all
		req.Topics = g.topics.wanted(req.Version)
	}
	req.AllowAutoTopicCreation = false
	u.askOwn(req, func(payload []byte, err error) {
		g.asking.Store(false)
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = req.Version
		if err == nil {
			err = readOwn(payload, resp)
		}
		if err != nil {
			g.stale.Store(true)
			n.notHeard(err)
			return
		}
		g.unheard.Store(0)
		n.calls = append(n.calls, func() {
			if g.topics != nil {
				g.topics.learn(resp)
			}
			g.learn(resp)
		})
	})
}

// notHeard is when the gateway's own request has failed. A broker that wants SASL answers ApiVersions,
// so it counts as up, and closes the connection at what comes next. n is locked.
func (n *node) notHeard(err error) {
	if !closedByPeer(err) || n.g.unheard.Add(1) < unheardSaid {
		return
	}
	who := "nobody"
	if id := n.g.identityOf(nil); id != &noIdentity {
		who = id.Name
	}
	text := fmt.Sprintf("upstream %s closes the connection when the gateway asks for the brokers, as %s: it has to authenticate (--upstream-sasl), or by another user; until then only what clients are answered says where brokers are", n.address, who)
	n.calls = append(n.calls, func() { n.g.warnAgain(text) })
}

// unheardSaid is from how many times in a row on it is said: a broker that ends does it as well.
const unheardSaid = 3

// createTopics has topics created for a client, by a connection of its user, if one has room: else the
// client asks again. The locks are free.
func (g *Gateway) createTopics(conn *kring.Conn, names []string) {
	c, known := conn.Attachment().(*client)
	if !known {
		return
	}
	n := c.node
	n.lock()
	defer n.unlock()
	u := n.spare(c)
	if u == nil {
		return
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = n.versions.most(keyMetadata, 12), true
	for i := range names {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &names[i]})
	}
	u.askOwn(req, func([]byte, error) {}) // soon the client asks, and its answer says so
}

// spare is a connection that requests of c may go by now, nil if there is none.
func (n *node) spare(c *client) *uplink {
	switch {
	case n.versions == nil || c.pool == nil || c.gone || c.doomed:
		return nil
	case !c.alone:
		return c.pool.lanes[LaneShort].free(c.processor())
	case c.own != nil && c.own.ready() && c.own.away.len() < n.g.cfg.Depth:
		return c.own
	}
	return nil
}

// mayAsk is when a connection of n can be used: the first that can is asked for the brokers.
func (g *Gateway) mayAsk(n *node) {
	if n.id == NoNode && g.askedAt.Load() == 0 {
		n.calls = append(n.calls, func() { g.ask(g.now()) })
	}
}

// learn takes what the upstream says of its brokers.
func (g *Gateway) learn(resp *kmsg.MetadataResponse) {
	t := &topology{addresses: map[int32]kafka.Address{}}
	if resp.ClusterID != nil {
		t.clusterID = *resp.ClusterID
	}
	for _, b := range resp.Brokers {
		at := kafka.Address{Host: b.Host, Port: b.Port}
		if g.cfg.Addressing.loops(at, g.cfg.Own) {
			g.warn(fmt.Sprintf("broker %d is advertised by the upstream as %s, which is the gateway itself: requests would go round in a circle; give the brokers a listener of their own, with its own advertised.listeners, and name it with --upstream", b.NodeID, at))
			continue
		}
		if _, known := t.addresses[b.NodeID]; !known && len(t.addresses) >= nodesMax {
			g.warn(tooManyBrokers)
			break
		}
		t.addresses[b.NodeID] = at
	}
	g.mu.Lock() // hear adds to what there is
	old := g.topology.Swap(t)
	g.mu.Unlock()
	if old.clusterID != "" && t.clusterID != "" && old.clusterID != t.clusterID {
		g.warn(fmt.Sprintf("the upstream is cluster %s now, and was %s: the addresses of --upstream lead to different clusters", t.clusterID, old.clusterID))
	}
	// Also those that are not new: a client's older answer may have moved a node in between.
	for id, at := range t.addresses {
		if _, reachable := g.cfg.Addressing.AddressOf(id); reachable {
			g.node(id).moveTo(at)
		}
	}
}

// explain adds to why a broker can't be reached what can be done about it.
func (n *node) explain(err error) error {
	if n.id == NoNode {
		return fmt.Errorf("upstream %s: %w; check --upstream, and that it speaks TLS if and only if --upstream-tls says so", n.address, err)
	}
	return fmt.Errorf("broker %d is advertised by the upstream as %s, which can't be used: %w; the gateway has to resolve and reach what is in the brokers' advertised.listeners: name another of their listeners with --upstream", n.id, n.address, err)
}
