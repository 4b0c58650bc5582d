package embedded

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Nobody checks ACLs, so none are taken, as where Apache Kafka has no authorizer.
func TestNoACLIsTakenWhereNobodyChecksThem(t *testing.T) {
	c := open(t, Config{})
	made := kmsg.NewPtrCreateACLsRequest()
	made.Version = 2
	acl := kmsg.NewCreateACLsRequestCreation()
	acl.ResourceType, acl.ResourceName, acl.ResourcePatternType = kmsg.ACLResourceTypeTopic, "t", kmsg.ACLResourcePatternTypeLiteral
	acl.Principal, acl.Host, acl.Operation, acl.PermissionType = "User:a", "*", kmsg.ACLOperationAll, kmsg.ACLPermissionTypeDeny
	made.Creations = append(made.Creations, acl, acl)
	_, resp := ask(t, c, made)
	results := resp.(*kmsg.CreateACLsResponse).Results
	if len(results) != 2 || results[0].ErrorCode != kerr.SecurityDisabled.Code || text(results[0].ErrorMessage) != "No Authorizer is configured." {
		t.Errorf("made: %+v", results)
	}
	described := kmsg.NewPtrDescribeACLsRequest()
	described.Version, described.ResourceType, described.Operation, described.PermissionType = 2, 1, 1, 1
	_, resp = ask(t, c, described)
	if code := resp.(*kmsg.DescribeACLsResponse).ErrorCode; code != kerr.SecurityDisabled.Code {
		t.Errorf("described: error %d", code)
	}
	deleted := kmsg.NewPtrDeleteACLsRequest()
	deleted.Version = 2
	filter := kmsg.NewDeleteACLsRequestFilter()
	filter.ResourceType, filter.Operation, filter.PermissionType = 1, 1, 1
	deleted.Filters = append(deleted.Filters, filter)
	_, resp = ask(t, c, deleted)
	if gone := resp.(*kmsg.DeleteACLsResponse).Results; len(gone) != 1 || gone[0].ErrorCode != kerr.SecurityDisabled.Code {
		t.Errorf("deleted: %+v", gone)
	}
}

// What there is one of does not move, and says so.
func TestNothingMovesOnOneNode(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{"still", 1}}})
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Version = 2
	of := kmsg.NewElectLeadersRequestTopic()
	of.Topic, of.Partitions = "still", []int32{0, 5}
	elect.Topics = append(elect.Topics, of)
	_, resp := ask(t, c, elect)
	got := resp.(*kmsg.ElectLeadersResponse).Topics[0].Partitions
	if got[0].ErrorCode != kerr.ElectionNotNeeded.Code || got[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("elected: %+v", got)
	}
	if epoch := c.kfake.PartitionInfo("still", 0).Epoch; epoch != 0 {
		t.Errorf("the leader epoch is %d", epoch)
	}

	assign := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	assign.Version = 0
	to := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	to.Topic = "still"
	for _, replicas := range [][]int32{{0}, {1}, {0, 1}, nil} {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Replicas = replicas
		to.Partitions = append(to.Partitions, p)
	}
	assign.Topics = append(assign.Topics, to)
	_, resp = ask(t, c, assign)
	for i, want := range []int16{0, kerr.InvalidReplicaAssignment.Code, kerr.InvalidReplicaAssignment.Code, kerr.NoReassignmentInProgress.Code} {
		if code := resp.(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[i].ErrorCode; code != want {
			t.Errorf("assignment %d: error %d, want %d", i, code, want)
		}
	}

	move := kmsg.NewPtrAlterReplicaLogDirsRequest()
	move.Version = 2
	for _, name := range []string{dir, "/elsewhere"} {
		d, of := kmsg.NewAlterReplicaLogDirsRequestDir(), kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		d.Dir, of.Topic, of.Partitions = name, "still", []int32{0}
		d.Topics = append(d.Topics, of)
		move.Dirs = append(move.Dirs, d)
	}
	_, resp = ask(t, c, move)
	moved := resp.(*kmsg.AlterReplicaLogDirsResponse).Topics
	if moved[0].Partitions[0].ErrorCode != 0 || moved[1].Partitions[0].ErrorCode != kerr.LogDirNotFound.Code {
		t.Errorf("moved: %+v", moved)
	}
}

// A feature keeps its level: to ask for it is fine, for another is refused.
func TestAFeatureKeepsItsLevel(t *testing.T) {
	c := open(t, Config{})
	levels := func() []kmsg.ApiVersionsResponseFinalizedFeature {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 3, "t", "1"
		resp, err := c.inside.ask(req)
		if err != nil {
			t.Fatal(err)
		}
		got := resp.(*kmsg.ApiVersionsResponse).FinalizedFeatures
		slices.SortFunc(got, func(a, b kmsg.ApiVersionsResponseFinalizedFeature) int { return strings.Compare(a.Name, b.Name) })
		return got
	}
	first := levels()[0]
	for by, want := range map[int16]int16{0: 0, -1: kerr.InvalidUpdateVersion.Code} {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version = 1
		f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		f.Feature, f.MaxVersionLevel, f.UpgradeType = first.Name, first.MaxVersionLevel+by, 3
		req.FeatureUpdates = append(req.FeatureUpdates, f)
		_, resp := ask(t, c, req)
		if got := resp.(*kmsg.UpdateFeaturesResponse); len(got.Results) != 1 || got.Results[0].ErrorCode != want {
			t.Errorf("level %d: %+v, want %d", f.MaxVersionLevel, got, want)
		}
		if now := levels()[0]; now.MaxVersionLevel != first.MaxVersionLevel {
			t.Errorf("the level of %s is now %d", now.Name, now.MaxVersionLevel)
		}
	}
}

// Partitions are made on the broker that there is, and only where there are more
// than before.
func TestPartitionsAreMadeWhereTheyCanBe(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"two", 2}}})
	var topics []kmsg.CreateTopicsRequestTopic
	for name, replicas := range map[string][]int32{"here": {0}, "elsewhere": {1}, "twice": {0, 0}, "both": {0, 1}, "nowhere": {}} {
		topic, a := topicOf(name, -1), kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		topic.ReplicationFactor, a.Replicas = -1, replicas
		topic.ReplicaAssignment = append(topic.ReplicaAssignment, a)
		topics = append(topics, topic)
	}
	_, resp := ask(t, c, creating(topics...))
	for _, topic := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if want := kerr.InvalidReplicaAssignment.Code; topic.ErrorCode != want && topic.Topic != "here" || topic.Topic == "here" && topic.ErrorCode != 0 {
			t.Errorf("%s: error %d", topic.Topic, topic.ErrorCode)
		}
	}
	for count, says := range map[int32]string{
		1: "The topic two currently has 2 partition(s); 1 would not be an increase.", 2: "Topic already has 2 partition(s).", 3: "",
	} {
		want := kerr.InvalidPartitions.Code
		if says == "" {
			want = 0
		}
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.Version, req.ValidateOnly = 2, true
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic, topic.Count = "two", count
		req.Topics = append(req.Topics, topic)
		_, resp := ask(t, c, req)
		if got := resp.(*kmsg.CreatePartitionsResponse).Topics; len(got) != 1 || got[0].ErrorCode != want || text(got[0].ErrorMessage) != says {
			t.Errorf("%d partitions: %+v, want %d %q", count, got, want, says)
		}
	}
}

// Credentials are kept and described over a kill, as Apache Kafka keeps them also
// where nobody authenticates.
func TestCredentialsOutliveAKill(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	c := open(t, Config{DataDir: dir})
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = "kept", 1, 4096, []byte("salt"), []byte("password")
	req.Upsertions = append(req.Upsertions, u)
	_, resp := ask(t, c, req)
	if code := resp.(*kmsg.AlterUserSCRAMCredentialsResponse).Results[0].ErrorCode; code != 0 {
		t.Fatalf("error %d", code)
	}
	copyDir(t, dir, killed)
	described := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	_, resp = ask(t, open(t, Config{DataDir: killed}), described)
	got := resp.(*kmsg.DescribeUserSCRAMCredentialsResponse).Results
	if len(got) != 1 || got[0].User != "kept" || len(got[0].CredentialInfos) != 1 || got[0].CredentialInfos[0].Iterations != 4096 {
		t.Errorf("described as %+v", got)
	}
}
