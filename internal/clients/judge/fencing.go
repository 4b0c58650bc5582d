package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fencing asks what a transactional producer is told that another has taken the
// place of, and what becomes of transactions.
func fencing() (all []question) {
	all = append(all, talks("a transactional producer that has an id already", 3, 5, func(t *talk, v int16) {
		req := initializing("judge-known-" + versionName(v))
		req.ProducerID, req.ProducerEpoch = 0, 0
		t.tell(req, v)
	})...)
	all = append(all, talks("adding partitions as a fenced producer", 0, 3, fenced(func(p producer) kmsg.Request {
		return p.addPartitions()
	}))...)
	all = append(all, talks("adding offsets as a fenced producer", 0, 4, fenced(func(p producer) kmsg.Request {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.transaction, p.id, p.epoch, "judge-txn"
		return req
	}))...)
	all = append(all, talks("ending a transaction as a fenced producer", 0, 5, fenced(func(p producer) kmsg.Request {
		return p.end(true)
	}))...)
	all = append(all, talks("committing offsets as a fenced producer", 0, 4, fenced(func(p producer) kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = p.transaction, p.id, p.epoch, "judge-txn", -1
		topicOf := kmsg.NewTxnOffsetCommitRequestTopic()
		topicOf.Topic = topic
		topicOf.Partitions = append(topicOf.Partitions, kmsg.NewTxnOffsetCommitRequestTopicPartition())
		req.Topics = append(req.Topics, topicOf)
		return req
	}))...)
	for _, v := range []int16{3, 9, 11, 12} {
		all = append(all, question{family: "producing as a fenced producer", variant: versionName(v), talk: fencedProduce(v)})
	}
	return append(all, finished()...)
}

// producer is a transactional producer.
type producer struct {
	transaction string
	id          int64
	epoch       int16
}

func initializing(transaction string) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr(transaction), 60_000
	req.ProducerID, req.ProducerEpoch = -1, -1
	return req
}

func (t *talk) producer(transaction string) producer {
	resp := t.must(initializing(transaction), 3).(*kmsg.InitProducerIDResponse)
	return producer{transaction, resp.ProducerID, resp.ProducerEpoch}
}

func (p producer) addPartitions() *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.transaction, p.id, p.epoch
	topicOf := kmsg.NewAddPartitionsToTxnRequestTopic()
	topicOf.Topic, topicOf.Partitions = topic, []int32{0}
	req.Topics = append(req.Topics, topicOf)
	return req
}

func (p producer) end(commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.transaction, p.id, p.epoch, commit
	return req
}

// produce is of one record, in the transaction.
func (p producer) produce(version int16, sequence int32) *kmsg.ProduceRequest {
	const transactional = 0x10
	req := produceRequest(version, topic, -1, batchOf(keyless, func(b *kmsg.RecordBatch) {
		b.Attributes, b.ProducerID, b.ProducerEpoch, b.FirstSequence = transactional, p.id, p.epoch, sequence
	}))
	req.TransactionID = kmsg.StringPtr(p.transaction)
	return req
}

// fenced has a producer ask whose transactional id another has taken since.
func fenced(make func(producer) kmsg.Request) func(*talk, int16) {
	return func(t *talk, version int16) {
		req := make(producer{})
		name := "judge-fenced-" + apiName(req.Key()) + "-" + versionName(version)
		old := t.producer(name)
		t.producer(name)
		t.tell(make(old), version)
	}
}

func fencedProduce(version int16) func(*talk) {
	return func(t *talk) {
		name := "judge-fenced-produce-" + versionName(version)
		old := t.producer(name)
		t.must(old.addPartitions(), 3)
		t.must(old.produce(version, 0), version)
		t.producer(name)
		t.tell(old.produce(version, 1), version)
	}
}

// finished asks for the state of transactions that are over, or never began.
func finished() []question {
	state := func(end func(t *talk, p producer)) func(*talk) {
		return func(t *talk) {
			p := t.producer("judge-finished")
			end(t, p)
			t.say("%s", t.stateOf(p.transaction))
		}
	}
	ended := func(commit bool) func(*talk, producer) {
		return func(t *talk, p producer) {
			t.must(p.addPartitions(), 3)
			t.must(p.produce(9, 0), 9)
			t.must(p.end(commit), 3)
		}
	}
	return []question{
		{family: "the state of a transaction", variant: "that never began", talk: state(func(*talk, producer) {})},
		{family: "the state of a transaction", variant: "that was committed", talk: state(ended(true))},
		{family: "the state of a transaction", variant: "that was aborted", talk: state(ended(false))},
		{family: "the state of a transaction", variant: "that goes on", talk: state(func(t *talk, p producer) { t.must(p.addPartitions(), 3) })},
	}
}

// stateOf waits until a transaction is not about to be over, and says where it
// stands, described and listed.
func (t *talk) stateOf(transaction string) string {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{transaction}
	var state string
	t.until(func() bool {
		state = t.must(req, 0).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].State
		return state != "PrepareCommit" && state != "PrepareAbort"
	})
	list := kmsg.NewPtrListTransactionsRequest()
	list.StateFilters = []string{state}
	for _, x := range t.must(list, 0).(*kmsg.ListTransactionsResponse).TransactionStates {
		if x.TransactionalID == transaction {
			return state + ", listed as " + x.TransactionState
		}
	}
	return state + ", not listed"
}
