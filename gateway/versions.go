package gateway

import (
	"fmt"

	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// betweenServers says that key is of an API that brokers and controllers use among
// themselves. A gateway's clients are neither.
func betweenServers(key int16) bool {
	switch {
	case key >= 4 && key <= 7, key == 27, key >= 52 && key <= 54, key == 56, key == 58, key == 59, key == 62, key == 63,
		key == 67, key == 70, key == 73, key >= 82 && key <= 87:
		return true
	}
	return false
}

// Served is what a kafka.Filter in front of a Gateway lets through: every API that has a
// lane, in every version that this build can read. What a broker does not have is refused
// behind it. further is Config.Announced.
func Served(further ...kafka.VersionRange) kafka.Versions {
	all := kmsg.NewPtrApiVersionsResponse()
	for _, a := range APIs {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MaxVersion = a.Key, kmsg.RequestForKey(a.Key).MaxVersion()
		all.ApiKeys = append(all.ApiKeys, key)
	}
	for _, r := range further {
		all.ApiKeys = append(all.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: r.Key, MinVersion: r.Min, MaxVersion: r.Max})
	}
	v, err := kafka.VersionsOf(all)
	if err != nil {
		panic(fmt.Sprintf("kring: broken invariant: the table of lanes: %v", err))
	}
	return v
}

// nodeVersions is what a broker and the gateway both know, and the features of the broker:
// these decide how clients use transactions, and pass whole.
type nodeVersions struct {
	kafka.Versions
	upstream *kmsg.ApiVersionsResponse
}

// intersect makes the table of what upstream announces: keys that are between servers, and
// those that the gateway refuses, are left out.
func (g *Gateway) intersect(upstream *kmsg.ApiVersionsResponse) (*nodeVersions, error) {
	kept := *upstream
	kept.ApiKeys = nil
	for _, k := range upstream.ApiKeys {
		lane := api(k.ApiKey).Lane
		switch {
		case k.ApiKey == keyApiVersions: // answered here, in our versions
			k.MinVersion, k.MaxVersion = 0, kmsg.NewPtrApiVersionsRequest().MaxVersion()
		case betweenServers(k.ApiKey), lane == LaneRefused && !(g.cfg.PassSASL && k.ApiKey >= 38 && k.ApiKey <= 41):
			continue
		case (k.ApiKey == keySASLHandshake || k.ApiKey == keySASLAuthenticate) && !g.cfg.PassSASL:
			continue
		}
		kept.ApiKeys = append(kept.ApiKeys, k)
	}
	v, err := kafka.VersionsOf(&kept)
	if err != nil {
		return nil, fmt.Errorf("the upstream's ApiVersions response can't be used: %w", err)
	}
	return &nodeVersions{v, upstream}, nil
}

// announced is what clients of n are told that it knows. A broker that is down and was never
// reached is taken to know what the broker knows that was reached last: a client that is told
// nothing and closed takes that for a listener that speaks TLS, or that wants SASL, and gives up
// (franz-go's ErrFirstReadEOF), while its next request has an error by which it looks for another
// broker. nil: nobody was reached. The node's lock is held.
func (n *node) announced() *nodeVersions {
	if n.versions == nil && n.state == nodeDown {
		n.versions = n.g.versions.Load() // until it says its own
	}
	return n.versions
}

func (v *nodeVersions) supports(h kafka.Header) bool { return v.Supported(h.Key, h.Version) }

// most is the highest version of an API that both know, at most most.
func (v *nodeVersions) most(key, most int16) int16 {
	r, _ := v.Range(key)
	return max(r.Min, min(most, r.Max))
}

// saslRanges are announced where the gateway itself authenticates clients.
var saslRanges = []kmsg.ApiVersionsResponseApiKey{
	{ApiKey: keySASLHandshake, MaxVersion: 1}, {ApiKey: keySASLAuthenticate, MaxVersion: 2}}

// answerVersions answers an ApiVersions request, without locks.
func (n *node) answerVersions(s *slot) {
	n.lock()
	v := n.versions // known: see answerHere
	n.unlock()
	h := s.req.Header
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = h.Version
	if n.otherCluster(s) {
		resp.ErrorCode = codeRebootstrapRequired
		s.req.Respond(resp)
		return
	}
	up := v.upstream
	resp.SupportedFeatures = append(resp.SupportedFeatures, up.SupportedFeatures...)
	resp.FinalizedFeaturesEpoch, resp.FinalizedFeatures = up.FinalizedFeaturesEpoch, up.FinalizedFeatures
	resp.ZkMigrationReady = up.ZkMigrationReady
	v.Announce(resp)
	if f := n.g.cfg.HasSASL; f != nil && f(s.client.conn) {
		resp.ApiKeys = append(resp.ApiKeys, saslRanges...)
	}
	for _, r := range n.g.cfg.Announced {
		resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: r.Key, MinVersion: r.Min, MaxVersion: r.Max})
	}
	s.req.Respond(resp)
}

// otherCluster says that the client means another cluster, or another node of it, than the
// one that it has reached (KIP-1242). It is to learn the brokers' addresses anew.
func (n *node) otherCluster(s *slot) bool {
	if s.req.Header.Version < 5 {
		return false
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = s.req.Header.Version
	if req.ReadFrom(s.req.Body) != nil {
		return false
	}
	ours := n.g.topology.Load().clusterID
	return req.ClusterID != nil && ours != "" && *req.ClusterID != ours || req.NodeID >= 0 && n.id != NoNode && req.NodeID != n.id
}

// versionsAskedFirst is the version of ApiVersions that an upstream is asked in first; one
// that is older says which it knows.
const versionsAskedFirst = 4

// askOwn asks the broker something of the gateway's own. The node's lock is held.
func (u *uplink) askOwn(req kmsg.Request, reply func(payload []byte, err error)) {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(u.node.g.clientID))
	s := &slot{reply: reply}
	s.req.Header.Key, s.req.Header.Version = req.Key(), req.GetVersion()
	s.parts[0] = f.AppendRequest(nil, req, 0)
	u.send(s)
}

// readOwn reads the answer to a request of the gateway's own.
func readOwn(payload []byte, resp kmsg.Response) error {
	if len(payload) < 4 {
		return errEndpoints
	}
	body := payload[4:]
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		w := endpointWalker{whole: body, left: body, flexible: true}
		w.skipTags()
		if w.broken {
			return errEndpoints
		}
		body = w.left
	}
	if err := kafka.DecodeResponse(body, resp); err != nil {
		return fmt.Errorf("gateway: the upstream's response to API %d can't be read: %w", resp.Key(), err)
	}
	return nil
}

// greet asks what the broker knows: on every connection, as it may have been upgraded.
func (u *uplink) greet(version int16) {
	u.life = lifeGreeting
	u.askVersions(version, func(payload []byte, err error) {
		if err != nil || u.life != lifeGreeting {
			return
		}
		if err := u.greeted(version, payload); err != nil {
			u.close(err)
		}
	})
}

func (u *uplink) askVersions(version int16, reply func(payload []byte, err error)) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = version
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kring-gateway", "1"
	u.askOwn(req, reply)
}

func (u *uplink) greeted(version int16, payload []byte) error {
	resp, err := readVersions(version, payload)
	if err != nil {
		return err
	}
	if resp.ErrorCode == codeUnsupportedVersion && version > 0 {
		next := int16(0)
		for _, k := range resp.ApiKeys {
			if k.ApiKey == keyApiVersions {
				next = min(max(0, k.MaxVersion), version-1)
			}
		}
		u.greet(next)
		return nil
	}
	if err := u.node.heard(resp); err != nil {
		return err
	}
	u.asked, u.heard = version, true
	if u.node.g.cfg.PassSASL || u.lanes.pool.key.identity.latest().Mechanism == "" {
		u.becomeReady()
		return nil
	}
	u.node.reached()
	u.authenticate()
	return nil
}

func readVersions(version int16, payload []byte) (*kmsg.ApiVersionsResponse, error) {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = version
	if len(payload) >= 6 && payload[4] == 0 && payload[5] == codeUnsupportedVersion {
		resp.Version = 0 // whatever was asked (KIP-511)
	}
	return resp, readOwn(payload, resp)
}

// heard takes what the broker says that it knows.
func (n *node) heard(resp *kmsg.ApiVersionsResponse) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("gateway: the upstream answers ApiVersions with %w", err)
	}
	v, err := n.g.intersect(resp)
	if err != nil {
		return err
	}
	n.versions, n.heardAt = v, n.g.now()
	n.g.versions.Store(v)
	return nil
}

// hearAgain asks the broker once more, by a connection that there is: a cluster agrees on features
// (which decide about transactions of version 2) long after its last broker was upgraded, and busy
// connections last for ever. It does not keep an idle one. Where clients authenticate at the broker
// a connection that nobody uses yet has not, and a broker takes only one such question before that:
// there new connections ask.
func (n *node) hearAgain(now int64) {
	if n.g.cfg.PassSASL || n.state != nodeUp || n.hearing || now-n.heardAt < int64(n.g.cfg.TopologyEvery) {
		return
	}
	for _, p := range n.pools {
		if u := p.lanes[LaneShort].free(anywhere); u != nil {
			n.hearFrom(u)
			return
		}
	}
}

func (n *node) hearFrom(u *uplink) {
	n.hearing = true
	idle, idleSince, only := u.away.len() == 0, u.idleSince, u.last+1
	u.askVersions(u.asked, func(payload []byte, err error) {
		n.hearing = false
		if err != nil {
			return
		}
		if idle && u.last == only {
			u.idleSince = idleSince
		}
		resp, err := readVersions(u.asked, payload)
		if err == nil {
			err = n.heard(resp)
		}
		if err != nil {
			u.close(err)
			return
		}
		n.greeter().serve()
	})
}

// outdated says that it was long ago that the broker said what it knows, which no connection
// that there is can be asked: all were closed as idle.
func (n *node) outdated() bool {
	return n.state == nodeUp && n.g.now()-n.heardAt > 2*int64(n.g.cfg.TopologyEvery)
}
