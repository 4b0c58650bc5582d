package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// From version 4 on AddPartitionsToTxn is of several transactions, or asks whether
// they have partitions. It was made for brokers (KIP-890), but clients that take
// the last version that is announced send it as well (@platformatic/kafka), and
// Apache Kafka serves them.

// addPartitionsMany is the first version of several transactions.
const addPartitionsMany = 4

// addPartitionsOfMany asks kfake, which passes over these, for one transaction at a
// time.
func addPartitionsOfMany(x *exchange, req *kmsg.AddPartitionsToTxnRequest) kmsg.Response {
	if req.Version < addPartitionsMany {
		return nil
	}
	resp := x.response().(*kmsg.AddPartitionsToTxnResponse)
	for i := range req.Transactions {
		t := &req.Transactions[i]
		topics, err := x.addPartitionsOf(t)
		if err != nil {
			x.fail(err)
			return nil
		}
		answer := kmsg.NewAddPartitionsToTxnResponseTransaction()
		answer.TransactionalID, answer.Topics = t.TransactionalID, topics
		resp.Transactions = append(resp.Transactions, answer)
	}
	return resp
}

func (x *exchange) addPartitionsOf(t *kmsg.AddPartitionsToTxnRequestTransaction) (topics []kmsg.AddPartitionsToTxnResponseTransactionTopic, err error) {
	if t.VerifyOnly {
		return x.verifyPartitions(t)
	}
	one := kmsg.NewPtrAddPartitionsToTxnRequest()
	one.Version = addPartitionsMany - 1
	one.TransactionalID, one.ProducerID, one.ProducerEpoch = t.TransactionalID, t.ProducerID, t.ProducerEpoch
	for i := range t.Topics {
		topic := kmsg.NewAddPartitionsToTxnRequestTopic()
		topic.Topic, topic.Partitions = t.Topics[i].Topic, t.Topics[i].Partitions
		one.Topics = append(one.Topics, topic)
	}
	resp, err := x.askRepaired(one)
	if err != nil {
		return nil, err
	}
	for _, added := range resp.(*kmsg.AddPartitionsToTxnResponse).Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		topic.Topic = added.Topic
		for i := range added.Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			p.Partition, p.ErrorCode = added.Partitions[i].Partition, added.Partitions[i].ErrorCode
			topic.Partitions = append(topic.Partitions, p)
		}
		topics = append(topics, topic)
	}
	return topics, nil
}

// verifyPartitions says of partitions whether the transaction has them; partitions
// that are not there come first, as in Apache Kafka.
func (x *exchange) verifyPartitions(t *kmsg.AddPartitionsToTxnRequestTransaction) (topics []kmsg.AddPartitionsToTxnResponseTransactionTopic, err error) {
	has, fault, err := x.partitionsOf(t)
	if err != nil {
		return nil, err
	}
	gone := false
	for i := range t.Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		topic.Topic = t.Topics[i].Topic
		for _, n := range t.Topics[i].Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			p.Partition, p.ErrorCode = n, fault
			switch {
			case x.cluster().partitionInfo(topic.Topic, n) == nil:
				p.ErrorCode, gone = kerr.UnknownTopicOrPartition.Code, true
			case fault == 0 && !slices.Contains(has[topic.Topic], n):
				p.ErrorCode = kerr.TransactionAbortable.Code
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		topics = append(topics, topic)
	}
	for i := range topics {
		for j := range topics[i].Partitions {
			if p := &topics[i].Partitions[j]; gone && p.ErrorCode != kerr.UnknownTopicOrPartition.Code {
				p.ErrorCode = kerr.OperationNotAttempted.Code
			}
		}
	}
	return topics, nil
}

// partitionsOf are the partitions of the open transaction of a producer, or what is
// wrong with the producer.
func (x *exchange) partitionsOf(t *kmsg.AddPartitionsToTxnRequestTransaction) (has map[string][]int32, fault int16, err error) {
	if t.TransactionalID == "" {
		return nil, kerr.InvalidRequest.Code, nil
	}
	p, err := x.producerOf(t.TransactionalID)
	switch {
	case err != nil:
		return nil, 0, err
	case p == nil || p.ProducerID != t.ProducerID:
		return nil, kerr.InvalidProducerIDMapping.Code, nil
	case p.ProducerEpoch != t.ProducerEpoch:
		return nil, kerr.ProducerFenced.Code, nil
	}
	has = make(map[string][]int32)
	for _, topic := range p.Topics {
		has[topic.Topic] = topic.Partitions
	}
	return has, 0, nil
}
