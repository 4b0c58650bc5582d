package embedded

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests of which a transaction is made. Each notes what became of it, and
// has errors that its version knows.

func addPartitions(x *exchange, req *kmsg.AddPartitionsToTxnRequest) kmsg.Response {
	if req.Version >= addPartitionsMany {
		return nil // see addPartitionsOfMany
	}
	if req.TransactionalID == "" {
		return refuseAdd(x, req)
	}
	x.disown(req.TransactionalID, &req.ProducerID)
	then(x, func(resp *kmsg.AddPartitionsToTxnResponse) {
		added := len(resp.Topics) > 0
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				p.ErrorCode = fencedBefore(addPartitionsFences, req.Version, p.ErrorCode)
				added = added && p.ErrorCode == 0
			}
		}
		if added {
			x.cluster().transactions.began(req.TransactionalID, req.ProducerEpoch)
		}
	})
	return nil
}

func refuseAdd(x *exchange, req *kmsg.AddPartitionsToTxnRequest) kmsg.Response {
	resp := x.response().(*kmsg.AddPartitionsToTxnResponse)
	for i := range req.Topics {
		t := kmsg.NewAddPartitionsToTxnResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, partition := range req.Topics[i].Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			p.Partition, p.ErrorCode = partition, kerr.InvalidRequest.Code
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// addOffsets answers by itself what the transaction has already: kfake would keep the name
// of a group once more for each time that it is added.
func addOffsets(x *exchange, req *kmsg.AddOffsetsToTxnRequest) kmsg.Response {
	if req.TransactionalID == "" {
		resp := x.response().(*kmsg.AddOffsetsToTxnResponse)
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	p, added := x.disown(req.TransactionalID, &req.ProducerID), &x.cluster().transactions
	if x.err == nil && p != nil && p.ProducerID == req.ProducerID && p.ProducerEpoch == req.ProducerEpoch && p.State == txnOngoing &&
		added.hasGroup(req.TransactionalID, req.ProducerEpoch, req.Group) {
		return x.response()
	}
	then(x, func(resp *kmsg.AddOffsetsToTxnResponse) {
		resp.ErrorCode = fencedBefore(addOffsetsFences, req.Version, resp.ErrorCode)
		if resp.ErrorCode == 0 {
			added.added(req.TransactionalID, req.ProducerEpoch, req.Group)
		}
	})
	return nil
}

// offsetsBegin is the first version of TxnOffsetCommit that begins a transaction
// (KIP-890).
const offsetsBegin = 5

// commitOffsets has no version that knows PRODUCER_FENCED: in Apache Kafka the
// partition that keeps the offsets refuses the epoch.
func commitOffsets(x *exchange, req *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	then(x, func(resp *kmsg.TxnOffsetCommitResponse) {
		committed := false
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				if p.ErrorCode == kerr.ProducerFenced.Code {
					p.ErrorCode = kerr.InvalidProducerEpoch.Code
				}
				committed = committed || p.ErrorCode == 0
			}
		}
		if committed && req.Version >= offsetsBegin {
			x.cluster().transactions.began(req.TransactionalID, req.ProducerEpoch)
		}
	})
	return nil
}

// endsEmpty is the first version of EndTxn in which a producer may abort a
// transaction that it did not begin (KIP-890).
const endsEmpty = 5

func endTransaction(x *exchange, req *kmsg.EndTxnRequest) kmsg.Response {
	if req.TransactionalID == "" {
		return refuseEnd(x, kerr.InvalidRequest.Code)
	}
	p := x.disown(req.TransactionalID, &req.ProducerID)
	if x.err != nil {
		return nil
	}
	if p != nil && p.ProducerID == req.ProducerID {
		_, again := x.cluster().txnLog().endedAt(req.ProducerID, req.ProducerEpoch) // also before a crash
		if code := x.cluster().transactions.mayEnd(req, p); code != 0 && !again {
			return refuseEnd(x, code)
		}
	}
	x.cluster().transactions.ending(req.TransactionalID)
	then(x, func(resp *kmsg.EndTxnResponse) {
		resp.ErrorCode = fencedBefore(endFences, req.Version, resp.ErrorCode)
		if resp.ErrorCode == 0 {
			x.cluster().transactions.ended(req.TransactionalID, req.ProducerEpoch, req.Commit)
			x.cluster().transactionEnded(req.TransactionalID)
		}
	})
	return nil
}

// mayEnd refuses to end what was never begun, and to take an older epoch for that
// of a producer whose answer was lost, unless it is: kfake would tell a fenced
// producer the epoch of the one that took its place.
func (t *transactions) mayEnd(req *kmsg.EndTxnRequest, p *kmsg.DescribeTransactionsResponseTransactionState) int16 {
	last, seen := t.of(req.TransactionalID)
	switch {
	case p.ProducerEpoch < req.ProducerEpoch: // nobody has it yet, and txnLog would take its transaction for the last
		return fencedBefore(endFences, req.Version, kerr.ProducerFenced.Code)
	case p.State == txnOngoing:
		return 0
	case p.ProducerEpoch == req.ProducerEpoch:
		if seen && last.state == txnEmpty && req.Version < endsEmpty {
			return kerr.InvalidTxnState.Code
		}
	case !seen || last.epoch != req.ProducerEpoch:
		return fencedBefore(endFences, req.Version, kerr.ProducerFenced.Code)
	}
	return 0
}

func refuseEnd(x *exchange, code int16) kmsg.Response {
	resp := x.response().(*kmsg.EndTxnResponse)
	resp.ErrorCode = code
	return resp
}
