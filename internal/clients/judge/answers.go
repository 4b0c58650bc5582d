package main

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answers asks what stands in an answer beside its error: clients go by it.
func answers() (all []question) {
	all = append(all, refusedAnswers()...)
	all = append(all, talks("deleting a topic that is named twice", 0, 6, deleteTwice)...)
	all = append(all, directoriesOfNothing()...)
	all = append(all, listsOfAll()...)
	all = append(all, talks("a transaction whose partitions are added", 3, 5, addedProduces)...)
	return append(all, producersOfAPartition()...)
}

// refusedAnswers asks for the ids, epochs and offsets in answers that refuse.
func refusedAnswers() (all []question) {
	for v := int16(0); v <= 5; v++ {
		all = append(all, question{family: "what a refused producer is told", variant: versionName(v), talk: func(t *talk) {
			req := initializing("judge-refused")
			req.TransactionTimeoutMillis = 1<<31 - 1
			resp := t.tell(req, v).(*kmsg.InitProducerIDResponse)
			t.say("id %d, epoch %d", resp.ProducerID, resp.ProducerEpoch)
		}})
	}
	flipped := batch()
	flipped[len(flipped)-2] ^= 1
	large := batchOf(keyless, func(b *kmsg.RecordBatch) { b.Records = append(b.Records, make([]byte, 17<<20)...) })
	for _, of := range []struct {
		what, topic string
		partition   int32
		records     []byte
	}{
		{"to a topic nobody has", "nobody-has", 0, batch()}, {"to partition 9", topic, 9, batch()},
		{"with a flipped bit", topic, 0, flipped}, {"of 17 MiB", topic, 0, large}, {"without bytes", topic, 0, []byte{}},
	} {
		for _, v := range []int16{3, 9, 12} {
			all = append(all, question{family: "what a refused batch is told", variant: of.what + ", v" + strconv.Itoa(int(v)), talk: func(t *talk) {
				req := produceRequest(v, of.topic, -1, of.records)
				req.Topics[0].Partitions[0].Partition = of.partition
				p := t.once(req, v).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
				t.say("%s, offset %d, time %d", codeName(p.ErrorCode), p.BaseOffset, p.LogAppendTime)
			}})
		}
	}
	return all
}

func deleteTwice(t *talk, v int16) {
	name := "judge-deleted-twice-" + versionName(v)
	t.must(creating(name), 4)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 10000, []string{name, name}
	for range 2 {
		of := kmsg.NewDeleteTopicsRequestTopic()
		of.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, of)
	}
	resp := t.tell(req, v).(*kmsg.DeleteTopicsResponse)
	t.say("%d topics", len(resp.Topics))
}

func directoriesOfNothing() []question {
	return []question{aTalk("the directories of a topic nobody has", func(t *talk) {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		of := kmsg.NewDescribeLogDirsRequestTopic()
		of.Topic, of.Partitions = "nobody-has", []int32{0}
		req.Topics = append(req.Topics, of)
		resp := t.tell(req, 4).(*kmsg.DescribeLogDirsResponse)
		t.say("%d directories", len(resp.Dirs))
		for _, d := range resp.Dirs {
			t.say("%d topics", len(d.Topics))
		}
	})}
}

// listsOfAll asks for everything in each of the ways that say so.
func listsOfAll() (all []question) {
	for _, names := range [][]string{nil, {}} {
		all = append(all, question{family: "all settings of a topic", variant: listName(names == nil), talk: func(t *talk) {
			req := describingSettings()
			req.Resources[0].ConfigNames = names
			t.say("settings: %v", len(settingsIn(t.must(req, 4))) > 20)
		}})
	}
	all = append(all, aTalk("the quotas of clients nobody limited", func(t *talk) {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		c.EntityType, c.MatchType, c.Match = "user", 0, kmsg.StringPtr("nobody-has")
		req.Components = append(req.Components, c)
		resp := t.tell(req, 1).(*kmsg.DescribeClientQuotasResponse)
		t.say("null: %v, %d", resp.Entries == nil, len(resp.Entries))
	}))
	for _, null := range []bool{true, false} {
		all = append(all, question{family: "all users who have passwords", variant: listName(null), talk: func(t *talk) {
			alter := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
			u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
			u.Name, u.Mechanism, u.Iterations = "judge", 1, 4096
			u.Salt, u.SaltedPassword = make([]byte, 16), make([]byte, 32)
			alter.Upsertions = append(alter.Upsertions, u)
			t.must(alter, 0)
			req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
			if !null {
				req.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{}
			}
			there := func(r kmsg.DescribeUserSCRAMCredentialsResponseResult) bool { return r.User == "judge" }
			t.until(func() bool {
				return slices.ContainsFunc(t.must(req, 0).(*kmsg.DescribeUserSCRAMCredentialsResponse).Results, there)
			})
			t.say("ours is there")
		}})
	}
	return all
}

func listName(null bool) string {
	if null {
		return "null"
	}
	return "an empty list"
}

// addedProduces adds partitions in the form of the version, and produces to them.
func addedProduces(t *talk, v int16) {
	p := t.producer("judge-added-" + versionName(v))
	req := p.addPartitions()
	if v >= 4 {
		x := kmsg.NewAddPartitionsToTxnRequestTransaction()
		x.TransactionalID, x.ProducerID, x.ProducerEpoch = p.transaction, p.id, p.epoch
		of := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		of.Topic, of.Partitions = topic, []int32{0}
		x.Topics = append(x.Topics, of)
		req.Transactions, req.Topics = append(req.Transactions, x), nil
	}
	t.tell(req, v)
	t.tell(p.produce(9, 0), 9)
	t.tell(p.end(true), 3)
}

// producersOfAPartition asks for the producers that a partition still knows.
func producersOfAPartition() (all []question) {
	const name = "judge-producers"
	for _, of := range []string{"an idempotent one", "one in a transaction", "one whose transaction is over"} {
		all = append(all, question{family: "the producers of a partition", variant: of, talk: func(t *talk) {
			t.producing(of, name+"-"+strconv.Itoa(len(of)))
		}})
	}
	return all
}

func (t *talk) producing(of, name string) {
	t.create(name, "retention.ms", "-1")
	transactional := of != "an idempotent one"
	init := initializing(name)
	if !transactional {
		init.TransactionalID = nil
	}
	made := t.must(init, 3).(*kmsg.InitProducerIDResponse)
	p := producer{name, made.ProducerID, made.ProducerEpoch}
	produce := p.produce(9, 0)
	produce.Topics[0].Topic = name
	if transactional {
		add := p.addPartitions()
		add.Topics[0].Topic = name
		t.must(add, 3)
	} else {
		produce.TransactionID = nil
		produce.Topics[0].Partitions[0].Records = batchOf(keyless, func(b *kmsg.RecordBatch) {
			b.ProducerID, b.ProducerEpoch, b.FirstSequence = p.id, p.epoch, 0
		})
	}
	t.must(produce, 9)
	if of == "one whose transaction is over" {
		t.must(p.end(true), 3)
		t.stateOf(p.transaction)
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	topicOf := kmsg.NewDescribeProducersRequestTopic()
	topicOf.Topic, topicOf.Partitions = name, []int32{0}
	req.Topics = append(req.Topics, topicOf)
	for _, partition := range t.tell(req, 0).(*kmsg.DescribeProducersResponse).Topics[0].Partitions {
		t.say("%d producers", len(partition.ActiveProducers))
		for _, a := range partition.ActiveProducers {
			t.say("it: %v, epoch %d, last sequence %d, coordinator's epoch %d, in a transaction: %v",
				a.ProducerID == p.id, a.ProducerEpoch, a.LastSequence, a.CoordinatorEpoch, a.CurrentTxnStartOffset >= 0)
		}
	}
}
