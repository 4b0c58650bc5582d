package embedded

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
	"kring/reqchan"
)

// What kfake takes and Apache Kafka refuses, where it matters: names become
// paths of the data directory, partitions become memory at once, and a
// producer that wants no answer learns of a failure by its connection's end.

// watchSilent asks kfake for the answer that a producer does not want, so that
// an error can close the connection, as with Apache Kafka.
func watchSilent(q kafka.Request, j *job) {
	version := q.Header.Version
	if acks, ok := kafka.ProduceAcks(version, q.Body); !ok || acks != 0 {
		return
	}
	kafka.SetProduceAcks(version, q.Body, 1)
	j.answer = func(response []byte) {
		resp := kmsg.NewPtrProduceResponse()
		resp.SetVersion(version)
		if resp.ReadFrom(response[responseHeaderBytes(q):]) != nil || produceFailed(resp) {
			q.CloseConnection(reqchan.HandlerClosed)
			return
		}
		q.NoResponse()
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

func responseHeaderBytes(q kafka.Request) int {
	return len(kafka.AppendResponseHeader(nil, q.Header.Key, q.Header.Version, 0))
}

// screenCreateTopics refuses what must not be created, and shows kfake the
// rest; true when nothing is left and the request was answered.
func screenCreateTopics(q kafka.Request, j *job) (answered bool) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(q.Header.Version)
	if req.ReadFrom(q.Body) != nil {
		return false // kfake will see the same and close the connection
	}
	good, refused := sortTopics(req.Topics)
	if len(refused) == 0 {
		return false
	}
	if len(good) == 0 {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		resp.Topics = refused
		q.Respond(resp)
		return true
	}
	req.Topics = good
	j.shown = req.AppendTo(append([]byte(nil), q.Request.Payload[:q.Header.Size]...))
	j.answer = func(response []byte) {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		if resp.ReadFrom(response[responseHeaderBytes(q):]) != nil {
			q.CloseConnection(reqchan.BackendFailed)
			return
		}
		resp.Topics = append(resp.Topics, refused...)
		q.Respond(resp)
	}
	return false
}

// sortTopics parts what may be created from what may not. As in Apache Kafka,
// one request makes a bounded number of partitions or none.
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
// one request may; true when it did.
func refuseManyPartitions(q kafka.Request) bool {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.SetVersion(q.Header.Version)
	if req.ReadFrom(q.Body) != nil {
		return false
	}
	total := 0
	for i := range req.Topics {
		total += max(int(req.Topics[i].Count), 0)
	}
	if total <= partitionsMax {
		return false
	}
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for i := range req.Topics {
		t := kmsg.NewCreatePartitionsResponseTopic()
		t.Topic, t.ErrorCode = req.Topics[i].Topic, kerr.PolicyViolation.Code
		t.ErrorMessage = kmsg.StringPtr(kerr.PolicyViolation.Description)
		resp.Topics = append(resp.Topics, t)
	}
	q.Respond(resp)
	return true
}

// refuseJoin answers a member that has no protocol, or one twice: kfake counts
// protocols, and a group without one that all its members count ends the
// process.
func refuseJoin(q kafka.Request) bool {
	req := kmsg.NewPtrJoinGroupRequest()
	req.SetVersion(q.Header.Version)
	if req.ReadFrom(q.Body) != nil || req.Group == "" {
		return false // kfake says what is wrong
	}
	names := make(map[string]bool, len(req.Protocols))
	for i := range req.Protocols {
		names[req.Protocols[i].Name] = true
	}
	if len(names) > 0 && len(names) == len(req.Protocols) {
		return false
	}
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.MemberID, resp.Generation = kerr.InconsistentGroupProtocol.Code, req.MemberID, -1
	q.Respond(resp)
	return true
}

// refuseHandshake answers a SASL handshake where there is no SASL.
func refuseHandshake(q kafka.Request) {
	resp := kmsg.NewPtrSASLHandshakeResponse()
	resp.SetVersion(q.Header.Version)
	resp.ErrorCode = kerr.IllegalSaslState.Code
	q.Respond(resp)
}
