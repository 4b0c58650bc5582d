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
// behind it.
func Served() kafka.Versions {
	all := kmsg.NewPtrApiVersionsResponse()
	for _, a := range APIs {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MaxVersion = a.Key, kmsg.RequestForKey(a.Key).MaxVersion()
		all.ApiKeys = append(all.ApiKeys, key)
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
	v := n.versions
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
func readOwn(payload []byte, resp kmsg.Response) (err error) {
	defer func() { // kmsg trusts counts
		if v := recover(); v != nil {
			err = fmt.Errorf("gateway: the upstream's response to API %d can't be read: %v", resp.Key(), v)
		}
	}()
	body := payload[4:]
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		w := endpointWalker{whole: body, left: body, flexible: true}
		w.skipTags()
		if w.broken {
			return errEndpoints
		}
		body = w.left
	}
	if err := resp.ReadFrom(body); err != nil {
		return fmt.Errorf("gateway: the upstream's response to API %d can't be read: %w", resp.Key(), err)
	}
	return nil
}

// greet asks what the broker knows: on every connection, as it may have been upgraded.
func (u *uplink) greet(version int16) {
	u.life = lifeGreeting
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = version
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kring-gateway", "1"
	u.askOwn(req, func(payload []byte, err error) {
		if err != nil || u.life != lifeGreeting {
			return
		}
		if err := u.greeted(version, payload); err != nil {
			u.close(err)
		}
	})
}

func (u *uplink) greeted(version int16, payload []byte) error {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = version
	if len(payload) >= 6 && payload[4] == 0 && payload[5] == codeUnsupportedVersion {
		resp.Version = 0 // whatever was asked (KIP-511)
	}
	if err := readOwn(payload, resp); err != nil {
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
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("gateway: the upstream answers ApiVersions with %w", err)
	}
	v, err := u.node.g.intersect(resp)
	if err != nil {
		return err
	}
	u.node.versions = v
	if u.node.g.cfg.PassSASL || u.lanes.pool.key.identity.Mechanism == "" {
		u.becomeReady()
		return nil
	}
	u.authenticate()
	return nil
}
