package embedded

import (
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionTimeoutMax is the longest session of a member of a classic group
// [group.max.session.timeout.ms].
const sessionTimeoutMax = 30 * time.Minute

// offsetMetadataMax is how long the metadata of a committed offset may be, in
// UTF-16 units, as Java counts [offset.metadata.max.bytes].
const offsetMetadataMax = 4096

func metadataTooLong(metadata *string) bool {
	if metadata == nil || len(*metadata) <= offsetMetadataMax {
		return false
	}
	n := 0
	for _, r := range *metadata {
		n += utf16.RuneLen(r)
	}
	return n > offsetMetadataMax
}

// boundCommit refuses to commit offsets whose metadata is too long.
func boundCommit(x *exchange, req *kmsg.OffsetCommitRequest) kmsg.Response {
	var refused []kmsg.OffsetCommitResponseTopic
	for i := range req.Topics {
		t := &req.Topics[i]
		bad := kmsg.NewOffsetCommitResponseTopic()
		bad.Topic, bad.TopicID = t.Topic, t.TopicID
		good := t.Partitions[:0:0]
		for _, p := range t.Partitions {
			if !metadataTooLong(p.Metadata) {
				good = append(good, p)
				continue
			}
			answer := kmsg.NewOffsetCommitResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, kerr.OffsetMetadataTooLarge.Code
			bad.Partitions = append(bad.Partitions, answer)
		}
		if len(bad.Partitions) > 0 {
			t.Partitions, x.changed = good, true
			refused = append(refused, bad)
		}
	}
	if len(refused) > 0 {
		then(x, func(resp *kmsg.OffsetCommitResponse) {
			for _, bad := range refused {
				addRefusedCommit(resp, bad)
			}
		})
	}
	return nil
}

func addRefusedCommit(resp *kmsg.OffsetCommitResponse, bad kmsg.OffsetCommitResponseTopic) {
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.Topic == bad.Topic && t.TopicID == bad.TopicID {
			t.Partitions = append(t.Partitions, bad.Partitions...)
			return
		}
	}
	resp.Topics = append(resp.Topics, bad)
}

// txnOffsetNamesIDs is the first version of TxnOffsetCommit whose topics are ids (KIP-1319).
const txnOffsetNamesIDs = 6

// nameTxnCommit has every repair see the names of the topics, which the wire has not from
// version 6 on: of the request, and of the response. kfake looks at the ids alone.
func nameTxnCommit(x *exchange, req *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	if req.Version < txnOffsetNamesIDs {
		return nil
	}
	names := make(map[[16]byte]string, len(req.Topics))
	for i := range req.Topics {
		t := &req.Topics[i]
		t.Topic = x.cluster().topicName(t.TopicID)
		names[t.TopicID] = t.Topic
	}
	then(x, func(resp *kmsg.TxnOffsetCommitResponse) {
		for i := range resp.Topics {
			resp.Topics[i].Topic = names[resp.Topics[i].TopicID]
		}
	})
	return nil
}

// boundTxnCommit is boundCommit in a transaction.
func boundTxnCommit(x *exchange, req *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	var refused []kmsg.TxnOffsetCommitResponseTopic
	for i := range req.Topics {
		t := &req.Topics[i]
		bad := kmsg.NewTxnOffsetCommitResponseTopic()
		bad.Topic, bad.TopicID = t.Topic, t.TopicID
		good := t.Partitions[:0:0]
		for _, p := range t.Partitions {
			if !metadataTooLong(p.Metadata) {
				good = append(good, p)
				continue
			}
			answer := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, kerr.OffsetMetadataTooLarge.Code
			bad.Partitions = append(bad.Partitions, answer)
		}
		if len(bad.Partitions) > 0 {
			t.Partitions, x.changed = good, true
			refused = append(refused, bad)
		}
	}
	if len(refused) > 0 {
		then(x, func(resp *kmsg.TxnOffsetCommitResponse) {
			for _, bad := range refused {
				addRefusedTxnCommit(resp, bad)
			}
		})
	}
	return nil
}

func addRefusedTxnCommit(resp *kmsg.TxnOffsetCommitResponse, bad kmsg.TxnOffsetCommitResponseTopic) {
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.Topic == bad.Topic && t.TopicID == bad.TopicID {
			t.Partitions = append(t.Partitions, bad.Partitions...)
			return
		}
	}
	resp.Topics = append(resp.Topics, bad)
}

// fillMetadata gives offsets the metadata that was committed: Apache Kafka keeps
// none as "", and never answers with null.
func fillMetadata(x *exchange, _ *kmsg.OffsetFetchRequest) kmsg.Response {
	none := ""
	then(x, func(resp *kmsg.OffsetFetchResponse) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; p.Metadata == nil {
					p.Metadata = &none
				}
			}
		}
		for g := range resp.Groups {
			for i := range resp.Groups[g].Topics {
				for j := range resp.Groups[g].Topics[i].Partitions {
					if p := &resp.Groups[g].Topics[i].Partitions[j]; p.Metadata == nil {
						p.Metadata = &none
					}
				}
			}
		}
	})
	return nil
}
