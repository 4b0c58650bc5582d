package kafka

import (
	"encoding/binary"

	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceIDsFrom is the first version of Produce that names topics by id.
const produceIDsFrom = 13

// produce lets batches in for topics that may be written. Without acknowledgements a
// client learns of an error by the end of its connection, after what it may write was
// written.
func produce(s *screening) {
	req := s.req.(*kmsg.ProduceRequest)
	if transactional(req) && (req.TransactionID == nil || !s.may(acl.Write, acl.TransactionalID, *req.TransactionID)) {
		if req.Acks == 0 {
			s.closed = true
			return
		}
		s.refuse(codeTransactionAuthorization)
		return
	}
	each(producedTopics)(s)
	if req.Acks == 0 && (s.answer != nil || s.cut) {
		s.closed, s.answer = s.answer != nil, nil
		s.silent, s.after = true, nil
	}
}

var producedTopics = elements[*kmsg.ProduceRequest, *kmsg.ProduceResponse, kmsg.ProduceRequestTopic, kmsg.ProduceResponseTopic]{
	of: func(r *kmsg.ProduceRequest) *[]kmsg.ProduceRequestTopic { return &r.Topics },
	verdict: topicFrom(produceIDsFrom, acl.Write, func(t *kmsg.ProduceRequestTopic) string { return t.Topic },
		func(t *kmsg.ProduceRequestTopic) [16]byte { return t.TopicID }),
	in: func(r *kmsg.ProduceResponse) *[]kmsg.ProduceResponseTopic { return &r.Topics },
	denied: func(t *kmsg.ProduceRequestTopic, code int16) kmsg.ProduceResponseTopic {
		r := kmsg.NewProduceResponseTopic()
		r.Topic, r.TopicID = t.Topic, t.TopicID
		for i := range t.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode, p.BaseOffset = t.Partitions[i].Partition, code, -1
			p.ErrorMessage = kmsg.StringPtr(errorText(code))
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

const (
	batchAttributesAt  = 21 // and the checksum 4
	batchTransactional = 1 << 4
	batchSizeAt        = 8
	batchHeadBytes     = 12 // before what the size counts
)

// transactional reports whether any batch is of a transaction
// (RequestUtils.hasTransactionalRecords). Apache Kafka looks at the first of each
// partition, as there may be but one; this looks at each, so that none is hidden behind
// another.
func transactional(req *kmsg.ProduceRequest) bool {
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			if hasTransactional(req.Topics[i].Partitions[j].Records) {
				return true
			}
		}
	}
	return false
}

func hasTransactional(b []byte) bool {
	for len(b) >= batchAttributesAt+2 {
		if b[batchMagicAt] >= 2 && binary.BigEndian.Uint16(b[batchAttributesAt:])&batchTransactional != 0 {
			return true
		}
		n := int(int32(binary.BigEndian.Uint32(b[batchSizeAt:])))
		if n < 0 || n > len(b)-batchHeadBytes {
			return false
		}
		b = b[batchHeadBytes+n:]
	}
	return false
}
