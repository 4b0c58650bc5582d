package kafka

import (
	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What is asked about each element of a request, and how the response speaks of one
// that is denied (Apache Kafka's own fields: see KafkaApis).

var listOffsets = elements[*kmsg.ListOffsetsRequest, *kmsg.ListOffsetsResponse, kmsg.ListOffsetsRequestTopic, kmsg.ListOffsetsResponseTopic]{
	of:      func(r *kmsg.ListOffsetsRequest) *[]kmsg.ListOffsetsRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Describe, func(t *kmsg.ListOffsetsRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.ListOffsetsResponse) *[]kmsg.ListOffsetsResponseTopic { return &r.Topics },
	denied: func(t *kmsg.ListOffsetsRequestTopic, code int16) kmsg.ListOffsetsResponseTopic {
		r := kmsg.NewListOffsetsResponseTopic()
		r.Topic = t.Topic
		for i := range t.Partitions {
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
			p.OldStyleOffsets = []int64{}
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

var committedOffsets = elements[*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, kmsg.OffsetCommitRequestTopic, kmsg.OffsetCommitResponseTopic]{
	of:      func(r *kmsg.OffsetCommitRequest) *[]kmsg.OffsetCommitRequestTopic { return &r.Topics },
	verdict: topicFrom(10, acl.Read, func(t *kmsg.OffsetCommitRequestTopic) string { return t.Topic }, func(t *kmsg.OffsetCommitRequestTopic) [16]byte { return t.TopicID }),
	in:      func(r *kmsg.OffsetCommitResponse) *[]kmsg.OffsetCommitResponseTopic { return &r.Topics },
	denied: func(t *kmsg.OffsetCommitRequestTopic, code int16) kmsg.OffsetCommitResponseTopic {
		r := kmsg.NewOffsetCommitResponseTopic()
		r.Topic = t.Topic
		r.TopicID = t.TopicID
		for i := range t.Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

var committedInTxn = elements[*kmsg.TxnOffsetCommitRequest, *kmsg.TxnOffsetCommitResponse, kmsg.TxnOffsetCommitRequestTopic, kmsg.TxnOffsetCommitResponseTopic]{
	of:      func(r *kmsg.TxnOffsetCommitRequest) *[]kmsg.TxnOffsetCommitRequestTopic { return &r.Topics },
	verdict: topicFrom(6, acl.Read, func(t *kmsg.TxnOffsetCommitRequestTopic) string { return t.Topic }, func(t *kmsg.TxnOffsetCommitRequestTopic) [16]byte { return t.TopicID }),
	in:      func(r *kmsg.TxnOffsetCommitResponse) *[]kmsg.TxnOffsetCommitResponseTopic { return &r.Topics },
	denied: func(t *kmsg.TxnOffsetCommitRequestTopic, code int16) kmsg.TxnOffsetCommitResponseTopic {
		r := kmsg.NewTxnOffsetCommitResponseTopic()
		r.Topic = t.Topic
		r.TopicID = t.TopicID
		for i := range t.Partitions {
			p := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

var deletedRecords = elements[*kmsg.DeleteRecordsRequest, *kmsg.DeleteRecordsResponse, kmsg.DeleteRecordsRequestTopic, kmsg.DeleteRecordsResponseTopic]{
	of:      func(r *kmsg.DeleteRecordsRequest) *[]kmsg.DeleteRecordsRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Delete, func(t *kmsg.DeleteRecordsRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.DeleteRecordsResponse) *[]kmsg.DeleteRecordsResponseTopic { return &r.Topics },
	denied: func(t *kmsg.DeleteRecordsRequestTopic, code int16) kmsg.DeleteRecordsResponseTopic {
		r := kmsg.NewDeleteRecordsResponseTopic()
		r.Topic = t.Topic
		for i := range t.Partitions {
			p := kmsg.NewDeleteRecordsResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
			p.LowWatermark = -1
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

var deletedOffsets = elements[*kmsg.OffsetDeleteRequest, *kmsg.OffsetDeleteResponse, kmsg.OffsetDeleteRequestTopic, kmsg.OffsetDeleteResponseTopic]{
	of:      func(r *kmsg.OffsetDeleteRequest) *[]kmsg.OffsetDeleteRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Read, func(t *kmsg.OffsetDeleteRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.OffsetDeleteResponse) *[]kmsg.OffsetDeleteResponseTopic { return &r.Topics },
	denied: func(t *kmsg.OffsetDeleteRequestTopic, code int16) kmsg.OffsetDeleteResponseTopic {
		r := kmsg.NewOffsetDeleteResponseTopic()
		r.Topic = t.Topic
		for i := range t.Partitions {
			p := kmsg.NewOffsetDeleteResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

var describedProducers = elements[*kmsg.DescribeProducersRequest, *kmsg.DescribeProducersResponse, kmsg.DescribeProducersRequestTopic, kmsg.DescribeProducersResponseTopic]{
	of:      func(r *kmsg.DescribeProducersRequest) *[]kmsg.DescribeProducersRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Read, func(t *kmsg.DescribeProducersRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.DescribeProducersResponse) *[]kmsg.DescribeProducersResponseTopic { return &r.Topics },
	denied: func(t *kmsg.DescribeProducersRequestTopic, code int16) kmsg.DescribeProducersResponseTopic {
		r := kmsg.NewDescribeProducersResponseTopic()
		r.Topic = t.Topic
		for i := range t.Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i], code
			p.ErrorMessage = kmsg.StringPtr(errorText(code))
			p.ActiveProducers = []kmsg.DescribeProducersResponseTopicPartitionActiveProducer{}
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

var topicEpochEnds = elements[*kmsg.OffsetForLeaderEpochRequest, *kmsg.OffsetForLeaderEpochResponse, kmsg.OffsetForLeaderEpochRequestTopic, kmsg.OffsetForLeaderEpochResponseTopic]{
	of:      func(r *kmsg.OffsetForLeaderEpochRequest) *[]kmsg.OffsetForLeaderEpochRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Describe, func(t *kmsg.OffsetForLeaderEpochRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.OffsetForLeaderEpochResponse) *[]kmsg.OffsetForLeaderEpochResponseTopic { return &r.Topics },
	denied: func(t *kmsg.OffsetForLeaderEpochRequestTopic, code int16) kmsg.OffsetForLeaderEpochResponseTopic {
		r := kmsg.NewOffsetForLeaderEpochResponseTopic()
		r.Topic = t.Topic
		for i := range t.Partitions {
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
			p.LeaderEpoch, p.EndOffset = -1, -1
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

var alteredShareOffsets = elements[*kmsg.AlterShareGroupOffsetsRequest, *kmsg.AlterShareGroupOffsetsResponse, kmsg.AlterShareGroupOffsetsRequestTopic, kmsg.AlterShareGroupOffsetsResponseTopic]{
	of: func(r *kmsg.AlterShareGroupOffsetsRequest) *[]kmsg.AlterShareGroupOffsetsRequestTopic {
		return &r.Topics
	},
	verdict: topicNamed(acl.Read, func(t *kmsg.AlterShareGroupOffsetsRequestTopic) string { return t.Topic }),
	in: func(r *kmsg.AlterShareGroupOffsetsResponse) *[]kmsg.AlterShareGroupOffsetsResponseTopic {
		return &r.Topics
	},
	denied: func(t *kmsg.AlterShareGroupOffsetsRequestTopic, code int16) kmsg.AlterShareGroupOffsetsResponseTopic {
		r := kmsg.NewAlterShareGroupOffsetsResponseTopic()
		r.Topic = t.Topic
		for i := range t.Partitions {
			p := kmsg.NewAlterShareGroupOffsetsResponseTopicPartition()
			p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
			p.ErrorMessage = kmsg.StringPtr(errorText(code))
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}
