package embedded

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake writes the state of share groups at an orderly stop alone: after a kill a
// group would begin anew, behind all records by default. What it does write down
// at once are the offsets of other groups. So each share group has such a group
// beside it, which clients do not see and which keeps where its partitions start:
// everything before is acknowledged. What was acknowledged behind that is
// delivered again after a kill.

// keeperPrefix and the name of a share group are the name of its keeper. No client
// names a group like that.
const keeperPrefix = "\x00kring.share\x00"

// keepsShares says whether there is anything that outlives the process.
func (c *Cluster) keepsShares() bool { return c.cfg.DataDir != "" }

func isKeeper(group string) bool { return strings.HasPrefix(group, keeperPrefix) }

// keepShareFetch keeps where a group starts after a fetch that may have moved it:
// acknowledgements and partitions that are new to the group are named in it.
func keepShareFetch(x *exchange, req *kmsg.ShareFetchRequest) kmsg.Response {
	if x.cluster().keepsShares() && req.GroupID != nil && len(req.Topics) > 0 {
		then(x, func(resp *kmsg.ShareFetchResponse) { x.keepStarts(*req.GroupID, resp.ErrorCode) })
	}
	return nil
}

func keepShareAcknowledge(x *exchange, req *kmsg.ShareAcknowledgeRequest) kmsg.Response {
	if x.cluster().keepsShares() && req.GroupID != nil {
		then(x, func(resp *kmsg.ShareAcknowledgeResponse) { x.keepStarts(*req.GroupID, resp.ErrorCode) })
	}
	return nil
}

func keepShareAlter(x *exchange, req *kmsg.AlterShareGroupOffsetsRequest) kmsg.Response {
	if x.cluster().keepsShares() {
		then(x, func(resp *kmsg.AlterShareGroupOffsetsResponse) { x.keepStarts(req.GroupID, resp.ErrorCode) })
	}
	return nil
}

// forgetShareOffsets forgets the topics that a group has no offsets of any more.
func forgetShareOffsets(x *exchange, req *kmsg.DeleteShareGroupOffsetsRequest) kmsg.Response {
	if !x.cluster().keepsShares() {
		return nil
	}
	then(x, func(resp *kmsg.DeleteShareGroupOffsetsResponse) {
		deleted := make(map[string]bool, len(resp.Topics))
		for i := range resp.Topics {
			deleted[resp.Topics[i].Topic] = resp.Topics[i].ErrorCode == 0
		}
		if err := x.session.forgetOffsets(keeperPrefix+req.GroupID, func(topic string) bool { return deleted[topic] }); err != nil {
			x.fail(err)
		}
	})
	return nil
}

// forgetGroups has the offsets of groups that are deleted deleted before: kfake
// writes that down, and does not write down that a group is deleted. With a share
// group its keeper goes.
func forgetGroups(x *exchange, req *kmsg.DeleteGroupsRequest) kmsg.Response {
	if !x.cluster().keepsShares() {
		return nil
	}
	x.closeGroups(req) // nobody comes to an empty group from here on
	for _, group := range req.Groups {
		if empty, err := x.cluster().isEmpty(group); err != nil {
			x.fail(err)
			return nil
		} else if !empty {
			continue // kfake says what is wrong
		}
		if err := x.session.forgetOffsets(group, everyTopic); err != nil {
			x.fail(err)
			return nil
		}
	}
	then(x, func(resp *kmsg.DeleteGroupsResponse) {
		keepers := kmsg.NewPtrDeleteGroupsRequest()
		for i := range resp.Groups {
			keeper := keeperPrefix + resp.Groups[i].Group
			if resp.Groups[i].ErrorCode != 0 || x.cluster().groupInfo(keeper) == nil {
				continue
			}
			if err := x.session.forgetOffsets(keeper, everyTopic); err != nil {
				x.fail(err)
				return
			}
			keepers.Groups = append(keepers.Groups, keeper)
		}
		if _, err := x.ask(keepers); err != nil {
			x.fail(err)
		}
	})
	return nil
}

func everyTopic(string) bool { return true }

// offsetsOf are the offsets that a group has committed.
func (s *session) offsetsOf(group string) ([]kmsg.OffsetFetchResponseTopic, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 7, group // the last version that is of one group
	resp, err := s.ask(req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.OffsetFetchResponse).Topics, nil
}

// forgetOffsets deletes the committed offsets of some topics of a group.
func (s *session) forgetOffsets(group string, of func(topic string) bool) error {
	topics, err := s.offsetsOf(group)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	for i := range topics {
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic = topics[i].Topic
		for _, at := range topics[i].Partitions {
			p := kmsg.NewOffsetDeleteRequestTopicPartition()
			p.Partition = at.Partition
			t.Partitions = append(t.Partitions, p)
		}
		if of(t.Topic) {
			req.Topics = append(req.Topics, t)
		}
	}
	_, err = s.write(req)
	return err
}

// keepStarts writes down where the partitions of a share group start, unless
// nothing was done.
func (x *exchange) keepStarts(group string, code int16) {
	if code != 0 {
		return
	}
	if err := x.session.keepStarts(group); err != nil {
		x.fail(fmt.Errorf("write down where share group %q starts: %w", group, err))
	}
}

func (s *session) keepStarts(group string) error {
	topics, err := s.shareStarts(group)
	if err != nil || len(topics) == 0 {
		return err
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group = 8, keeperPrefix+group // the last version that names topics and is flexible
	req.Generation = -1                            // of no member
	for i := range topics {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = topics[i].Topic
		for _, at := range topics[i].Partitions {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset = at.Partition, at.StartOffset
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := s.write(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("%s-%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// shareStarts is where the partitions of a share group start, as far as kfake knows.
func (s *session) shareStarts(group string) (topics []kmsg.AlterShareGroupOffsetsRequestTopic, err error) {
	req, of := kmsg.NewPtrDescribeShareGroupOffsetsRequest(), kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	of.GroupID = group
	req.Groups = append(req.Groups, of)
	resp, err := s.ask(req)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.(*kmsg.DescribeShareGroupOffsetsResponse).Groups[0].Topics {
		at := kmsg.NewAlterShareGroupOffsetsRequestTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.StartOffset >= 0 {
				at.Partitions = append(at.Partitions, startAt(p.Partition, p.StartOffset))
			}
		}
		if len(at.Partitions) > 0 {
			topics = append(topics, at)
		}
	}
	return topics, nil
}

func startAt(partition int32, offset int64) kmsg.AlterShareGroupOffsetsRequestTopicPartition {
	p := kmsg.NewAlterShareGroupOffsetsRequestTopicPartition()
	p.Partition, p.StartOffset = partition, offset
	return p
}

// restoreShares gives the share groups that kfake does not know any more the starts
// that were kept of them. It is called between kfake's start and the first client: a
// group with members would not take them.
func (c *Cluster) restoreShares() error {
	if !c.keepsShares() {
		return nil
	}
	pipe, err := c.dial(netip.AddrPort{})
	if err != nil {
		return err
	}
	s := ownSession(c, pipe)
	defer s.end()
	list := kmsg.NewPtrListGroupsRequest()
	resp, err := s.ask(list)
	if err != nil {
		return err
	}
	for _, g := range resp.(*kmsg.ListGroupsResponse).Groups {
		if !isKeeper(g.Group) {
			continue
		}
		if err := s.restoreShare(strings.TrimPrefix(g.Group, keeperPrefix)); err != nil {
			return fmt.Errorf("share group %q: %w", strings.TrimPrefix(g.Group, keeperPrefix), err)
		}
	}
	return nil
}

func (s *session) restoreShare(group string) error {
	if known, err := s.shareStarts(group); err != nil || len(known) > 0 {
		return err // after an orderly stop kfake knows more
	}
	topics, err := s.offsetsOf(keeperPrefix + group)
	if err != nil || len(topics) == 0 {
		return err
	}
	alter := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	alter.GroupID = group
	for _, t := range topics {
		at := kmsg.NewAlterShareGroupOffsetsRequestTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			// A topic that was made anew is not the one that the group has read.
			if info := s.cluster.partitionInfo(t.Topic, p.Partition); info != nil && p.Offset <= info.HighWatermark {
				at.Partitions = append(at.Partitions, startAt(p.Partition, max(p.Offset, info.LogStartOffset)))
			}
		}
		alter.Topics = append(alter.Topics, at)
	}
	resp, err := s.ask(alter)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.AlterShareGroupOffsetsResponse).ErrorCode; code != 0 {
		s.cluster.log.Warn("embedded: a share group begins anew: where it started could not be given back to it",
			"group", group, "error", kerr.ErrorForCode(code))
	}
	return nil
}
