package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// Requests that kfake accepts and Apache Kafka refuses, if it matters: names become paths
// of the data directory, partitions become memory at once, and a producer with acks 0
// learns of a failure by the end of its connection.

// watchSilent makes kfake answer a producer with acks 0, so that an error can close the
// connection, as with Apache Kafka.
func watchSilent(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	if x.silent {
		req.Acks, x.changed = 1, true
	}
	return nil
}

// endSilent ends a Produce with acks 0: if kfake or a repair refused it, the connection is
// closed.
func (x *exchange) endSilent(resp *kmsg.ProduceResponse) {
	if produceFailed(resp) {
		x.q.CloseConnection(reqchan.HandlerClosed)
	} else {
		x.q.NoResponse()
	}
}

func produceFailed(resp *kmsg.ProduceResponse) bool {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return true
			}
		}
	}
	return false
}

// validateCreateTopics refuses what must not be created, and passes the rest to kfake.
func validateCreateTopics(x *exchange, req *kmsg.CreateTopicsRequest) kmsg.Response {
	good, refused := sortTopics(req.Topics)
	if len(refused) == 0 {
		return nil
	}
	if len(good) == 0 {
		resp := x.response().(*kmsg.CreateTopicsResponse)
		resp.Topics = refused
		return resp
	}
	req.Topics, x.changed = good, true
	then(x, func(resp *kmsg.CreateTopicsResponse) { resp.Topics = append(resp.Topics, refused...) })
	return nil
}

// sortTopics separates what may be created from what may not. As in Apache Kafka, one
// request makes a bounded number of partitions or none.
func sortTopics(topics []kmsg.CreateTopicsRequestTopic) (good []kmsg.CreateTopicsRequestTopic, refused []kmsg.CreateTopicsResponseTopic) {
	total := 0
	for i := range topics {
		total += max(int(topics[i].NumPartitions), len(topics[i].ReplicaAssignment), 1)
	}
	for i := range topics {
		fault := topicFault(&topics[i])
		if total > partitionsMax && fault == nil {
			fault = kerr.PolicyViolation
		}
		if fault == nil {
			good = append(good, topics[i])
			continue
		}
		t := kmsg.NewCreateTopicsResponseTopic()
		t.Topic, t.ErrorCode, t.ErrorMessage = topics[i].Topic, fault.Code, kmsg.StringPtr(fault.Description)
		t.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // null would end Java's admin client
		refused = append(refused, t)
	}
	return good, refused
}

func topicFault(t *kmsg.CreateTopicsRequestTopic) *kerr.Error {
	switch {
	case !validTopicName(t.Topic):
		return kerr.InvalidTopicException
	case t.NumPartitions < -1:
		return kerr.InvalidPartitions
	case t.ReplicationFactor < -1, t.ReplicationFactor == 0:
		return kerr.InvalidReplicationFactor
	}
	return nil
}

// refuseManyPartitions answers a request that would make more partitions than
// one request may.
func refuseManyPartitions(x *exchange, req *kmsg.CreatePartitionsRequest) kmsg.Response {
	total := 0
	for i := range req.Topics {
		total += max(int(req.Topics[i].Count), 0)
	}
	if total <= partitionsMax {
		return nil
	}
	resp := x.response().(*kmsg.CreatePartitionsResponse)
	for i := range req.Topics {
		t := kmsg.NewCreatePartitionsResponseTopic()
		t.Topic, t.ErrorCode = req.Topics[i].Topic, kerr.PolicyViolation.Code
		t.ErrorMessage = kmsg.StringPtr(kerr.PolicyViolation.Description)
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// refuseJoin answers a member that has no protocol, or one twice: kfake counts
// protocols, and a group without one that all its members count ends the
// process.
func refuseJoin(x *exchange, req *kmsg.JoinGroupRequest) kmsg.Response {
	if req.Group == "" {
		return nil // kfake says what is wrong
	}
	names := make(map[string]bool, len(req.Protocols))
	for i := range req.Protocols {
		names[req.Protocols[i].Name] = true
	}
	if len(names) > 0 && len(names) == len(req.Protocols) {
		return nil
	}
	resp := x.response().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.MemberID, resp.Generation = kerr.InconsistentGroupProtocol.Code, req.MemberID, -1
	return resp
}

// refuseHandshake answers a SASL handshake where there is no SASL.
func refuseHandshake(x *exchange, _ *kmsg.SASLHandshakeRequest) kmsg.Response {
	resp := x.response().(*kmsg.SASLHandshakeResponse)
	resp.ErrorCode = kerr.IllegalSaslState.Code
	return resp
}

// refuseTwice refuses to delete a topic that a request names twice, and deletes
// the others.
func refuseTwice(x *exchange, req *kmsg.DeleteTopicsRequest) kmsg.Response {
	topics := slices.Clone(req.Topics)
	for _, name := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		topics = append(topics, t)
	}
	type named struct {
		name string
		id   [16]byte
	}
	of := func(t kmsg.DeleteTopicsRequestTopic) named {
		if t.Topic == nil {
			return named{id: t.TopicID}
		}
		return named{*t.Topic, t.TopicID}
	}
	times := make(map[named]int, len(topics))
	for _, t := range topics {
		times[of(t)]++
	}
	if len(times) == len(topics) {
		return nil
	}
	var refused []kmsg.DeleteTopicsResponseTopic
	for _, t := range topics {
		if times[of(t)] > 1 {
			bad := kmsg.NewDeleteTopicsResponseTopic()
			bad.Topic, bad.TopicID, bad.ErrorCode = t.Topic, t.TopicID, kerr.InvalidRequest.Code
			bad.ErrorMessage = kmsg.StringPtr("Duplicate topic name or id.")
			refused = append(refused, bad)
			times[of(t)] = 0
		}
	}
	once := func(n named) bool { return times[n] == 1 }
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.DeleteTopicsRequestTopic) bool { return !once(of(t)) })
	req.TopicNames = slices.DeleteFunc(req.TopicNames, func(name string) bool { return !once(named{name: name}) })
	x.changed = true
	then(x, func(resp *kmsg.DeleteTopicsResponse) { resp.Topics = append(resp.Topics, refused...) })
	return nil
}
