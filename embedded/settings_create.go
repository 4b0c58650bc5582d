package embedded

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// checkNewSettings refuses the topics of a CreateTopics request whose settings a
// topic could not be given later either.
func checkNewSettings(x *exchange, req *kmsg.CreateTopicsRequest) kmsg.Response {
	s := x.cluster().settings
	var good []kmsg.CreateTopicsRequestTopic
	var bad []kmsg.CreateTopicsResponseTopic
	for _, t := range req.Topics {
		fault := cmp.Or(assignmentFault(&t), s.checkNew(&t))
		if fault == nil {
			good = append(good, t)
			continue
		}
		b := kmsg.NewCreateTopicsResponseTopic()
		b.Topic = t.Topic
		b.ErrorCode, b.ErrorMessage = fault.answer()
		bad = append(bad, b)
	}
	x.changed = true // values are put into the form that kfake reads
	req.Topics = good
	then(x, func(resp *kmsg.CreateTopicsResponse) {
		resp.Topics = append(resp.Topics, bad...)
		explain(resp)
	})
	return nil
}

// explain says what is wrong where only an error stands.
func explain(resp *kmsg.CreateTopicsResponse) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.ErrorCode == 0 || t.ErrorMessage != nil {
			continue
		}
		message := refuse(t.ErrorCode, "").Error()
		switch t.ErrorCode {
		case kerr.TopicAlreadyExists.Code:
			message = "Topic '" + t.Topic + "' already exists."
		case kerr.InvalidTopicException.Code:
			message = "Topic '" + t.Topic + "' collides with another topic: '.' and '_' are one in the names of metrics."
		case kerr.InvalidReplicationFactor.Code:
			message = "The embedded cluster has one broker: no partition has more than one replica."
		case kerr.InvalidPartitions.Code:
			message = "Number of partitions was set to an invalid non-positive value."
		}
		t.ErrorMessage = &message
	}
}

// assignmentFault says what is wrong with the replicas that a new topic is to
// have: kfake counts them and does not look where they are.
func assignmentFault(t *kmsg.CreateTopicsRequestTopic) *refusal {
	for _, a := range t.ReplicaAssignment {
		if len(a.Replicas) > 0 && !slices.Equal(a.Replicas, []int32{nodeID}) {
			return refuse(kerr.InvalidReplicaAssignment.Code, onlyBroker)
		}
	}
	return nil
}

// checkNew checks the settings of a topic that is to be created, and has them in
// the form in which they are stored.
func (s *settings) checkNew(t *kmsg.CreateTopicsRequestTopic) *refusal {
	is := make(map[string]string, len(t.Configs))
	for _, c := range t.Configs {
		if c.Value == nil {
			return refuse(kerr.InvalidConfig.Code, "Null value not supported for topic configs: "+c.Name)
		}
		is[c.Name] = *c.Value
	}
	if fault := s.checkTopic(is); fault != nil {
		return fault
	}
	for i := range t.Configs {
		t.Configs[i].Value = kmsg.StringPtr(is[t.Configs[i].Name])
	}
	return nil
}

// forgetTopics is for what changes topics by itself: what was looked up of their settings is
// looked up again, and what producers wrote to them takes no room any more.
func forgetTopics(x *exchange, _ *kmsg.DeleteTopicsRequest) kmsg.Response {
	then(x, func(resp *kmsg.DeleteTopicsResponse) {
		x.cluster().settings.forget()
		for i := range resp.Topics {
			if t := &resp.Topics[i]; t.ErrorCode == 0 && t.Topic != nil {
				x.cluster().producers.deleted(*t.Topic)
			}
		}
	})
	return nil
}

// refuseSameCount refuses to make as many partitions as there are, to which kfake
// says yes, or fewer, of which it does not say what is wrong.
func refuseSameCount(x *exchange, req *kmsg.CreatePartitionsRequest) kmsg.Response {
	var refused []kmsg.CreatePartitionsResponseTopic
	good := req.Topics[:0:0]
	for _, t := range req.Topics {
		has := len(x.cluster().partitionInfos(t.Topic))
		if has == 0 || has < int(t.Count) {
			good = append(good, t)
			continue
		}
		bad := kmsg.NewCreatePartitionsResponseTopic()
		bad.Topic, bad.ErrorCode = t.Topic, kerr.InvalidPartitions.Code
		bad.ErrorMessage = kmsg.StringPtr("Topic already has " + strconv.Itoa(has) + " partition(s).")
		if has > int(t.Count) {
			bad.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, has, t.Count))
		}
		refused = append(refused, bad)
	}
	if len(refused) == 0 {
		return nil
	}
	req.Topics, x.changed = good, true
	then(x, func(resp *kmsg.CreatePartitionsResponse) { resp.Topics = append(resp.Topics, refused...) })
	return nil
}
