package embedded

import (
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTheBrokerIsInNoRack(t *testing.T) {
	c := open(t, Config{})
	for _, v := range versionsFrom(t, c, kmsg.Metadata, 1) {
		for _, b := range answer[*kmsg.MetadataResponse](t, c, v, kmsg.NewPtrMetadataRequest()).Brokers {
			if b.Rack != nil {
				t.Errorf("Metadata v%d: rack %q", v, *b.Rack)
			}
		}
	}
	for _, v := range versionsFrom(t, c, kmsg.DescribeCluster, 0) {
		for _, b := range answer[*kmsg.DescribeClusterResponse](t, c, v, kmsg.NewPtrDescribeClusterRequest()).Brokers {
			if b.Rack != nil {
				t.Errorf("DescribeCluster v%d: rack %q", v, *b.Rack)
			}
		}
	}
	req, of := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewDescribeConfigsRequestResource()
	of.ResourceType, of.ResourceName, of.ConfigNames = kmsg.ConfigResourceTypeBroker, "0", []string{rackConfig}
	req.Resources = append(req.Resources, of)
	configs := answer[*kmsg.DescribeConfigsResponse](t, c, 4, req).Resources[0].Configs
	if len(configs) != 1 || configs[0].Value != nil || configs[0].Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("DescribeConfigs: %+v", configs)
	}
}

// logDirs are the folders that DescribeLogDirs names for a partition, and how many
// partitions it finds there.
func logDirs(t *testing.T, c *Cluster, version int16, topics ...string) (*kmsg.DescribeLogDirsResponseDir, int) {
	t.Helper()
	req := kmsg.NewPtrDescribeLogDirsRequest()
	for _, name := range topics {
		topic := kmsg.NewDescribeLogDirsRequestTopic()
		topic.Topic, topic.Partitions = name, []int32{0}
		req.Topics = append(req.Topics, topic)
	}
	dirs := answer[*kmsg.DescribeLogDirsResponse](t, c, version, req).Dirs
	if len(dirs) != 1 {
		t.Fatalf("v%d: %+v", version, dirs)
	}
	n := 0
	for _, topic := range dirs[0].Topics {
		n += len(topic.Partitions)
	}
	return &dirs[0], n
}

func TestTheLogDirectoryIsTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{"one", 1}, {"two", 1}}})
	for _, v := range versionsFrom(t, c, kmsg.DescribeLogDirs, 0) {
		for name, want := range map[string]int{"": 2, "one": 1, "gone": 0} {
			topics := []string{name}
			if name == "" {
				topics = nil
			}
			got, n := logDirs(t, c, v, topics...)
			if got.Dir != dir || n != want || v >= 4 && (got.TotalBytes <= 0 || got.UsableBytes <= 0 || got.UsableBytes > got.TotalBytes) {
				t.Errorf("v%d, topic %q: %+v", v, name, got)
			}
		}
	}
	memory := open(t, Config{Seed: []Topic{{"one", 1}}})
	if got, n := logDirs(t, memory, 4); got.Dir != memoryLogDir || n != 1 || got.TotalBytes != unknownBytes {
		t.Errorf("in memory: %+v", got)
	}
}

func TestPartitionsMoveToNoOtherLogDirectory(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{"one", 1}}})
	move := func(to string) int16 {
		req, d := kmsg.NewPtrAlterReplicaLogDirsRequest(), kmsg.NewAlterReplicaLogDirsRequestDir()
		topic := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		topic.Topic, topic.Partitions = "one", []int32{0}
		d.Dir, d.Topics = to, append(d.Topics, topic)
		req.Dirs = append(req.Dirs, d)
		return answer[*kmsg.AlterReplicaLogDirsResponse](t, c, 2, req).Topics[0].Partitions[0].ErrorCode
	}
	if code := move(filepath.Join(dir, "elsewhere")); code != kerr.LogDirNotFound.Code {
		t.Errorf("to a folder that is not there: error %d", code)
	}
	if code := move(dir); code != 0 {
		t.Errorf("to where it is: error %d", code)
	}
	if got, n := logDirs(t, c, 4); got.Dir != dir || n != 1 {
		t.Errorf("it is in %+v", got)
	}
}

func TestTheQuorumIsTheOneNode(t *testing.T) {
	c := open(t, Config{})
	node := answer[*kmsg.MetadataResponse](t, c, 12, kmsg.NewPtrMetadataRequest()).Brokers[0]
	asking := func(topics ...string) *kmsg.DescribeQuorumRequest {
		req := kmsg.NewPtrDescribeQuorumRequest()
		for _, name := range topics {
			topic := kmsg.NewDescribeQuorumRequestTopic()
			topic.Topic = name
			topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
			req.Topics = append(req.Topics, topic)
		}
		return req
	}
	for _, v := range versionsFrom(t, c, kmsg.DescribeQuorum, 0) {
		resp := answer[*kmsg.DescribeQuorumResponse](t, c, v, asking(metadataTopic))
		p := resp.Topics[0].Partitions[0]
		if resp.ErrorCode != 0 || p.ErrorCode != 0 || p.LeaderID != node.NodeID || len(p.CurrentVoters) != 1 ||
			p.CurrentVoters[0].ReplicaID != node.NodeID || len(p.Observers) != 0 {
			t.Errorf("v%d: %+v", v, resp)
		}
		if v >= 2 && (len(resp.Nodes) != 1 || resp.Nodes[0].Listeners[0].Host != node.Host || int32(resp.Nodes[0].Listeners[0].Port) != node.Port) {
			t.Errorf("v%d: nodes %+v", v, resp.Nodes)
		}
		for _, req := range []*kmsg.DescribeQuorumRequest{asking("another"), asking(metadataTopic, metadataTopic)} {
			resp := answer[*kmsg.DescribeQuorumResponse](t, c, v, req)
			if len(resp.Topics) != len(req.Topics) || resp.Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
				t.Errorf("v%d: %+v", v, resp)
			}
		}
		if resp := answer[*kmsg.DescribeQuorumResponse](t, c, v, asking()); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
			t.Errorf("v%d: nothing asked: %+v", v, resp)
		}
	}
}

// What is announced is served: by kfake, or by a repair that answers.
func TestWhatKfakeDoesNotHaveIsAnnounced(t *testing.T) {
	c := open(t, Config{})
	for _, own := range ours {
		if got, served := c.Versions().Range(own.Key); !served || got != own {
			t.Errorf("%s: served in %v", kmsg.NameForKey(own.Key), got)
		}
		if len(repairsOf[kmsg.Key(own.Key)]) == 0 {
			t.Errorf("%s: nobody answers it", kmsg.NameForKey(own.Key))
		}
	}
	for version, body := range *c.apiVersions.Load() {
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = int16(version)
		if err := resp.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(resp.ApiKeys); i++ {
			if resp.ApiKeys[i-1].ApiKey >= resp.ApiKeys[i].ApiKey {
				t.Errorf("v%d: API %d behind %d", version, resp.ApiKeys[i].ApiKey, resp.ApiKeys[i-1].ApiKey)
			}
		}
	}
}

func TestAllUsersAreDescribedWhereNoneIsNamed(t *testing.T) {
	c := open(t, Config{})
	add, user := kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	user.Name, user.Mechanism, user.Iterations = "somebody", 1, 4096
	user.Salt, user.SaltedPassword = []byte("salt"), make([]byte, 32)
	add.Upsertions = append(add.Upsertions, user)
	if got := answer[*kmsg.AlterUserSCRAMCredentialsResponse](t, c, 0, add).Results[0].ErrorCode; got != 0 {
		t.Fatalf("error %d", got)
	}
	for _, users := range [][]kmsg.DescribeUserSCRAMCredentialsRequestUser{nil, {}} {
		req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		req.Users = users
		resp := answer[*kmsg.DescribeUserSCRAMCredentialsResponse](t, c, 0, req)
		if len(resp.Results) != 1 || resp.Results[0].User != "somebody" {
			t.Errorf("null %v: %+v", users == nil, resp.Results)
		}
	}
}
