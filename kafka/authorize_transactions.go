package kafka

import (
	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// initProducer is for who may write with the transactional id, or without one to any
// topic.
func initProducer(s *screening) {
	id := s.req.(*kmsg.InitProducerIDRequest).TransactionalID
	if id != nil {
		transaction(func(r *kmsg.InitProducerIDRequest) string { return *id })(s)
		return
	}
	anyTopic := acl.Action{API: s.header.Key, Operation: acl.Write, Resource: acl.Topic}
	if !s.seen.AllowedAny(s.client, anyTopic) && !s.cluster(acl.IdempotentWrite) {
		s.refuse(codeClusterAuthorization)
	}
}

// addPartitions adds all partitions or none: those that are not denied are not
// attempted then. From version 4 on only brokers may ask.
func addPartitions(s *screening) {
	req := s.req.(*kmsg.AddPartitionsToTxnRequest)
	if s.header.Version >= addPartitionsBrokersFrom {
		if !s.cluster(acl.ClusterAction) {
			resp := s.response().(*kmsg.AddPartitionsToTxnResponse)
			resp.ErrorCode, s.answer = codeClusterAuthorization, resp
		}
		return
	}
	transaction(func(r *kmsg.AddPartitionsToTxnRequest) string { return r.TransactionalID })(s)
	if s.answer != nil {
		return
	}
	_, refused := sift(s, req.Topics, topicNamed(acl.Write, func(t *kmsg.AddPartitionsToTxnRequestTopic) string { return t.Topic }), unadded)
	if len(refused) == 0 {
		return
	}
	denied := map[string]bool{}
	for i := range refused {
		denied[refused[i].Topic] = true
	}
	resp := s.response().(*kmsg.AddPartitionsToTxnResponse)
	for i := range req.Topics {
		code := int16(codeOperationNotAttempted)
		if denied[req.Topics[i].Topic] {
			code = codeTopicAuthorization
		} else if _, missing := s.existence(req.Topics[i].Topic); missing && s.topics != nil {
			code = codeUnknownTopicOrPartition
		}
		resp.Topics = append(resp.Topics, unadded(&req.Topics[i], code))
	}
	s.answer = resp
}

// addPartitionsBrokersFrom is the first version of AddPartitionsToTxn that is for
// brokers (KIP-890).
const addPartitionsBrokersFrom = 4

func unadded(t *kmsg.AddPartitionsToTxnRequestTopic, code int16) kmsg.AddPartitionsToTxnResponseTopic {
	r := kmsg.NewAddPartitionsToTxnResponseTopic()
	r.Topic = t.Topic
	for _, partition := range t.Partitions {
		p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
		p.Partition, p.ErrorCode = partition, code
		r.Partitions = append(r.Partitions, p)
	}
	return r
}
