package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// producerIn reads who produced a batch; ok is false if it is not transactional.
func producerIn(batch []byte) (id int64, epoch int16, ok bool) {
	if len(batch) < batchHeaderBytes {
		return 0, 0, false // kfake refuses it
	}
	h := readHead(batch)
	return h.producer, h.producerEpoch, h.attributes&batchTransactional != 0
}

// The first version of Produce that begins a transaction, and the first that
// knows TRANSACTION_ABORTABLE (KIP-890).
const (
	produceBegins = 12
	produceAborts = 11
)

// fenceProducer refuses transactional batches that are not the current producer's.
// kfake looks first whether the transaction has the partition, which an old
// producer's never has, and from version 12 on begins a transaction before it
// looks at the epoch: the new producer's, which nobody would end.
func fenceProducer(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	if !transactional(req) {
		return nil
	}
	if req.TransactionID == nil {
		withhold(x, req, func(string, *kmsg.ProduceRequestTopicPartition) *kerr.Error {
			return kerr.TransactionalIDAuthorizationFailed
		})
		return nil
	}
	p, err := x.producerOf(*req.TransactionID)
	if err != nil {
		x.fail(err)
		return nil
	}
	withhold(x, req, func(_ string, batch *kmsg.ProduceRequestTopicPartition) *kerr.Error {
		id, epoch, ok := producerIn(batch.Records)
		switch {
		case !ok:
			return nil
		case p == nil || id != p.ProducerID:
			return kerr.InvalidProducerIDMapping
		case epoch != p.ProducerEpoch:
			return kerr.InvalidProducerEpoch
		}
		return nil
	})
	then(x, func(resp *kmsg.ProduceResponse) {
		if wroteInTransaction(resp, req.Version) && req.Version >= produceBegins && p != nil {
			x.cluster().transactions.began(*req.TransactionID, p.ProducerEpoch)
		}
	})
	return nil
}

// wroteInTransaction says whether a partition took its batch, and puts the errors
// of the others into words that the version knows.
func wroteInTransaction(resp *kmsg.ProduceResponse, version int16) (wrote bool) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			wrote = wrote || p.ErrorCode == 0
			if p.ErrorCode == kerr.InvalidTxnState.Code && version >= produceAborts {
				p.ErrorCode = kerr.TransactionAbortable.Code
			}
		}
	}
	return wrote
}

func transactional(req *kmsg.ProduceRequest) bool {
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			if _, _, ok := producerIn(req.Topics[i].Partitions[j].Records); ok {
				return true
			}
		}
	}
	return false
}

// withhold takes the batches for which refuse has an error out of a Produce
// request, and adds their errors to kfake's response to the others.
func withhold(x *exchange, req *kmsg.ProduceRequest, refuse func(topic string, batch *kmsg.ProduceRequestTopicPartition) *kerr.Error) {
	var refused []kmsg.ProduceResponseTopic
	topics := req.Topics[:0]
	for _, t := range req.Topics {
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic, answer.TopicID = t.Topic, t.TopicID
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p kmsg.ProduceRequestTopicPartition) bool {
			fault := refuse(t.Topic, &p)
			if fault != nil {
				answer.Partitions = append(answer.Partitions, refusedBatch(p.Partition, fault))
			}
			return fault != nil
		})
		if len(answer.Partitions) > 0 {
			refused = append(refused, answer)
		}
		if len(t.Partitions) > 0 {
			topics = append(topics, t)
		}
	}
	if len(refused) == 0 {
		return
	}
	req.Topics, x.changed = topics, true
	then(x, func(resp *kmsg.ProduceResponse) { mergeProduced(resp, refused) })
}

func refusedBatch(partition int32, fault *kerr.Error) kmsg.ProduceResponseTopicPartition {
	p := kmsg.NewProduceResponseTopicPartition()
	p.Partition, p.ErrorCode, p.BaseOffset = partition, fault.Code, -1
	p.ErrorMessage = kmsg.StringPtr(fault.Description)
	return p
}
