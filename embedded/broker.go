package embedded

import (
	"math"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What kfake says of the broker that it plays, and what there is.

const (
	kfakeLogDir  = "/mem/kfake" // what kfake calls the folder of every partition
	memoryLogDir = "memory"     // what we call it where there is none
	rackConfig   = "broker.rack"
	unknownBytes = -1 // Kafka's UNKNOWN_VOLUME_BYTES
)

// nodes clears the rack of Metadata's brokers: the one node is in none.
func nodes(x *exchange, _ *kmsg.MetadataRequest) kmsg.Response {
	then(x, func(resp *kmsg.MetadataResponse) {
		for i := range resp.Brokers {
			resp.Brokers[i].Rack = nil
		}
	})
	return nil
}

// describeCluster is nodes for DescribeCluster.
func describeCluster(x *exchange, _ *kmsg.DescribeClusterRequest) kmsg.Response {
	then(x, func(resp *kmsg.DescribeClusterResponse) {
		for i := range resp.Brokers {
			resp.Brokers[i].Rack = nil
		}
	})
	return nil
}

// broker asks for the one node, as this client is to see it.
func (x *exchange) broker() (*kmsg.MetadataResponseBroker, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = metadataChoosesCreation, []kmsg.MetadataRequestTopic{}
	resp, err := x.askRepaired(req)
	if err != nil {
		return nil, err
	}
	return &resp.(*kmsg.MetadataResponse).Brokers[0], nil
}

// logDir is the folder that partitions lie in.
func (c *Cluster) logDir() string {
	if c.cfg.DataDir == "" {
		return memoryLogDir
	}
	if abs, err := filepath.Abs(c.cfg.DataDir); err == nil {
		return abs
	}
	return c.cfg.DataDir
}

// volume is what the log directory's file system has, where there is one.
func (c *Cluster) volume() (total, usable int64) {
	if c.cfg.DataDir == "" {
		return unknownBytes, unknownBytes
	}
	at, err := c.store.space(c.cfg.DataDir)
	if err != nil || at.total == math.MaxInt64 {
		return unknownBytes, unknownBytes
	}
	return at.total, at.free
}

// describeLogDirs names the one folder, also where it holds none of what was
// asked for, and the volume that it is on.
func describeLogDirs(x *exchange, _ *kmsg.DescribeLogDirsRequest) kmsg.Response {
	then(x, func(resp *kmsg.DescribeLogDirsResponse) {
		if resp.ErrorCode != 0 {
			return
		}
		dir := kmsg.NewDescribeLogDirsResponseDir()
		dir.Dir = x.cluster().logDir()
		dir.TotalBytes, dir.UsableBytes = x.cluster().volume()
		for i := range resp.Dirs {
			dir.Topics = append(dir.Topics, resp.Dirs[i].Topics...)
		}
		resp.Dirs = []kmsg.DescribeLogDirsResponseDir{dir}
	})
	return nil
}

// moveToLogDir takes the one folder for the one that kfake knows, and refuses
// every other.
func moveToLogDir(x *exchange, req *kmsg.AlterReplicaLogDirsRequest) kmsg.Response {
	var ours []kmsg.AlterReplicaLogDirsRequestDir
	var refused []kmsg.AlterReplicaLogDirsResponseTopic
	for i := range req.Dirs {
		dir := &req.Dirs[i]
		if dir.Dir == x.cluster().logDir() {
			dir.Dir = kfakeLogDir
			ours = append(ours, *dir)
			continue
		}
		for j := range dir.Topics {
			t := kmsg.NewAlterReplicaLogDirsResponseTopic()
			t.Topic = dir.Topics[j].Topic
			for _, partition := range dir.Topics[j].Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition, p.ErrorCode = partition, kerr.LogDirNotFound.Code
				t.Partitions = append(t.Partitions, p)
			}
			refused = append(refused, t)
		}
	}
	req.Dirs, x.changed = ours, true
	then(x, func(resp *kmsg.AlterReplicaLogDirsResponse) { resp.Topics = append(resp.Topics, refused...) })
	return nil
}

// everyUser asks kfake for all users where nobody is named: it takes an empty
// list for nobody.
func everyUser(x *exchange, req *kmsg.DescribeUserSCRAMCredentialsRequest) kmsg.Response {
	if len(req.Users) == 0 {
		req.Users, x.changed = nil, true
	}
	return nil
}
