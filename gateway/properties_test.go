package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/kafka"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ready is a stage with its topology known.
func ready(t *testing.T, change func(*Config)) *stage {
	s := newStage(t, change)
	s.tick(0)
	s.run()
	s.tick(time.Second)
	s.run()
	if len(s.g.topology.Load().addresses) == 0 {
		t.Fatal("the topology is not known")
	}
	return s
}

// on is the link of a node's lane, the nth.
func (s *stage) on(node int32, lane Lane, nth int) *stageLink {
	for _, l := range s.links {
		if l.u.node.id == node && l.u.lanes.lane == lane {
			if nth--; nth < 0 {
				return l
			}
		}
	}
	s.t.Fatalf("node %d has not so many connections of lane %v", node, lane)
	return nil
}

// await is the answer to r, which must be there; false: it was answered by closing.
func (c *stageClient) await(r *stageRequest) (kmsg.Response, bool) {
	c.s.t.Helper()
	if !r.job.Answered() {
		c.s.t.Fatal("there is no answer")
	}
	kind, response, _ := r.job.Answer()
	if kind != reqchan.AnswerSend {
		return nil, false
	}
	if err := readOwn(response[4:], r.resp); err != nil {
		c.s.t.Fatal(err)
	}
	return r.resp, true
}

// give sends a request and keeps it out of look's hands, so that the test reads the answer.
func (c *stageClient) give(req kmsg.Request) *stageRequest {
	r := c.send(req, "")
	for i, x := range c.requests {
		if x == r {
			c.requests = append(c.requests[:i], c.requests[i+1:]...)
		}
	}
	return r
}

func (c *stageClient) fetch(wait int32) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	c.asked++
	r.Version, r.MaxWaitMillis = 12, wait
	r.Topics = []kmsg.FetchRequestTopic{{Topic: "0/0"}}
	return r
}

func describe(group string) *kmsg.DescribeGroupsRequest {
	r := kmsg.NewPtrDescribeGroupsRequest()
	r.Groups = []string{group}
	return r
}

// TestTheMoreClientsWaitTheLessAFetchWaits: nobody's turn is far away.
func TestTheMoreClientsWaitTheLessAFetchWaits(t *testing.T) {
	s := ready(t, func(c *Config) { c.Waiting, c.FetchWaitMax = 1, 400*time.Millisecond })
	var waits []int32
	s.change = func(l *stageLink, req kmsg.Request, _ kmsg.Response) {
		if f, is := req.(*kmsg.FetchRequest); is {
			waits = append(waits, f.MaxWaitMillis)
		}
	}
	s.clients = nil
	first := s.client("a")
	first.seen = -1
	first.give(first.fetch(5000))
	s.run()
	if len(waits) != 1 || waits[0] != 400 {
		t.Fatalf("a Fetch alone waits %v ms, and 400 is the bound", waits)
	}
	s.clients[0].seen = -1000
	for range 4 {
		c := s.client("a")
		c.give(c.fetch(5000))
	}
	link := s.on(0, LaneWaiting, 0)
	for range 4 {
		s.clients[0].seen = -1000
		link.leave(1)
		link.answer()
	}
	if len(waits) != 5 || waits[2] >= 400 || waits[2] < 50 || waits[3] >= 400 {
		t.Errorf("with others in line Fetches wait %v ms", waits)
	}
}

// TestAThrottledConnectionIsLeftAlone: the broker reads nothing of it, while others are served.
func TestAThrottledConnectionIsLeftAlone(t *testing.T) {
	s := ready(t, func(c *Config) { c.Connections = 2 })
	a, b := s.client("a"), s.client("a")
	a.give(describe("0/1"))
	s.run()
	s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if d, is := resp.(*kmsg.DescribeGroupsResponse); is {
			d.ThrottleMillis = 10_000
		}
	}
	r := a.give(describeV1("0/2"))
	s.run()
	if resp, ok := a.await(r); !ok || resp.(*kmsg.DescribeGroupsResponse).ThrottleMillis != 10_000 {
		t.Fatal("the client was not told")
	}
	s.change = nil
	muted := 0
	for _, u := range s.g.node(0).pools[poolKey{identity: &noIdentity}].lanes[LaneShort].links {
		if u.muted > s.now {
			muted++
		}
	}
	if muted != 1 {
		t.Fatalf("%d connections are muted", muted)
	}
	r = b.give(describe("1/1"))
	s.run()
	if _, ok := b.await(r); !ok {
		t.Error("another client was not served")
	}
}

func describeV1(group string) *kmsg.DescribeGroupsRequest {
	r := describe(group)
	r.Version = 1
	return r
}

func TestAnAnswerToAnotherRequestEndsBothSides(t *testing.T) {
	s := ready(t, nil)
	c := s.client("a")
	c.give(describe("0/1"))
	for _, l := range append([]*stageLink(nil), s.links...) {
		l.open()
		l.leave(10)
		l.answer()
		l.leave(10)
	}
	s.run()
	r := c.give(describe("0/2"))
	l := s.on(0, LaneShort, 0)
	l.leave(1)
	p := l.process(0, true)
	binary.BigEndian.PutUint32(p, binary.BigEndian.Uint32(p)+1)
	l.sent = nil
	l.events.Frame(p)
	if l.asked == nil || !errors.Is(l.asked, errCorrelation) {
		t.Fatalf("the upstream connection goes on: %v", l.asked)
	}
	l.end(nil, false)
	if _, ok := c.await(r); ok {
		t.Error("the client got an answer that was another request's")
	}
}

func TestOnlyWhatHasNotLeftIsSentAgain(t *testing.T) {
	s := ready(t, func(c *Config) { c.Connections = 1 })
	a, b := s.client("a"), s.client("a")
	w := a.give(describe("0/1"))
	s.run()
	a.await(w)
	ra, rb := a.give(describe("0/2")), b.give(describe("1/1"))
	l := s.on(0, LaneShort, 0)
	l.leave(1) // a's, and not b's
	l.end(io.EOF, false)
	s.run()
	if _, ok := a.await(ra); ok {
		t.Error("what may have been processed was answered")
	}
	if resp, ok := b.await(rb); !ok || resp.(*kmsg.DescribeGroupsResponse).Groups[0].Group != "1/1" {
		t.Error("what had not left was not sent again")
	}
}

// TestABrokerThatIsAwayIsARetriableError, where the protocol has one, and else the end of the
// connection.
func TestABrokerThatIsAwayIsARetriableError(t *testing.T) {
	s := ready(t, nil)
	ask := func(req kmsg.Request) (kmsg.Response, bool) {
		c := s.client("a")
		r := c.give(req)
		for range 30 {
			for _, l := range append([]*stageLink(nil), s.links...) {
				if l.u.node.id == 0 {
					l.end(errors.New("connection refused"), false)
				}
			}
			s.tick(time.Second)
		}
		return c.await(r)
	}
	produce := kmsg.NewPtrProduceRequest()
	produce.Version, produce.Acks = 9, 1
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "0/1", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 3}}}}
	resp, ok := ask(produce)
	if !ok || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != codeNotLeader {
		t.Errorf("Produce: %v", resp)
	}
	if resp, ok = ask(kmsg.NewPtrHeartbeatRequest()); !ok || resp.(*kmsg.HeartbeatResponse).ErrorCode != codeNotCoordinator {
		t.Errorf("Heartbeat: %v", resp)
	}
	if resp, ok = ask(kmsg.NewPtrInitProducerIDRequest()); !ok || resp.(*kmsg.InitProducerIDResponse).ErrorCode != codeCoordinatorLoading {
		t.Errorf("InitProducerId: %v", resp)
	}
	if resp, ok = ask(kmsg.NewPtrMetadataRequest()); ok {
		t.Errorf("Metadata: %v", resp)
	}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.SessionID, fetch.MaxWaitMillis = 12, 7, 100
	if resp, ok = ask(fetch); ok {
		t.Errorf("inside a fetch session an answer was invented: %v", resp)
	}
	if st := s.g.Stats()[1]; st.State != "down" || st.Failure == nil || !strings.Contains(st.Failure.Error(), "advertised.listeners") {
		t.Errorf("what is known of the broker: %+v", st)
	}
}

// TestAClientOfABrokerThatWasNeverReachedIsToldVersions: closed without an answer, it would take the
// broker for one that speaks TLS, and give up.
func TestAClientOfABrokerThatWasNeverReachedIsToldVersions(t *testing.T) {
	s := ready(t, nil)
	first := s.client("a")
	first.give(kmsg.NewPtrApiVersionsRequest())
	s.settle() // broker 0 was reached
	c := s.client("ab")
	r := c.give(kmsg.NewPtrApiVersionsRequest())
	ask := c.give(kmsg.NewPtrHeartbeatRequest())
	for range 30 {
		for _, l := range append([]*stageLink(nil), s.links...) {
			if l.u.node.id == 1 {
				l.end(errors.New("connection refused"), false)
			}
		}
		s.tick(time.Second)
	}
	if resp, ok := c.await(r); !ok || len(resp.(*kmsg.ApiVersionsResponse).ApiKeys) == 0 {
		t.Errorf("ApiVersions: %v", resp)
	}
	if resp, ok := c.await(ask); !ok || resp.(*kmsg.HeartbeatResponse).ErrorCode != codeNotCoordinator {
		t.Errorf("Heartbeat: %v", resp)
	}
}

func TestWhoClosedTwoSharedConnectionsGetsItsOwn(t *testing.T) {
	s := ready(t, nil)
	for i := range 2 {
		c := s.client("a")
		r := c.give(describe("0/1"))
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.open()
			for range 3 {
				l.leave(1)
				if l.u.away.len() > 0 && l.u.away.first().client == nil {
					l.answer()
				}
			}
		}
		s.clients[0].seen = -1
		s.on(0, LaneShort, 0).end(io.EOF, false)
		if _, ok := c.await(r); ok {
			t.Fatal(i, "it was answered")
		}
	}
	c := s.client("a")
	s.clients[0].seen = -1
	r := c.give(describe("0/1"))
	s.run()
	if _, ok := c.await(r); !ok {
		t.Fatal("it is not served any more")
	}
	s.on(0, LaneOwn, 0)
}

func TestEarlyClientsWaitForTheTopology(t *testing.T) {
	s := newStage(t, nil)
	c := s.client("a")
	v, r := c.give(kmsg.NewPtrApiVersionsRequest()), c.give(describe("0/1"))
	if v.job.Answered() || r.job.Answered() {
		t.Fatal("it was answered by nobody")
	}
	s.settle()
	if _, ok := c.await(v); !ok {
		t.Error("ApiVersions was not answered")
	}
	if _, ok := c.await(r); !ok {
		t.Error("the request was not answered")
	}

	s = newStage(t, func(c *Config) { c.WaitTimeout = 5 * time.Second })
	c = s.client("abcdef") // node 5, which there is none of
	r = c.give(describe("0/1"))
	s.settle()
	if resp, ok := c.await(r); !ok || resp.(*kmsg.DescribeGroupsResponse).Groups[0].ErrorCode != codeNotCoordinator {
		t.Errorf("a node that never comes: %v", resp)
	}
}

// TestVersionsAreWhatBothKnow, and features pass whole.
func TestVersionsAreWhatBothKnow(t *testing.T) {
	s := newStage(t, nil)
	s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if v, is := resp.(*kmsg.ApiVersionsResponse); is {
			v.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 0, MinVersion: 3, MaxVersion: 11}, {ApiKey: 1, MinVersion: 4, MaxVersion: 99},
				{ApiKey: 3, MaxVersion: 9}, {ApiKey: 6, MaxVersion: 1}, {ApiKey: 18, MaxVersion: 3}, {ApiKey: 38, MaxVersion: 2}, {ApiKey: 71}, {ApiKey: 15, MaxVersion: 5}, {ApiKey: 999}}
			v.FinalizedFeatures = []kmsg.ApiVersionsResponseFinalizedFeature{{Name: "transaction.version", MaxVersionLevel: 2, MinVersionLevel: 2}}
			v.FinalizedFeaturesEpoch = 7
		}
	}
	s.tick(0)
	c := s.client("a")
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 4, "t", "1"
	r := c.give(req)
	s.settle()
	resp, ok := c.await(r)
	if !ok {
		t.Fatal("no answer")
	}
	v := resp.(*kmsg.ApiVersionsResponse)
	got := map[int16][2]int16{}
	for _, k := range v.ApiKeys {
		got[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	most := kmsg.NewPtrFetchRequest().MaxVersion()
	for key, want := range map[int16][2]int16{0: {0, 11}, 1: {4, most}, 3: {0, 9}, 15: {0, 5}} {
		if got[key] != want {
			t.Errorf("API %d: announced %v, want %v", key, got[key], want)
		}
	}
	for _, key := range []int16{6, 38, 71, 999} {
		if r, is := got[key]; is {
			t.Errorf("API %d is announced: %v", key, r)
		}
	}
	if len(v.FinalizedFeatures) != 1 || v.FinalizedFeatures[0].MaxVersionLevel != 2 || v.FinalizedFeaturesEpoch != 7 {
		t.Errorf("features: %+v", v)
	}
	old := kmsg.NewPtrMetadataRequest()
	old.Version = 12
	if _, ok := c.await(c.give(old)); ok {
		t.Error("a version that the broker does not know was answered")
	}
}

func TestAnotherClusterOrNodeIsToldToBootstrapAnew(t *testing.T) {
	s := newStage(t, nil)
	s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if m, is := resp.(*kmsg.MetadataResponse); is {
			m.ClusterID = kmsg.StringPtr("ours")
		}
	}
	s.tick(0)
	s.settle()
	for name, tt := range map[string]struct {
		cluster *string
		node    int32
		want    int16
	}{"none": {nil, -1, 0}, "ours": {kmsg.StringPtr("ours"), 0, 0}, "another cluster": {kmsg.StringPtr("theirs"), 0, codeRebootstrapRequired},
		"another node": {kmsg.StringPtr("ours"), 1, codeRebootstrapRequired}} {
		c := s.client("a")
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion, req.ClusterID, req.NodeID = 5, "t", "1", tt.cluster, tt.node
		r := c.give(req)
		s.settle()
		if resp, ok := c.await(r); !ok || resp.(*kmsg.ApiVersionsResponse).ErrorCode != tt.want {
			t.Errorf("%s: %+v", name, resp)
		}
	}
}

// TestAnUpstreamThatIsOlderIsAskedInItsVersion (KIP-511).
func TestAnUpstreamThatIsOlderIsAskedInItsVersion(t *testing.T) {
	s := newStage(t, nil)
	s.change = func(_ *stageLink, req kmsg.Request, resp kmsg.Response) {
		if v, is := resp.(*kmsg.ApiVersionsResponse); is && req.GetVersion() > 2 {
			v.Version, v.ErrorCode, v.ApiKeys = 0, codeUnsupportedVersion, []kmsg.ApiVersionsResponseApiKey{{ApiKey: 18, MaxVersion: 2}}
		}
	}
	s.tick(0)
	s.settle()
	if s.g.node(NoNode).state != nodeUp {
		t.Error("an upstream that knows ApiVersions up to 2 can't be used")
	}
}

func TestALoopIsSaid(t *testing.T) {
	var warned []string
	s := newStage(t, func(c *Config) { c.Events.Warning = func(text string) { warned = append(warned, text) } })
	s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if m, is := resp.(*kmsg.MetadataResponse); is {
			m.Brokers[0].Host, m.Brokers[0].Port = "node-0.test", 9092
		}
	}
	s.tick(0)
	s.settle()
	if len(warned) != 1 || !strings.Contains(warned[0], "circle") || !strings.Contains(warned[0], "--upstream") {
		t.Errorf("warned: %q", warned)
	}
	if n := s.g.node(0); n.known {
		t.Error("the gateway would connect to itself")
	}

	c := s.client("")
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID(s.g.clientID)).AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 1)
	job := reqchan.NewJob(c.conn, frame)
	job.Begin(s.home, &s.pool)
	raw := job.Request()
	h, _ := kafka.ParseHeader(raw.Payload())
	s.g.HandleAPI(kafka.APIRequest{Header: h, Body: raw.Payload()[h.Size:], Raw: raw})
	if len(warned) != 2 || !job.Answered() {
		t.Errorf("its own request is no loop: %q", warned)
	}
}

func TestANodeIDOutsideTheRangeIsSaid(t *testing.T) {
	var warned []string
	s := newStage(t, func(c *Config) {
		c.Addressing = Addressing{Host: "gw.test", PortBase: 9100, Nodes: 1}
		c.Events.Warning = func(text string) { warned = append(warned, text) }
	})
	s.tick(0)
	s.settle()
	c := s.client("a")
	r := c.give(kmsg.NewPtrMetadataRequest())
	s.settle()
	resp, ok := c.await(r)
	if !ok {
		t.Fatal("no answer")
	}
	brokers := resp.(*kmsg.MetadataResponse).Brokers
	if brokers[0].Host != "gw.test" || brokers[0].Port != 9100 || !strings.HasSuffix(brokers[1].Host, ".invalid") {
		t.Errorf("brokers: %+v", brokers)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "--node-ports") {
		t.Errorf("warned: %q", warned)
	}
}

func TestBackoffGrowsAndStaysWithinItsBounds(t *testing.T) {
	s := newStage(t, func(c *Config) { c.BackoffMin, c.BackoffMax = 100*time.Millisecond, time.Second })
	n := s.g.node(0)
	for n.failures = 1; n.failures < 100; n.failures++ {
		whole := min(100*time.Millisecond<<min(n.failures-1, 20), time.Second)
		if d := n.backoff(n.failures); d > whole || d < whole/2 {
			t.Fatalf("after %d failures: %v", n.failures, d)
		}
	}
}

// TestTheGatewayAuthenticatesAgainWithNothingUnderWay: between 85 and 95 % of the session.
func TestTheGatewayAuthenticatesAgainWithNothingUnderWay(t *testing.T) {
	who := &Identity{Mechanism: "PLAIN", User: "u", Password: "p"}
	s := newStage(t, func(c *Config) { c.IdentityOf = func(*kring.Conn) *Identity { return who } })
	logins := 0
	s.change = func(l *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if a, is := resp.(*kmsg.SASLAuthenticateResponse); is {
			a.SessionLifetimeMillis = 20_000
			if l.u.node.id == 0 && l.u.lanes.lane == LaneShort {
				logins++
			}
			for _, x := range l.u.away.all() {
				if x.client != nil {
					t.Error("a client's request is under way")
				}
			}
		}
	}
	s.tick(0)
	s.settle()
	c := s.client("a")
	r := c.give(describe("0/1"))
	s.run()
	c.await(r)
	if logins != 1 {
		t.Fatalf("%d authentications", logins)
	}
	began := s.now
	r = c.give(describe("0/2"))
	s.on(0, LaneShort, 0).leave(1) // and is not answered until it is late
	s.tick(19200 * time.Millisecond)
	if logins != 1 {
		t.Fatal("it authenticated again with a request under way")
	}
	s.run()
	if c.await(r); logins != 2 {
		t.Fatalf("%d authentications after %v of 20 s", logins, time.Duration(s.now-began))
	}
	for logins == 2 && s.now-began < int64(300*time.Second) {
		s.tick(100 * time.Millisecond)
		s.run()
	}
	if took := time.Duration(s.now-began) - 19200*time.Millisecond; took < 16900*time.Millisecond || took > 20*time.Second {
		t.Errorf("it authenticated again after %v of 20 s", took)
	}
}

func TestTheTableOfLanesHasEveryAPIOfClients(t *testing.T) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		in := false
		for _, a := range APIs {
			in = in || a.Key == key
		}
		telemetry := key == 71 || key == 72 // answered in front of the gateway
		controllers := key == 94            // not announced by brokers
		if want := kmsg.RequestForKey(key) != nil && !betweenServers(key) && !telemetry && !controllers; in != want {
			t.Errorf("API %d (%s): in the table: %v", key, kmsg.NameForKey(key), in)
		}
	}
}

// TestPrincipalsShareNoConnection, and one that nobody has mapped is refused.
func TestPrincipalsShareNoConnection(t *testing.T) {
	a, b := &Identity{Mechanism: "PLAIN", User: "a", Password: "p"}, &Identity{Mechanism: "PLAIN", User: "b", Password: "p"}
	s := ready(t, func(c *Config) {
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			if conn == nil {
				return nil
			}
			return map[string]*Identity{"User:a": a, "User:b": b}[conn.Principal()]
		}
	})
	for principal, served := range map[string]bool{"User:a": true, "User:b": true, "User:c": false} {
		c := s.client("a")
		c.conn.SetPrincipal(principal)
		v, r := c.give(kmsg.NewPtrApiVersionsRequest()), c.give(describe("0/1"))
		s.clients[0].seen = -1
		s.run()
		if _, ok := c.await(v); !ok {
			t.Errorf("%s: ApiVersions, which comes before authentication, is not answered", principal)
		}
		if _, ok := c.await(r); ok != served {
			t.Errorf("%s: served: %v", principal, ok)
		}
	}
	if n := len(s.g.node(0).pools); n != 3 { // one to learn the versions
		t.Errorf("%d pools", n)
	}
}

// TestNobodyWaitsForAGatewayThatHasClosed: what comes late, and what was to be sent again, is
// answered by closing. A server that drains waits for it.
func TestNobodyWaitsForAGatewayThatHasClosed(t *testing.T) {
	s := ready(t, func(c *Config) { c.Connections = 1 })
	a, b := s.client("a"), s.client("a")
	a.give(describe("0/1"))
	s.run()
	again, other := a.give(describe("0/2")), b.give(describe("1/1"))
	s.g.Close()
	for len(s.links) > 0 {
		s.links[0].end(errShutDown, false)
	}
	late := s.client("ab").give(describe("2/1"))
	early := s.client("a").give(kmsg.NewPtrApiVersionsRequest())
	for name, r := range map[string]*stageRequest{"to be sent again": again, "another's": other, "late": late} {
		if !r.job.Answered() {
			t.Errorf("%s: it is not answered", name)
		}
	}
	if !early.job.Answered() {
		t.Error("ApiVersions is not answered")
	}
}
