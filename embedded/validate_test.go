package embedded

import (
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// answered puts one request to a cluster of its own connection.
func answered(t *testing.T, c *Cluster, req kmsg.Request) *request {
	t.Helper()
	conn := &reqchan.Conn{}
	c.ConnOpened(conn)
	defer c.ConnClosed(conn, reqchan.PeerFinished)
	r := newRequest(t, conn, 0, req)
	c.Handle(r.Request())
	if !r.HandleReturned() {
		r.await()
	}
	return r
}

// ask puts one request to a cluster of its own connection and returns what it
// is answered with.
func ask(t *testing.T, c *Cluster, req kmsg.Request) (reqchan.AnswerKind, kmsg.Response) {
	t.Helper()
	kind, response, _ := answered(t, c, req).Answer()
	if kind != reqchan.AnswerSend {
		return kind, nil
	}
	resp := req.ResponseKind()
	body := response[reqchan.SizeBytes+correlationBytes:]
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	return kind, resp
}

func open(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Advertise("localhost", 9092)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func creating(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.Topics = 4, topics
	return req
}

func topicOf(name string, partitions int32) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	return t
}

func TestOnlyWhatMayBeIsCreated(t *testing.T) {
	c := open(t, Config{DataDir: t.TempDir()})
	_, resp := ask(t, c, creating(topicOf("../escape", 1), topicOf("good", 2), topicOf("", 1), topicOf("negative", -7)))
	got := map[string]int16{}
	for _, topic := range resp.(*kmsg.CreateTopicsResponse).Topics {
		got[topic.Topic] = topic.ErrorCode
	}
	want := map[string]int16{
		"../escape": kerr.InvalidTopicException.Code, "": kerr.InvalidTopicException.Code,
		"negative": kerr.InvalidPartitions.Code, "good": 0,
	}
	for name, code := range want {
		if at, answered := got[name]; !answered || at != code {
			t.Errorf("topic %q: error %d (answered: %v), want %d", name, at, answered, code)
		}
	}
	if len(got) != len(want) || c.kfake.TopicInfo("good") == nil || c.kfake.TopicInfo("../escape") != nil {
		t.Errorf("answered %v", got)
	}
}

func TestARequestMakesABoundedNumberOfPartitions(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"grown", 1}}})
	_, resp := ask(t, c, creating(topicOf("half", partitionsMax), topicOf("more", 1)))
	for _, topic := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if topic.ErrorCode != kerr.PolicyViolation.Code {
			t.Errorf("topic %s: error %d", topic.Topic, topic.ErrorCode)
		}
	}
	more := kmsg.NewPtrCreatePartitionsRequest()
	grown := kmsg.NewCreatePartitionsRequestTopic()
	grown.Topic, grown.Count = "grown", 1<<30
	more.Topics = append(more.Topics, grown)
	_, resp = ask(t, c, more)
	if topics := resp.(*kmsg.CreatePartitionsResponse).Topics; len(topics) != 1 || topics[0].ErrorCode != kerr.PolicyViolation.Code {
		t.Errorf("CreatePartitions was answered with %v", topics)
	}
}

// A producer that wants no answer learns of a failure by its connection's end.
//
// Kafka: F-38.
func TestASilentProducerThatFailsIsClosed(t *testing.T) {
	c := open(t, Config{})
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, 0
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "nobody-has"
	topic.Partitions = append(topic.Partitions, kmsg.NewProduceRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	if kind, _ := ask(t, c, req); kind != reqchan.AnswerClose {
		t.Errorf("answered with %v", kind)
	}
	req.Topics = nil
	if kind, _ := ask(t, c, req); kind != reqchan.AnswerNoResponse {
		t.Errorf("without a topic, answered with %v", kind)
	}
}

func TestAHandshakeWithoutSASLIsRefused(t *testing.T) {
	c := open(t, Config{})
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, "PLAIN"
	_, resp := ask(t, c, req)
	if code := resp.(*kmsg.SASLHandshakeResponse).ErrorCode; code != kerr.IllegalSaslState.Code {
		t.Errorf("error %d", code)
	}
}

// A group in which no protocol is counted once for each member would end the
// process: nobody joins without a protocol, or with one twice.
func TestNobodyJoinsWithoutAProtocolOrWithOneTwice(t *testing.T) {
	c := open(t, Config{})
	for _, protocols := range [][]string{{}, {"range", "range"}} {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.SessionTimeoutMillis, req.ProtocolType = 2, "joined", 10000, "consumer"
		for _, name := range protocols {
			p := kmsg.NewJoinGroupRequestProtocol()
			p.Name = name
			req.Protocols = append(req.Protocols, p)
		}
		_, resp := ask(t, c, req)
		if code := resp.(*kmsg.JoinGroupResponse).ErrorCode; code != kerr.InconsistentGroupProtocol.Code {
			t.Errorf("%v: error %d", protocols, code)
		}
	}
}

// A topic that is named twice is not deleted, and the others are.
func TestATopicThatIsNamedTwiceIsNotDeleted(t *testing.T) {
	for _, version := range []int16{1, 6} {
		c := open(t, Config{})
		mustCreate(t, c, "twice")
		mustCreate(t, c, "once")
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TopicNames = version, []string{"twice", "once", "twice"}
		for _, name := range req.TopicNames {
			of := kmsg.NewDeleteTopicsRequestTopic()
			of.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, of)
		}
		_, resp := ask(t, c, req)
		got := map[string]int16{}
		for _, of := range resp.(*kmsg.DeleteTopicsResponse).Topics {
			got[*of.Topic] = of.ErrorCode
		}
		if want := map[string]int16{"once": 0, "twice": kerr.InvalidRequest.Code}; !maps.Equal(got, want) {
			t.Errorf("version %d: %v, want %v", version, got, want)
		}
		if c.topicInfo("twice") == nil || c.topicInfo("once") != nil {
			t.Errorf("version %d: twice is there: %v, once is there: %v", version, c.topicInfo("twice") != nil, c.topicInfo("once") != nil)
		}
	}
}
