package kafka

import (
	"net/netip"
	"slices"
	"testing"

	"kring"
	"kring/acl"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fewTopics are someTopics of which others may exist, but for those that are missing.
type fewTopics struct {
	someTopics
	missing, old someTopics
	created      *[]string
}

func (f fewTopics) AskedBy(netip.Addr) PartialTopics { return f }
func (f fewTopics) TopicMissing(name string) bool    { return f.missing.TopicExists(name) }
func (f fewTopics) TopicSeen(name string) bool {
	return f.TopicExists(name) && !f.old.TopicExists(name)
}
func (f fewTopics) CreateTopics(_ *kring.Conn, names []string) {
	*f.created = append(*f.created, names...)
}

// behindAGateway is guarded, with topics of which only some are known.
func behindAGateway(t *testing.T, a acl.Authorizer, next APIHandler) (*client, *Filter) {
	c := guarded(t, a, next)
	d := c.handler.(*Filter)
	d.Topics = fewTopics{someTopics{"good", "bad"}, someTopics{"gone"}, nil, new([]string)}
	return c, d
}

// TestATopicThatNobodyHasNamedMayExist: who may not create it asks for it without that, and is
// told by the broker. The same holds for one that has been named: it may have been deleted since.
func TestATopicThatNobodyHasNamedMayExist(t *testing.T) {
	h := &recorder{}
	c, _ := behindAGateway(t, rulesOf(t, "allow User:* describe topic:*", "allow User:* create topic:mine*"), h)
	ask := func(version int16, names ...string) *kmsg.MetadataRequest {
		h.calls = nil
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = version, true
		for _, name := range names {
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		}
		kind, payload, _ := c.send(framePayload(req, 4711, "test"))
		if len(h.calls) == 1 {
			return decoded(t, h.calls[0]).(*kmsg.MetadataRequest)
		}
		if kind == reqchan.AnswerSend {
			resp := decodeResponse[*kmsg.MetadataResponse](t, payload, req)
			t.Logf("%+v", resp.Topics)
		}
		return nil
	}
	for _, tt := range []struct {
		version int16
		names   []string
		topics  int
		creates bool
	}{
		{9, []string{"good"}, 1, false}, {9, []string{"unheard"}, 1, false}, {9, []string{"mine"}, 1, true}, {9, []string{"mine", "good"}, 2, false},
		{9, []string{"mine", "unheard"}, 2, false}, {9, []string{"mine", "gone"}, 1, true}, {9, []string{"mine", "mine2"}, 2, true},
		{3, []string{"good", "unheard"}, 2, false}, {0, []string{"good"}, 1, false}, {2, []string{"mine", "good"}, 2, false},
	} {
		got := ask(tt.version, tt.names...)
		if got == nil || len(got.Topics) != tt.topics || got.AllowAutoTopicCreation != tt.creates || !tt.creates && got.Version < metadataCreatesFrom {
			t.Errorf("%q in version %d: %+v", tt.names, tt.version, got)
		}
	}
}

// TestAListOfAllTopicsHasThoseThatAreKnown: the cursor of its response would name others.
func TestAListOfAllTopicsHasThoseThatAreKnown(t *testing.T) {
	h := &recorder{}
	c, _ := behindAGateway(t, rulesOf(t, "allow User:* describe topic:*"), h)
	c.send(framePayload(kmsg.NewPtrDescribeTopicPartitionsRequest(), 1, "test"))
	if len(h.calls) != 1 {
		t.Fatal("it did not reach the broker")
	}
	if got := decoded(t, h.calls[0]).(*kmsg.DescribeTopicPartitionsRequest); len(got.Topics) != 2 {
		t.Errorf("%+v", got.Topics)
	}
}

// TestAnAssignmentOfATopicThatNobodyHasNamedComesAgain: else the member would never have it.
func TestAnAssignmentOfATopicThatNobodyHasNamedComesAgain(t *testing.T) {
	of := idOf("unheard")
	c, _ := behindAGateway(t, rulesOf(t, "allow User:* read topic:*, group:g"), answers(func(r APIRequest) {
		resp := decoded(t, r).ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{Topics: []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{{TopicID: of, Partitions: []int32{0}}}}
		r.Respond(resp)
	}))
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID = "g", "m"
	if resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, req, 1); resp.ErrorCode != codeCoordinatorLoading || resp.Assignment != nil {
		t.Errorf("%+v", resp)
	}
	of = idOf("good")
	if resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, req, 1); resp.ErrorCode != 0 || resp.Assignment == nil {
		t.Errorf("%+v", resp)
	}
}

// brokersOf says that a connection goes to a broker by its listener's last letter.
type brokersOf struct{}

func (brokersOf) BrokerOf(c *kring.Conn) (id int32, known bool) {
	last := c.Listener[len(c.Listener)-1]
	return int32(last - '0'), last != '?'
}
func (brokersOf) ListenerOf(*kring.Conn) string { return "OUTER" }

// TestSessionsAreOfOneBroker: each numbers its own, so that a client's session with one may have
// the number of somebody else's with another.
func TestSessionsAreOfOneBroker(t *testing.T) {
	var sent []*kmsg.FetchRequest
	c, d := behindAGateway(t, rulesOf(t, "allow User:* read topic:good on OUTER"), answers(func(r APIRequest) {
		req := decoded(t, r).(*kmsg.FetchRequest)
		sent = append(sent, req)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		if resp.SessionID = req.SessionID; req.SessionEpoch == fetchEpochFull {
			resp.SessionID = 7
		}
		r.Respond(resp)
	}))
	d.Brokers = brokersOf{}
	fetch := func(listener string, id, epoch int32) *kmsg.FetchResponse {
		c.conn.Listener = listener
		req := kmsg.NewPtrFetchRequest()
		req.SessionID, req.SessionEpoch, req.ReplicaID = id, epoch, -1
		if epoch == fetchEpochFull {
			req.Topics = []kmsg.FetchRequestTopic{{Topic: "good", Partitions: []kmsg.FetchRequestTopicPartition{kmsg.NewFetchRequestTopicPartition()}}}
		}
		return ask[*kmsg.FetchResponse](c, req, 12)
	}
	if resp := fetch("NODE_1", 0, fetchEpochFull); resp.SessionID != 7 || resp.ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	if resp := fetch("NODE_1", 7, 1); resp.ErrorCode != 0 {
		t.Errorf("the session does not go on: %+v", resp)
	}
	if resp := fetch("NODE_2", 7, 1); resp.ErrorCode != codeFetchSessionIDNotFound {
		t.Errorf("it goes on with another broker: %+v", resp)
	}
	before := len(sent)
	if resp := fetch("NODE_?", 7, 1); resp.ErrorCode != codeFetchSessionIDNotFound || len(sent) != before {
		t.Errorf("it goes on with any broker: %+v", resp)
	}
	if fetch("NODE_?", 0, fetchEpochFull); sent[len(sent)-1].SessionEpoch != fetchEpochNone {
		t.Error("a session begins with any broker")
	}
}

// TestStreamsApplicationsNameWhatTheyMaySee: the broker creates their internal topics.
func TestStreamsApplicationsNameWhatTheyMaySee(t *testing.T) {
	h := &recorder{}
	c := guarded(t, rulesOf(t, "allow User:* read group:g", "allow User:* describe topic:good", "allow User:* describe,create topic:g-*", "allow User:* describe topic:seen"), h)
	for _, tt := range []struct {
		source, internal string
		want             bool
	}{{"good", "g-log", true}, {"bad", "g-log", false}, {"good", "other-log", false}, {"good", "seen", false}} {
		h.calls = nil
		req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
		req.Group = "g"
		req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{
			{SourceTopics: []string{tt.source}, StateChangelogTopics: []kmsg.TopicInfo{{Topic: tt.internal}}}}}
		_, payload, _ := c.send(framePayload(req, 4711, "test"))
		if passed := len(h.calls) == 1; passed != tt.want {
			t.Errorf("%+v passed: %v", tt, passed)
		} else if !passed {
			if resp := decodeResponse[*kmsg.StreamsGroupHeartbeatResponse](t, payload, req); resp.ErrorCode != codeTopicAuthorization {
				t.Errorf("%+v: error %d", tt, resp.ErrorCode)
			}
		}
	}
}

// TestAnInternalTopicThatNobodyHasNamedMayExist: TOPIC_AUTHORIZATION_FAILED would end the
// application.
func TestAnInternalTopicThatNobodyHasNamedMayExist(t *testing.T) {
	h := &recorder{}
	c, d := behindAGateway(t, rulesOf(t, "allow User:* read group:g", "allow User:* describe topic:*", "allow User:* create topic:mine*"), h)
	d.Topics = fewTopics{someTopics{"good", "old"}, someTopics{"gone"}, someTopics{"old"}, nil}
	for internal, want := range map[string]int16{"good": 0, "mine-log": 0, "unheard": codeCoordinatorLoading, "gone": codeTopicAuthorization, "old": codeCoordinatorLoading} {
		h.calls = nil
		req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
		req.Group = "g"
		req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{
			{SourceTopics: []string{"good"}, RepartitionSourceTopics: []kmsg.TopicInfo{{Topic: internal}}}}}
		_, payload, _ := c.send(framePayload(req, 4711, "test"))
		if passed := len(h.calls) == 1; passed != (want == 0) {
			t.Errorf("%s passed: %v", internal, passed)
		} else if !passed {
			if resp := decodeResponse[*kmsg.StreamsGroupHeartbeatResponse](t, payload, req); resp.ErrorCode != want {
				t.Errorf("%s: error %d, want %d", internal, resp.ErrorCode, want)
			}
		}
	}
}

// TestWhatAClientMayCreateIsCreatedApartFromWhatItMayNot: a request with both creates nothing, whatever
// its version, and its answer is in the client's.
func TestWhatAClientMayCreateIsCreatedApartFromWhatItMayNot(t *testing.T) {
	for version := int16(0); version <= kmsg.NewPtrMetadataRequest().MaxVersion(); version++ {
		c, d := behindAGateway(t, rulesOf(t, "allow User:* describe topic:*", "allow User:* create topic:mine*"), answers(func(r APIRequest) {
			if frame := r.Frame(); int16(frame[3]) != r.Header.Version {
				t.Errorf("version %d: the frame says %d, and the header %d", version, frame[3], r.Header.Version)
			}
			req := decoded(t, r).(*kmsg.MetadataRequest)
			if req.Version < metadataCreatesFrom || req.AllowAutoTopicCreation {
				t.Errorf("version %d: it creates, in version %d", version, req.Version)
			}
			resp := req.ResponseKind().(*kmsg.MetadataResponse)
			resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 7, Host: "here", Port: 9}}
			for _, topic := range req.Topics {
				answer := kmsg.NewMetadataResponseTopic()
				if answer.Topic = topic.Topic; *topic.Topic != "good" && *topic.Topic != "mine-is" {
					answer.ErrorCode = codeUnknownTopicOrPartition
				}
				resp.Topics = append(resp.Topics, answer)
			}
			r.Respond(resp)
		}))
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation = true
		for _, name := range []string{"good", "mine", "unheard", "mine-is"} {
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		}
		resp := ask[*kmsg.MetadataResponse](c, req, version)
		if len(resp.Topics) != 4 || len(resp.Brokers) != 1 || resp.Brokers[0].Host != "here" {
			t.Errorf("version %d: %+v", version, resp)
		}
		if got := *d.Topics.(fewTopics).created; !slices.Equal(got, []string{"mine"}) {
			t.Errorf("version %d: %q are created", version, got)
		}
	}
}
