package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	topic         = "judge"
	prepareWithin = 60 * time.Second
	prepareEvery  = 100 * time.Millisecond
)

// prepare gives every server the topic that is asked about, and waits until
// its coordinators are there: Apache Kafka makes both when first asked.
func prepare(servers []*server) error {
	for _, s := range servers {
		for _, step := range preparations() {
			if err := s.until(step); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if err := s.learnTopicID(); err != nil {
			return fmt.Errorf("%s: the topic's id: %w", s.name, err)
		}
	}
	return nil
}

// until asks until the answer has no error.
func (s *server) until(req kmsg.Request) error {
	last := ""
	for end := time.Now().Add(prepareWithin); time.Now().Before(end); time.Sleep(prepareEvery) {
		var err error
		if last, err = s.put(question{asks: []ask{asking(req, 1)}}, answerWithin); err != nil {
			return err
		}
		if last == "ok, next is answered" || last == "TOPIC_ALREADY_EXISTS, next is answered" {
			return nil
		}
	}
	return fmt.Errorf("%T was answered with %q for %v", req, last, prepareWithin)
}

// learnTopicID asks for the id that newer versions name the topic by.
func (s *server) learnTopicID() error {
	req := namedMetadata(topic)
	req.Version = 12
	resp, err := s.exchange(req)
	if err != nil {
		return err
	}
	s.topicID = resp.(*kmsg.MetadataResponse).Topics[0].TopicID
	return nil
}

func preparations() []kmsg.Request {
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 2, 10000
	create.Topics = append(create.Topics, newTopic(topic, 1, 1))
	metadata := namedMetadata(topic)
	produce := produceRequest(3, topic, 1, batch())
	group := kmsg.NewPtrFindCoordinatorRequest()
	group.Version, group.CoordinatorKey = 1, "judge"
	transaction := kmsg.NewPtrFindCoordinatorRequest()
	transaction.Version, transaction.CoordinatorKey, transaction.CoordinatorType = 1, "judge", 1
	commit := offsetCommit(2)
	init := kmsg.NewPtrInitProducerIDRequest()
	init.Version, init.TransactionalID, init.TransactionTimeoutMillis = 0, kmsg.StringPtr("judge"), 60000
	return []kmsg.Request{keepEverything(), create, metadata, produce, group, transaction, commit, init}
}

// keepEverything has a broker keep what has times of long ago, as what is asked
// about has.
func keepEverything() kmsg.Request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	broker := kmsg.NewIncrementalAlterConfigsRequestResource()
	broker.ResourceType = kmsg.ConfigResourceTypeBroker
	retention := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	retention.Name, retention.Value = "log.retention.ms", kmsg.StringPtr("-1")
	broker.Configs = append(broker.Configs, retention)
	req.Resources = append(req.Resources, broker)
	return req
}

func newTopic(name string, partitions int32, replicas int16) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	return t
}

func produceRequest(version int16, name string, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = name
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func offsetCommit(version int16) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = version, "judge", -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = 1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}
