package embedded

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// shareFetching is the first ShareFetch of a member, for partition 0 of a topic.
func shareFetching(c *Cluster, topic string, wait time.Duration) *kmsg.ShareFetchRequest {
	req := kmsg.NewPtrShareFetchRequest()
	req.GroupID, req.MemberID = kmsg.StringPtr("shared"), kmsg.StringPtr("member")
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords = int32(wait.Milliseconds()), 1, 1<<20, 10
	of, p := kmsg.NewShareFetchRequestTopic(), kmsg.NewShareFetchRequestTopicPartition()
	of.TopicID = c.kfake.TopicInfo(topic).TopicID
	of.Partitions = append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	return req
}

// Null records end Java's share consumer: it reads nothing, for ever.
func TestAShareFetchThatFindsNothingHasNoNullRecords(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"quiet", 1}}})
	for _, version := range versionsFrom(t, c, kmsg.ShareFetch, 0) {
		resp := answer[*kmsg.ShareFetchResponse](t, c, version, shareFetching(c, "quiet", 0))
		if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			t.Fatalf("v%d: %+v", version, resp)
		}
		if p := resp.Topics[0].Partitions[0]; p.Records == nil {
			t.Errorf("v%d: null records", version)
		}
	}
}

// A ShareFetch that waits in the cluster is given up when its client goes.
func TestAShareFetchEndsWhenItsClientGoes(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"quiet", 1}}, PipelineMax: 8})
	conn := &reqchan.Conn{}
	c.ConnOpened(conn)
	defer c.ConnClosed(conn, reqchan.PeerFinished)
	fetch := shareFetching(c, "quiet", time.Hour)
	fetch.Version = 1
	poll := newRequest(t, conn, 0, fetch)
	c.Handle(poll.Request())
	if poll.HandleReturned() {
		t.Fatal("the ShareFetch does not wait")
	}
	reqchan.ConnGone(conn, reqchan.PeerFinished)
	if kind, _ := poll.await(); kind != reqchan.AnswerNoResponse {
		t.Errorf("the ShareFetch was answered with %v", kind)
	}
}
