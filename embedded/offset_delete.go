package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetDelete, as Apache Kafka has it: partitions that nobody has are said, and a
// KIP-848 group with members keeps only the offsets of what they read. kfake
// refuses everything of such a group. What it is to forget there is committed as
// -1, in the name of a member, which OffsetFetch answers where nothing is
// committed; when all offsets are asked for it is left out (leaveOutRetracted).

// deleteOffsets answers for the partitions that kfake would judge otherwise.
func deleteOffsets(x *exchange, req *kmsg.OffsetDeleteRequest) kmsg.Response {
	if len(req.Topics) == 0 {
		return nil // kfake says whether there is such a group
	}
	d := &offsetDeletion{x: x, group: req.Group, at: make(map[string]int)}
	req.Topics = d.sift(req.Topics, func(topic string, partition int32) (int16, bool) {
		return kerr.UnknownTopicOrPartition.Code, x.cluster().partitionInfo(topic, partition) == nil
	})
	if len(req.Topics) == 0 {
		return d.response()
	}
	group, err := d.describe()
	if err != nil {
		x.fail(err)
		return nil
	}
	if group != nil && len(group.Members) > 0 {
		read := d.read(group)
		req.Topics = d.sift(req.Topics, func(topic string, _ int32) (int16, bool) {
			return kerr.GroupSubscribedToTopic.Code, read[topic]
		})
		if group.State != groupEmpty {
			code, err := d.retract(req.Topics, group)
			if err != nil {
				x.fail(err)
				return nil
			}
			d.sift(req.Topics, func(string, int32) (int16, bool) { return code, true })
			req.Topics = nil
		}
		if len(req.Topics) == 0 {
			return d.response()
		}
	}
	x.changed = true
	then(x, func(resp *kmsg.OffsetDeleteResponse) {
		if resp.ErrorCode == 0 {
			resp.Topics = append(resp.Topics, d.topics...)
		}
	})
	return nil
}

type offsetDeletion struct {
	x      *exchange
	group  string
	topics []kmsg.OffsetDeleteResponseTopic // that are answered without kfake
	at     map[string]int                   // where a topic is in topics
}

func (d *offsetDeletion) response() kmsg.Response {
	resp := d.x.response().(*kmsg.OffsetDeleteResponse)
	resp.Topics = d.topics
	return resp
}

// sift answers the partitions of which judge says so, and returns the others.
func (d *offsetDeletion) sift(topics []kmsg.OffsetDeleteRequestTopic, judge func(topic string, partition int32) (code int16, answered bool)) (
	others []kmsg.OffsetDeleteRequestTopic,
) {
	for _, t := range topics {
		rest := t.Partitions[:0:0]
		for _, p := range t.Partitions {
			if code, answered := judge(t.Topic, p.Partition); answered {
				d.answer(t.Topic, p.Partition, code)
			} else {
				rest = append(rest, p)
			}
		}
		if t.Partitions = rest; len(rest) > 0 {
			others = append(others, t)
		}
	}
	return others
}

func (d *offsetDeletion) answer(topic string, partition int32, code int16) {
	at, has := d.at[topic]
	if !has {
		t := kmsg.NewOffsetDeleteResponseTopic()
		t.Topic = topic
		at, d.topics = len(d.topics), append(d.topics, t)
		d.at[topic] = at
	}
	p := kmsg.NewOffsetDeleteResponseTopicPartition()
	p.Partition, p.ErrorCode = partition, code
	d.topics[at].Partitions = append(d.topics[at].Partitions, p)
}

// describe is the group, nil unless it is one of KIP-848's.
func (d *offsetDeletion) describe() (*kmsg.ConsumerGroupDescribeResponseGroup, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version, req.Groups = 1, []string{d.group}
	resp, err := d.x.ask(req)
	if err != nil {
		return nil, err
	}
	if groups := resp.(*kmsg.ConsumerGroupDescribeResponse).Groups; len(groups) == 1 && groups[0].ErrorCode == 0 {
		return &groups[0], nil
	}
	return nil, nil
}

// read is the topics that members have subscribed to: by name, or by a pattern, of
// which the assignments tell.
func (d *offsetDeletion) read(group *kmsg.ConsumerGroupDescribeResponseGroup) map[string]bool {
	topics := make(map[string]bool)
	for i := range group.Members {
		m := &group.Members[i]
		for _, name := range m.SubscribedTopics {
			topics[name] = true
		}
		for _, assigned := range [][]kmsg.AssignmentTopicPartition{m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions} {
			d.x.nameTopics(assigned)
			for _, t := range assigned {
				topics[t.Topic] = true
			}
		}
	}
	return topics
}

// retractions is how often a member's epoch may change between two requests.
const retractions = 5

// retract commits -1 where something is committed, in the name of a member.
func (d *offsetDeletion) retract(topics []kmsg.OffsetDeleteRequestTopic, group *kmsg.ConsumerGroupDescribeResponseGroup) (code int16, err error) {
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group = 9, d.group // the last version that names topics
	committed := ofKfake(d.x.cluster(), func(k *kfake.Cluster) map[string]map[int32]kfake.GroupCommit {
		if info := k.GroupInfo(d.group); info != nil {
			return info.Commits
		}
		return nil
	})
	for _, t := range topics {
		of := kmsg.NewOffsetCommitRequestTopic()
		of.Topic = t.Topic
		for _, asked := range t.Partitions {
			if at, is := committed[t.Topic][asked.Partition]; is && at.Offset >= 0 {
				p := kmsg.NewOffsetCommitRequestTopicPartition()
				p.Partition, p.Offset, p.LeaderEpoch = asked.Partition, -1, -1
				of.Partitions = append(of.Partitions, p)
			}
		}
		if len(of.Partitions) > 0 {
			commit.Topics = append(commit.Topics, of)
		}
	}
	for try := 0; len(commit.Topics) > 0 && try < retractions; try++ {
		at := slices.IndexFunc(group.Members, func(m kmsg.ConsumerGroupDescribeResponseGroupMember) bool { return m.MemberEpoch >= 0 })
		if at < 0 {
			break
		}
		commit.MemberID, commit.Generation = group.Members[at].MemberID, group.Members[at].MemberEpoch
		resp, err := d.x.ask(commit)
		if err != nil {
			return 0, err
		}
		if code = commitError(resp.(*kmsg.OffsetCommitResponse)); code == 0 {
			return 0, nil
		}
		if group, err = d.describe(); err != nil || group == nil {
			return code, err
		}
	}
	return code, nil
}

func commitError(resp *kmsg.OffsetCommitResponse) int16 {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return p.ErrorCode
			}
		}
	}
	return 0
}

// leaveOutRetracted leaves out what deleteOffsets committed as -1 where all offsets
// of a group are asked for.
func leaveOutRetracted(x *exchange, req *kmsg.OffsetFetchRequest) kmsg.Response {
	then(x, func(resp *kmsg.OffsetFetchResponse) {
		if req.Version < groupsFetch && req.Topics == nil {
			for i := range resp.Topics {
				resp.Topics[i].Partitions = slices.DeleteFunc(resp.Topics[i].Partitions, func(p kmsg.OffsetFetchResponseTopicPartition) bool {
					return p.Offset < 0 && p.ErrorCode == 0
				})
			}
			resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.OffsetFetchResponseTopic) bool { return len(t.Partitions) == 0 })
		}
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if i >= len(req.Groups) || req.Groups[i].Group != g.Group || req.Groups[i].Topics != nil {
				continue
			}
			for j := range g.Topics {
				g.Topics[j].Partitions = slices.DeleteFunc(g.Topics[j].Partitions, func(p kmsg.OffsetFetchResponseGroupTopicPartition) bool {
					return p.Offset < 0 && p.ErrorCode == 0
				})
			}
			g.Topics = slices.DeleteFunc(g.Topics, func(t kmsg.OffsetFetchResponseGroupTopic) bool { return len(t.Partitions) == 0 })
		}
	})
	return nil
}
