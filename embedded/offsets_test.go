package embedded

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committing commits one offset of two partitions of a topic with metadata each.
func committingWith(topic string, metadata ...*string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, "g", -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	for i, m := range metadata {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(i), 7, m
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// committed is the metadata of a topic's partitions.
func committed(t *testing.T, c *Cluster, version int16, topic string, partitions ...int32) (metadata []*string) {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = version
	if version < 8 {
		of := kmsg.NewOffsetFetchRequestTopic()
		req.Group, of.Topic, of.Partitions = "g", topic, partitions
		req.Topics = append(req.Topics, of)
	} else {
		g, of := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroupTopic()
		g.Group, of.Topic, of.Partitions, g.MemberEpoch = "g", topic, partitions, -1
		g.Topics = append(g.Topics, of)
		req.Groups = append(req.Groups, g)
	}
	_, resp := ask(t, c, req)
	got := resp.(*kmsg.OffsetFetchResponse)
	for _, of := range got.Topics {
		for _, p := range of.Partitions {
			metadata = append(metadata, p.Metadata)
		}
	}
	for _, g := range got.Groups {
		for _, of := range g.Topics {
			for _, p := range of.Partitions {
				metadata = append(metadata, p.Metadata)
			}
		}
	}
	return metadata
}

// Metadata of 4,096 characters is kept, of more is refused, and what stands
// beside it is committed.
func TestMetadataOfAnOffsetIsBounded(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 3}}})
	fits, long := strings.Repeat("é", offsetMetadataMax), strings.Repeat("x", offsetMetadataMax+1)
	pairs := strings.Repeat("😀", offsetMetadataMax/2+1) // two units each
	_, resp := ask(t, c, committingWith("read", &fits, &long, &pairs))
	got := map[int32]int16{}
	for _, of := range resp.(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range of.Partitions {
			got[p.Partition] = p.ErrorCode
		}
	}
	if len(got) != 3 || got[0] != 0 || got[1] != kerr.OffsetMetadataTooLarge.Code || got[2] != kerr.OffsetMetadataTooLarge.Code {
		t.Errorf("answered with %v", got)
	}
	if kept := committed(t, c, 8, "read", 0, 1); text(kept[0]) != fits || text(kept[1]) != "" {
		t.Errorf("kept %v", kept)
	}
	txn := kmsg.NewPtrTxnOffsetCommitRequest()
	txn.Version, txn.TransactionalID, txn.Group, txn.Generation = 3, "tx", "g", -1
	of, p := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	of.Topic, p.Metadata = "read", &long
	of.Partitions = append(of.Partitions, p)
	txn.Topics = append(txn.Topics, of)
	_, resp = ask(t, c, txn)
	if got := resp.(*kmsg.TxnOffsetCommitResponse).Topics; len(got) != 1 || len(got[0].Partitions) != 1 ||
		got[0].Partitions[0].ErrorCode != kerr.OffsetMetadataTooLarge.Code {
		t.Errorf("in a transaction: %+v", got)
	}
}

// Metadata that was "" or null comes back as "", and so does that of an offset
// that nobody committed, as from Apache Kafka.
func TestMetadataComesBackAsItWasCommitted(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 4}}})
	none, some := "", "some"
	ask(t, c, committingWith("read", &none, nil, &some))
	for _, version := range []int16{1, 5, 7, 8, 9} {
		got := committed(t, c, version, "read", 0, 1, 2, 3)
		if len(got) != 4 {
			t.Fatalf("version %d: %d partitions", version, len(got))
		}
		for i, want := range []string{"", "", "some", ""} {
			if got[i] == nil || *got[i] != want {
				t.Errorf("version %d, partition %d: metadata %v, want %q", version, i, got[i], want)
			}
		}
	}
}

// A member's session may last half an hour, as in Apache Kafka, and no longer.
func TestASessionMayLastHalfAnHour(t *testing.T) {
	c := open(t, Config{})
	for millis, refused := range map[int32]bool{1_800_000: false, 1_800_001: true, 5_999: true, 6_000: false} {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.SessionTimeoutMillis, req.ProtocolType = 5, "g", millis, "consumer"
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "range"
		req.Protocols = append(req.Protocols, p)
		_, resp := ask(t, c, req)
		code := resp.(*kmsg.JoinGroupResponse).ErrorCode
		if (code == kerr.InvalidSessionTimeout.Code) != refused {
			t.Errorf("%d ms: error %d", millis, code)
		}
	}
}
