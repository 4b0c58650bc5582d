package embedded

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	readCommitted = 1  // of FetchRequest.IsolationLevel
	noSession     = -1 // of FetchRequest.SessionEpoch (KIP-227)
)

// nameAborted has a fetch of committed records name the aborted transactions of the
// partition in which it reached its bound of bytes. kfake leaves them out there, and the
// client would take their records for committed ones.
func nameAborted(x *exchange, req *kmsg.FetchRequest) kmsg.Response {
	if req.IsolationLevel != readCommitted {
		return nil
	}
	then(x, func(resp *kmsg.FetchResponse) {
		t, p := lastFetched(resp)
		if p == nil || len(p.AbortedTransactions) > 0 || endOf(p.RecordBatches) >= p.LastStableOffset {
			return // it is named, or nothing was left to fetch
		}
		again, err := x.fetchOnly(req, t, p)
		if err != nil {
			x.fail(err)
			return
		}
		p.RecordBatches, p.AbortedTransactions = again.RecordBatches, again.AbortedTransactions
		if again.ErrorCode != 0 { // it has changed meanwhile: the client asks again
			p.RecordBatches, p.AbortedTransactions = []byte{}, nil
		}
	})
	return nil
}

// lastFetched is the last partition in a response that has records; nil: none has.
func lastFetched(resp *kmsg.FetchResponse) (topic *kmsg.FetchResponseTopic, last *kmsg.FetchResponseTopicPartition) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			if len(t.Partitions[j].RecordBatches) > 0 {
				topic, last = t, &t.Partitions[j]
			}
		}
	}
	return topic, last
}

// fetchOnly fetches the records of one partition once more, with nothing but their own
// size to bound them.
func (x *exchange) fetchOnly(req *kmsg.FetchRequest, topic *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition) (kmsg.FetchResponseTopicPartition, error) {
	of := kmsg.NewFetchRequestTopic()
	of.Topic, of.TopicID = topic.Topic, topic.TopicID
	again := fetchRequest(req.Version, of, p.Partition, readHead(p.RecordBatches).offset, int32(len(p.RecordBatches)))
	again.MaxBytes, again.IsolationLevel = math.MaxInt32, readCommitted
	resp, err := x.ask(again)
	if err != nil {
		return kmsg.FetchResponseTopicPartition{}, err
	}
	_, got := lastFetched(resp.(*kmsg.FetchResponse))
	if got == nil {
		return kmsg.FetchResponseTopicPartition{ErrorCode: kerr.OffsetOutOfRange.Code}, nil
	}
	return *got, nil
}

// endOf is the offset after the last of some whole batches.
func endOf(batches []byte) (end int64) {
	for h := range wholeBatches(batches) {
		end = h.next()
	}
	return end
}
