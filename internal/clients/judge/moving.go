package main

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// moving asks to move leaders, replicas and levels, where there is one node.
func moving() []question {
	return []question{
		aTalk("the directories of a broker", func(t *talk) {
			resp := t.tell(kmsg.NewPtrDescribeLogDirsRequest(), 4).(*kmsg.DescribeLogDirsResponse)
			t.say("%d", len(resp.Dirs))
			for _, d := range resp.Dirs {
				of := slices.IndexFunc(d.Topics, func(t kmsg.DescribeLogDirsResponseDirTopic) bool { return t.Topic == topic })
				t.say("with the topic: %v, total bytes: %v, usable bytes: %v", of >= 0, d.TotalBytes > 0, d.UsableBytes > 0)
			}
		}),
		aTalk("electing the preferred leader", func(t *talk) {
			req := kmsg.NewPtrElectLeadersRequest()
			req.TimeoutMillis = 5000
			of := kmsg.NewElectLeadersRequestTopic()
			of.Topic, of.Partitions = topic, []int32{0}
			req.Topics = append(req.Topics, of)
			t.tell(req, 2)
		}),
		{family: "moving a partition", variant: "to where it is", talk: func(t *talk) { t.reassign(topic, t.nodes()) }},
		{family: "moving a partition", variant: "to a broker nobody has", talk: func(t *talk) { t.reassign(topic, []int32{77}) }},
		{family: "moving a partition", variant: "to nobody", talk: func(t *talk) { t.reassign(topic, []int32{}) }},
		{family: "moving a partition", variant: "of a topic nobody has", talk: func(t *talk) { t.reassign("nobody-has", t.nodes()) }},
		{family: "moving a partition", variant: "no more", talk: func(t *talk) { t.reassign(topic, nil) }},
		aTalk("moving a replica to a directory nobody has", func(t *talk) {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			dir := kmsg.NewAlterReplicaLogDirsRequestDir()
			dir.Dir = "/nobody/has"
			of := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			of.Topic, of.Partitions = topic, []int32{0}
			dir.Topics = append(dir.Topics, of)
			req.Dirs = append(req.Dirs, dir)
			t.tell(req, 2)
		}),
		{family: "a feature's level", variant: "of one nobody has", talk: func(t *talk) { t.level("no.such.version", 1, 1) }},
		{family: "a feature's level", variant: "beyond the highest", talk: func(t *talk) { t.level("transaction.version", 99, 1) }},
		{family: "a feature's level", variant: "down without allowing it", talk: func(t *talk) { t.level("transaction.version", 1, 1) }},
	}
}

// nodes are the brokers there are.
func (t *talk) nodes() (ids []int32) {
	for _, b := range t.must(namedMetadata(topic), 4).(*kmsg.MetadataResponse).Brokers {
		ids = append(ids, b.NodeID)
	}
	return ids
}

func (t *talk) reassign(name string, to []int32) {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 5000
	of := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	of.Topic = name
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Replicas = to
	of.Partitions = append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	t.tell(req, 0)
}

// level tries a level and keeps nothing.
func (t *talk) level(feature string, level int16, kind int8) {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.TimeoutMillis, req.ValidateOnly = 5000, true
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = feature, level, kind
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	t.tell(req, 1)
}
