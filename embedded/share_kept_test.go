package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// connection is a client's connection that lasts for several requests.
type connection struct {
	t    *testing.T
	c    *Cluster
	conn *reqchan.Conn
	seq  uint64
}

func connect(t *testing.T, c *Cluster) *connection {
	conn := &connection{t: t, c: c, conn: &reqchan.Conn{}}
	c.ConnOpened(conn.conn)
	t.Cleanup(func() { c.ConnClosed(conn.conn, reqchan.PeerFinished) })
	return conn
}

// answerOn is the answer to a request, whose version is flexible.
func answerOn[Resp kmsg.Response](on *connection, version int16, req kmsg.Request) Resp {
	on.t.Helper()
	req.SetVersion(version)
	r := newRequest(on.t, on.conn, on.seq, req)
	on.seq++
	on.c.Handle(r.Request())
	if !r.HandleReturned() {
		r.await()
	}
	kind, response, _ := r.Answer()
	resp := req.ResponseKind().(Resp)
	if kind != reqchan.AnswerSend {
		on.t.Fatalf("%s was answered with %v", kmsg.NameForKey(req.Key()), kind)
	}
	if err := resp.ReadFrom(response[reqchan.SizeBytes+correlationBytes+1:]); err != nil {
		on.t.Fatal(err)
	}
	return resp
}

// acquire has a member of the group fetch what there is; it returns the offsets.
func (on *connection) acquire(topic string) (first, last int64) {
	on.t.Helper()
	beat := kmsg.NewPtrShareGroupHeartbeatRequest()
	beat.GroupID, beat.MemberID, beat.SubscribedTopicNames = "shared", "member", []string{topic}
	if code := answerOn[*kmsg.ShareGroupHeartbeatResponse](on, 1, beat).ErrorCode; code != 0 {
		on.t.Fatalf("ShareGroupHeartbeat: error %d", code)
	}
	resp := answerOn[*kmsg.ShareFetchResponse](on, 1, shareFetching(on.c, topic, 0))
	if resp.ErrorCode != 0 || len(resp.Topics) == 0 || len(resp.Topics[0].Partitions[0].AcquiredRecords) == 0 {
		on.t.Fatalf("ShareFetch: %+v", resp)
	}
	acquired := resp.Topics[0].Partitions[0].AcquiredRecords
	return acquired[0].FirstOffset, acquired[len(acquired)-1].LastOffset
}

func (on *connection) acknowledge(topic string, first, last int64) {
	on.t.Helper()
	req, of := kmsg.NewPtrShareAcknowledgeRequest(), kmsg.NewShareAcknowledgeRequestTopic()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = kmsg.StringPtr("shared"), kmsg.StringPtr("member"), 1
	batch := kmsg.NewShareAcknowledgeRequestTopicPartitionAcknowledgementBatch()
	batch.FirstOffset, batch.LastOffset, batch.AcknowledgeTypes = first, last, []int8{1}
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	p.AcknowledgementBatches = append(p.AcknowledgementBatches, batch)
	of.TopicID, of.Partitions = on.c.kfake.TopicInfo(topic).TopicID, append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	resp := answerOn[*kmsg.ShareAcknowledgeResponse](on, 1, req)
	if resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		on.t.Fatalf("ShareAcknowledge: %+v", resp)
	}
}

func shareStartsAt(t *testing.T, c *Cluster) int64 {
	t.Helper()
	req, of := kmsg.NewPtrDescribeShareGroupOffsetsRequest(), kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	of.GroupID = "shared"
	req.Groups = append(req.Groups, of)
	topics := answer[*kmsg.DescribeShareGroupOffsetsResponse](t, c, 0, req).Groups[0].Topics
	if len(topics) == 0 {
		return -1
	}
	return topics[0].Partitions[0].StartOffset
}

// killed is a cluster on what a killed process left of a directory.
func afterKill(t *testing.T, dir string) *Cluster {
	t.Helper()
	left := filepath.Join(t.TempDir(), "left")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return open(t, Config{DataDir: left})
}

// What a share group acknowledged is not delivered again after a kill, and what it
// did not acknowledge is.
func TestAShareGroupGoesOnAfterAKill(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{"shared-topic", 1}}})
	c.kfake.SetGroupConfigs("shared", map[string]string{"share.auto.offset.reset": "earliest"})
	for range 10 {
		resp := answer[*kmsg.ProduceResponse](t, c, 9, producing(nil, "shared-topic", batchOf(-1, -1, -1, false)))
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatalf("Produce: error %d", code)
		}
	}
	on := connect(t, c)
	if first, last := on.acquire("shared-topic"); first != 0 || last != 9 {
		t.Fatalf("acquired %d to %d", first, last)
	}
	if got := shareStartsAt(t, afterKill(t, dir)); got != 0 {
		t.Errorf("killed before it acknowledged, the group starts at %d", got)
	}
	on.acknowledge("shared-topic", 0, 5)
	after := afterKill(t, dir)
	if got := shareStartsAt(t, after); got != 6 {
		t.Errorf("killed after it acknowledged, the group starts at %d", got)
	}
	if first, last := connect(t, after).acquire("shared-topic"); first != 6 || last != 9 {
		t.Errorf("acquired %d to %d after the kill", first, last)
	}
	if got := groupsListed(t, after, nil, nil); len(got) != 1 || got[0] != "shared" {
		t.Errorf("listed: %q", got)
	}
}

func TestADeletedShareGroupDoesNotComeBack(t *testing.T) {
	for name, forget := range map[string]func(t *testing.T, c *Cluster){
		"group": func(t *testing.T, c *Cluster) {
			req := kmsg.NewPtrDeleteGroupsRequest()
			req.Groups = []string{"shared"}
			if code := answer[*kmsg.DeleteGroupsResponse](t, c, 2, req).Groups[0].ErrorCode; code != 0 {
				t.Fatalf("DeleteGroups: error %d", code)
			}
		},
		"offsets": func(t *testing.T, c *Cluster) {
			req, of := kmsg.NewPtrDeleteShareGroupOffsetsRequest(), kmsg.NewDeleteShareGroupOffsetsRequestTopic()
			req.GroupID, of.Topic = "shared", "shared-topic"
			req.Topics = append(req.Topics, of)
			if resp := answer[*kmsg.DeleteShareGroupOffsetsResponse](t, c, 0, req); resp.ErrorCode != 0 || resp.Topics[0].ErrorCode != 0 {
				t.Fatalf("DeleteShareGroupOffsets: %+v", resp)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, Config{DataDir: dir, Seed: []Topic{{"shared-topic", 1}}})
			answer[*kmsg.ProduceResponse](t, c, 9, producing(nil, "shared-topic", batchOf(-1, -1, -1, false)))
			alter, of := kmsg.NewPtrAlterShareGroupOffsetsRequest(), kmsg.NewAlterShareGroupOffsetsRequestTopic()
			alter.GroupID, of.Topic = "shared", "shared-topic"
			of.Partitions = append(of.Partitions, startAt(0, 1))
			alter.Topics = append(alter.Topics, of)
			if code := answer[*kmsg.AlterShareGroupOffsetsResponse](t, c, 0, alter).ErrorCode; code != 0 {
				t.Fatalf("AlterShareGroupOffsets: error %d", code)
			}
			if got := shareStartsAt(t, afterKill(t, dir)); got != 1 {
				t.Errorf("altered, then killed: the group starts at %d", got)
			}
			forget(t, c)
			if got := shareStartsAt(t, afterKill(t, dir)); got != -1 {
				t.Errorf("deleted, then killed: the group starts at %d", got)
			}
		})
	}
}

// kfake does not write down that a group is deleted: after a kill its offsets were
// there again.
func TestTheOffsetsOfADeletedGroupDoNotComeBack(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{"read", 1}}})
	commit, of := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewOffsetCommitRequestTopic()
	at := kmsg.NewOffsetCommitRequestTopicPartition()
	commit.Group, of.Topic, at.Offset = "deleted", "read", 7
	of.Partitions = append(of.Partitions, at)
	commit.Topics = append(commit.Topics, of)
	if code := answer[*kmsg.OffsetCommitResponse](t, c, 8, commit).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("OffsetCommit: error %d", code)
	}
	fetched := func(c *Cluster) int64 {
		req, of := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewOffsetFetchRequestTopic()
		of.Topic, of.Partitions = "read", []int32{0}
		req.Group, req.Topics = "deleted", append(req.Topics, of)
		return answer[*kmsg.OffsetFetchResponse](t, c, 7, req).Topics[0].Partitions[0].Offset
	}
	if got := fetched(afterKill(t, dir)); got != 7 {
		t.Errorf("committed, then killed: %d", got)
	}
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{"deleted", "never-there"}
	for _, g := range answer[*kmsg.DeleteGroupsResponse](t, c, 2, req).Groups {
		if want := map[string]int16{"deleted": 0, "never-there": kerr.GroupIDNotFound.Code}[g.Group]; g.ErrorCode != want {
			t.Errorf("%s: error %d", g.Group, g.ErrorCode)
		}
	}
	if got := fetched(afterKill(t, dir)); got != -1 {
		t.Errorf("deleted, then killed: %d", got)
	}
}
