package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// asked is a family of questions: one request in every version that all
// servers have, from since on.
type asked struct {
	family string
	since  int16 // lastOnly: the last version alone
	make   func(s *server, version int16) kmsg.Request
}

// lastOnly is for questions that leave a server silent: waiting takes time.
const lastOnly = -1

// good are requests as honest clients make them, some of them mistaken.
func good(versions map[int16]versionRange) (all []question) {
	var families []asked
	families = append(families, topicQuestions()...)
	families = append(families, presentQuestions()...)
	families = append(families, recordQuestions()...)
	families = append(families, groupQuestions()...)
	families = append(families, transactionQuestions()...)
	families = append(families, adminQuestions()...)
	for _, f := range families {
		r, served := versions[f.make(&server{}, 0).Key()]
		since := f.since
		if since == lastOnly {
			since = r.max
		}
		for v := max(r.min, since); served && v <= r.max; v++ {
			all = append(all, question{family: f.family, variant: versionName(v), per: func(s *server) []ask {
				req := f.make(s, v)
				req.SetVersion(v)
				return []ask{asking(req, 1)}
			}})
		}
	}
	return all
}

// defaults makes a request with nothing in it one that is answered at once.
func defaults(req kmsg.Request) {
	if f, is := req.(*kmsg.FetchRequest); is {
		f.MaxWaitMillis = 0
	}
	if f, is := req.(*kmsg.ShareFetchRequest); is {
		f.MaxWaitMillis = 0
	}
}

func topicQuestions() []asked {
	create := func(name string, partitions int32, replicas int16, validate bool) func(*server, int16) kmsg.Request {
		return func(_ *server, v int16) kmsg.Request {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.TimeoutMillis, req.ValidateOnly = 10000, validate
			n := name
			if n == "judge-of-" {
				n += versionName(v)
			}
			req.Topics = append(req.Topics, newTopic(n, partitions, replicas))
			return req
		}
	}
	return []asked{
		{"creating a topic", 0, create("judge-of-", 1, 1, false)},
		{"creating a topic again", 0, create("judge-of-", 1, 1, false)},
		{"trying to create a topic", 1, create("judge-tried", 1, 1, true)},
		{"creating a topic with a bad name", 0, create("bad/name", 1, 1, false)},
		{"creating a topic without a name", 0, create("", 1, 1, false)},
		{"creating a topic of no partitions", 0, create("judge-none", 0, 1, false)},
		{"creating a topic of -7 partitions", 0, create("judge-negative", -7, 1, false)},
		{"creating a topic of 3 replicas", 0, create("judge-replicas", 1, 3, false)},
		{"creating two topics of one name", 0, func(s *server, v int16) kmsg.Request {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.TimeoutMillis = 10000
			req.Topics = append(req.Topics, newTopic("judge-twice", 1, 1), newTopic("judge-twice", 1, 1))
			return req
		}},
		{"creating a topic with a setting nobody knows", 0, func(s *server, v int16) kmsg.Request {
			req := create("judge-setting", 1, 1, false)(s, v).(*kmsg.CreateTopicsRequest)
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = "no.such.setting", kmsg.StringPtr("1")
			req.Topics[0].Configs = append(req.Topics[0].Configs, c)
			return req
		}},
	}
}

// presentQuestions are about topics that are there, or are not.
func presentQuestions() []asked {
	metadata := func(create bool, names ...string) func(*server, int16) kmsg.Request {
		return func(*server, int16) kmsg.Request {
			req := namedMetadata(names...)
			req.AllowAutoTopicCreation = create
			return req
		}
	}
	remove := func(names ...string) func(*server, int16) kmsg.Request {
		return func(_ *server, v int16) kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis, req.TopicNames = 10000, names
			for _, n := range names {
				t := kmsg.NewDeleteTopicsRequestTopic()
				t.Topic = kmsg.StringPtr(n)
				req.Topics = append(req.Topics, t)
			}
			return req
		}
	}
	return []asked{
		{"Metadata of a topic", 0, metadata(false, topic)},
		{"Metadata of a topic nobody has", 4, metadata(false, "nobody-has")},
		{"Metadata of a bad name", 4, metadata(false, "bad/name")},
		{"Metadata of a topic twice", 4, metadata(false, topic, topic)},
		{"deleting a topic nobody has", 0, remove("nobody-has")},
		{"deleting a topic", 0, func(_ *server, v int16) kmsg.Request { return remove("judge-of-"+versionName(v))(nil, v) }},
		{"fewer partitions", 0, partitions(topic, 0)},
		{"as many partitions as there are", 0, partitions(topic, 1)},
		{"more partitions of a topic nobody has", 0, partitions("nobody-has", 3)},
		{"deleting records of a topic nobody has", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrDeleteRecordsRequest()
			req.TimeoutMillis = 1000
			t := kmsg.NewDeleteRecordsRequestTopic()
			t.Topic = "nobody-has"
			t.Partitions = append(t.Partitions, kmsg.NewDeleteRecordsRequestTopicPartition())
			req.Topics = append(req.Topics, t)
			return req
		}},
	}
}

func partitions(name string, count int32) func(*server, int16) kmsg.Request {
	return func(*server, int16) kmsg.Request {
		req := kmsg.NewPtrCreatePartitionsRequest()
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, count
		req.Topics, req.TimeoutMillis, req.ValidateOnly = append(req.Topics, t), 1000, true
		return req
	}
}

func recordQuestions() []asked {
	produce := func(name string, acks int16, records []byte) func(*server, int16) kmsg.Request {
		return func(s *server, v int16) kmsg.Request {
			req := produceRequest(v, name, acks, records)
			if name == topic {
				req.Topics[0].TopicID = s.topicID
			}
			return req
		}
	}
	flipped := batch()
	flipped[len(flipped)-2] ^= 1
	magic := batch()
	magic[16] = 9
	short := batch()[:40]
	return []asked{
		{"producing", 0, produce(topic, 1, batch())},
		{"producing to all replicas", 0, produce(topic, -1, batch())},
		{"producing without wanting an answer", 0, produce(topic, 0, batch())},
		{"producing with acks 2", 0, produce(topic, 2, batch())},
		{"producing to a topic nobody has", 0, produce("nobody-has", 1, batch())},
		{"producing to a topic nobody has, without wanting an answer", 0, produce("nobody-has", 0, batch())},
		{"producing a batch with a flipped bit", 0, produce(topic, 1, flipped)},
		{"producing a batch with a flipped bit, without wanting an answer", 0, produce(topic, 0, flipped)},
		{"producing a batch of magic 9", 0, produce(topic, 1, magic)},
		{"producing a batch that is cut off", 0, produce(topic, 1, short)},
		{"producing no bytes", 0, produce(topic, 1, []byte{})},
		{"producing null", lastOnly, produce(topic, 1, nil)},
		{"producing two batches", 0, produce(topic, 1, append(batch(), batch()...))},
		{"producing to partition 9", 0, func(s *server, v int16) kmsg.Request {
			req := produce(topic, 1, batch())(s, v).(*kmsg.ProduceRequest)
			req.Topics[0].Partitions[0].Partition = 9
			return req
		}},
		{"fetching", 0, fetch(topic, 0, 0)},
		{"fetching from a topic nobody has", 0, fetch("nobody-has", 0, 0)},
		{"fetching beyond the end", 0, fetch(topic, 1<<40, 0)},
		{"fetching from offset -5", 0, fetch(topic, -5, 0)},
		{"fetching in a session nobody has", 7, fetch(topic, 0, 77)},
		{"listing the last offset", 0, offsets(topic, -1)},
		{"listing the first offset", 0, offsets(topic, -2)},
		{"listing offset -77", 0, offsets(topic, -77)},
		{"listing offsets of a topic nobody has", 0, offsets("nobody-has", -1)},
		{"the end of epoch 0", 0, func(*server, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.ReplicaID = -1
			t := kmsg.NewOffsetForLeaderEpochRequestTopic()
			t.Topic = topic
			t.Partitions = append(t.Partitions, kmsg.NewOffsetForLeaderEpochRequestTopicPartition())
			req.Topics = append(req.Topics, t)
			return req
		}},
	}
}

func fetch(name string, offset int64, session int32) func(*server, int16) kmsg.Request {
	return func(s *server, _ int16) kmsg.Request {
		req := kmsg.NewPtrFetchRequest()
		req.ReplicaID, req.MaxWaitMillis, req.MaxBytes = -1, 0, 1<<20
		req.SessionID, req.SessionEpoch = 0, -1
		if session != 0 {
			req.SessionID, req.SessionEpoch = session, 1
		}
		t := kmsg.NewFetchRequestTopic()
		t.Topic = name
		if name == topic {
			t.TopicID = s.topicID
		} else {
			t.TopicID = [16]byte{1, 2, 3}
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 1<<20, -1
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}
}

func offsets(name string, timestamp int64) func(*server, int16) kmsg.Request {
	return func(*server, int16) kmsg.Request {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID, req.TimeoutMillis = -1, 1000
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = name
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = timestamp, -1
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}
}
