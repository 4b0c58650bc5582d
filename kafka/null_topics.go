package kafka

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// nullTopic is what Null keeps of a topic: the end of each partition's log.
type nullTopic struct {
	name string
	id   [16]byte
	ends []atomic.Int64
}

// end is where partition's log ends; ok is false when there is no such partition.
func (t *nullTopic) end(partition int32) (int64, bool) {
	if t == nil || partition < 0 || int(partition) >= len(t.ends) {
		return -1, false
	}
	return t.ends[partition].Load(), true
}

// nullTopics is every topic. Reading takes no lock: a change replaces the table.
type nullTopics struct {
	partitions, max int
	mu              sync.Mutex // held to change
	// table: Order: stored under mu, with its topics complete; readers take
	// what they find.
	table atomic.Pointer[topicTable]
}

type topicTable struct {
	byName map[string]*nullTopic
	byID   map[[16]byte]*nullTopic
}

func (s *nullTopics) init(c NullConfig) {
	s.partitions, s.max = c.PartitionsDefault, c.TopicsMax
	s.table.Store(&topicTable{})
}

// ensure makes the missing topics, with so many partitions each, while there is room.
// Invalid names are skipped.
func (s *nullTopics) ensure(partitions int, names ...string) *topicTable {
	t := s.table.Load()
	missing := false
	for _, name := range names {
		missing = missing || t.byName[name] == nil && topicNameFits(name)
	}
	if !missing || len(t.byName) >= s.max {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t = s.table.Load()
	next := &topicTable{byName: make(map[string]*nullTopic, len(t.byName)+1), byID: make(map[[16]byte]*nullTopic, len(t.byID)+1)}
	maps.Copy(next.byName, t.byName)
	maps.Copy(next.byID, t.byID)
	for _, name := range names {
		if next.byName[name] == nil && topicNameFits(name) && len(next.byName) < s.max {
			name = strings.Clone(name)
			topic := &nullTopic{name: name, id: topicID(name), ends: make([]atomic.Int64, partitions)}
			next.byName[name], next.byID[topic.id] = topic, topic
		}
	}
	s.table.Store(next)
	return next
}

// topicID is a topic's id: the same in every run, and never a reserved one.
func topicID(name string) (id [16]byte) {
	sum := sha256.Sum256([]byte(name))
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // an RFC 9562 UUID of version 8
	return id
}

// topicNameFits is Kafka's rule for topic names.
func topicNameFits(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// metadata creates every topic that is asked for.
func (n *Null) metadata(req *kmsg.MetadataRequest, c *reqchan.Conn) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	broker := kmsg.NewMetadataResponseBroker()
	at := n.advertised(c)
	broker.Host, broker.Port = at.Host, at.Port
	resp.Brokers = append(resp.Brokers, broker)
	resp.ClusterID = kmsg.StringPtr("kring-null")
	resp.ControllerID = broker.NodeID

	var names []string
	for i := range req.Topics {
		if t := req.Topics[i].Topic; t != nil && req.Topics[i].TopicID == ([16]byte{}) {
			names = append(names, *t)
		}
	}
	table := n.topics.ensure(n.topics.partitions, names...)
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		for _, t := range table.byName {
			resp.Topics = append(resp.Topics, t.metadata())
		}
	}
	for i := range req.Topics {
		resp.Topics = append(resp.Topics, table.describe(&req.Topics[i]))
	}
	return resp
}

func (t *topicTable) describe(asked *kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	unknown := kmsg.NewMetadataResponseTopic()
	unknown.Topic, unknown.TopicID = asked.Topic, asked.TopicID
	if asked.Topic != nil && asked.TopicID == ([16]byte{}) {
		if topic := t.byName[*asked.Topic]; topic != nil {
			return topic.metadata()
		}
		unknown.ErrorCode = codeUnknownTopicOrPartition
		if !topicNameFits(*asked.Topic) {
			unknown.ErrorCode = codeInvalidTopic
		}
		return unknown
	}
	if topic := t.byID[asked.TopicID]; topic != nil {
		return topic.metadata()
	}
	unknown.ErrorCode = codeUnknownTopicID
	return unknown
}

func (t *nullTopic) metadata() kmsg.MetadataResponseTopic {
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID = &t.name, t.id
	for i := range t.ends {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.LeaderEpoch, p.Replicas, p.ISR = int32(i), 0, []int32{0}, []int32{0}
		m.Partitions = append(m.Partitions, p)
	}
	return m
}

func (n *Null) createTopics(req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for i := range req.Topics {
		asked := &req.Topics[i]
		t := kmsg.NewCreateTopicsResponseTopic()
		t.Topic, t.ReplicationFactor = asked.Topic, 1
		partitions, code := n.creatable(asked)
		t.NumPartitions, t.ErrorCode = int32(partitions), code
		if code == 0 && !req.ValidateOnly {
			if topic := n.topics.ensure(partitions, asked.Topic).byName[asked.Topic]; topic != nil {
				t.TopicID = topic.id
			} else {
				t.ErrorCode = codePolicyViolation
				t.ErrorMessage = kmsg.StringPtr("the null handler holds as many topics as it may (TopicsMax)")
			}
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// creatable returns how many partitions a new topic gets, or the error code if it can't be
// created.
func (n *Null) creatable(asked *kmsg.CreateTopicsRequestTopic) (partitions int, code int16) {
	switch partitions = int(asked.NumPartitions); {
	case len(asked.ReplicaAssignment) > 0:
		partitions = len(asked.ReplicaAssignment)
	case partitions == -1:
		partitions = n.config.PartitionsDefault
	}
	switch {
	case !topicNameFits(asked.Topic):
		return -1, codeInvalidTopic
	case n.topics.table.Load().byName[asked.Topic] != nil:
		return -1, codeTopicAlreadyExists
	case partitions < 1 || partitions > n.config.PartitionsMax:
		return -1, codeInvalidPartitions
	case len(asked.ReplicaAssignment) == 0 && asked.ReplicationFactor != 1 && asked.ReplicationFactor != -1:
		return -1, codeInvalidReplicationFactor
	}
	return partitions, 0
}

// TopicName is the name of the topic that has an id; empty if there is none.
func (n *Null) TopicName(id [16]byte) string {
	if t := n.topics.table.Load().byID[id]; t != nil {
		return t.name
	}
	return ""
}

// TopicExists reports whether anybody asked for the topic before.
func (n *Null) TopicExists(name string) bool { return n.topics.table.Load().byName[name] != nil }

// TopicNames are those of all topics, sorted.
func (n *Null) TopicNames() []string {
	return slices.Sorted(maps.Keys(n.topics.table.Load().byName))
}
