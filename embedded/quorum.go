package embedded

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The quorum that keeps the metadata of a KRaft cluster is here the one node,
// which keeps no log of it: its leader's epoch is the first, its offsets are 0.
const (
	metadataTopic       = "__cluster_metadata"
	metadataLeaderEpoch = 1
	controllerListener  = "CONTROLLER" // what Kafka's own examples call it
)

// describeQuorum answers who votes on the cluster's metadata: the one node.
func describeQuorum(x *exchange, req *kmsg.DescribeQuorumRequest) kmsg.Response {
	node, err := x.broker()
	if err != nil {
		x.fail(err)
		return nil
	}
	resp := x.response().(*kmsg.DescribeQuorumResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	// Apache Kafka answers for exactly this partition, or for none.
	known := len(req.Topics) == 1 && req.Topics[0].Topic == metadataTopic &&
		len(req.Topics[0].Partitions) == 1 && req.Topics[0].Partitions[0].Partition == 0
	for i := range req.Topics {
		t := kmsg.NewDescribeQuorumResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			t.Partitions = append(t.Partitions, quorumOf(p.Partition, known, node.NodeID))
		}
		resp.Topics = append(resp.Topics, t)
	}
	if known {
		n, at := kmsg.NewDescribeQuorumResponseNode(), kmsg.NewDescribeQuorumResponseNodeListener()
		n.NodeID = node.NodeID
		at.Name, at.Host, at.Port = controllerListener, node.Host, uint16(node.Port)
		n.Listeners = append(n.Listeners, at)
		resp.Nodes = append(resp.Nodes, n)
	}
	return resp
}

func quorumOf(partition int32, known bool, node int32) kmsg.DescribeQuorumResponseTopicPartition {
	p := kmsg.NewDescribeQuorumResponseTopicPartition()
	p.Partition, p.ErrorMessage = partition, kmsg.StringPtr("")
	if !known {
		p.ErrorCode, p.ErrorMessage = kerr.UnknownTopicOrPartition.Code, kmsg.StringPtr(kerr.UnknownTopicOrPartition.Description)
		return p
	}
	now := time.Now().UnixMilli()
	voter := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	voter.ReplicaID, voter.LastFetchTimestamp, voter.LastCaughtUpTimestamp = node, now, now
	p.LeaderID, p.LeaderEpoch = node, metadataLeaderEpoch
	p.CurrentVoters = append(p.CurrentVoters, voter)
	return p
}
