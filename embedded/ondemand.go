package embedded

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataChoosesCreation is the first version of Metadata that says whether
// missing topics are to be created; before it, they always are.
const metadataChoosesCreation = 4

// createMissing creates the topics that a Metadata request names and that are
// missing, if it asks for that. kfake could do it itself, but then does not
// write down that the topic exists before it stops (a killed process would
// lose the topic with all that was acknowledged), and creates nothing for the
// versions below 4.
func createMissing(x *exchange, req *kmsg.MetadataRequest) kmsg.Response {
	if len(req.Topics) == 0 || req.Version >= metadataChoosesCreation && !req.AllowAutoTopicCreation {
		return nil
	}
	then(x, func(resp *kmsg.MetadataResponse) {
		missing := missingTopics(resp)
		missing = missing[:x.cluster().topics.onDemand(x, len(missing))]
		if len(missing) == 0 {
			return // Apache Kafka, too, says UNKNOWN_TOPIC_OR_PARTITION then; a client asks again
		}
		if err := x.createAll(missing); err != nil {
			refuseTopics(resp, missing)
			return
		}
		if again, err := x.ask(req); err == nil {
			*resp = *again.(*kmsg.MetadataResponse)
		}
	})
	return nil
}

// missingTopics are those that a Metadata response knows nothing of, and that
// may be created.
func missingTopics(resp *kmsg.MetadataResponse) (names []string) {
	seen := make(map[string]bool)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.ErrorCode == kerr.UnknownTopicOrPartition.Code && t.Topic != nil && validTopicName(*t.Topic) && !seen[*t.Topic] {
			seen[*t.Topic] = true
			names = append(names, *t.Topic)
		}
	}
	return names
}

func refuseTopics(resp *kmsg.MetadataResponse, names []string) {
	refused := make(map[string]bool, len(names))
	for _, name := range names {
		refused[name] = true
	}
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.Topic != nil && refused[*t.Topic] {
			t.ErrorCode = kerr.KafkaStorageError.Code
		}
	}
}

// createAll creates topics in one request, which is written down once. Some may
// be refused for themselves; an error says that none can be kept.
func (x *exchange) createAll(names []string) error {
	c := x.cluster()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 4 // from here on -1 stands for the default
	size := int64(0)
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
		req.Topics = append(req.Topics, t)
		size += int64(len(name))
	}
	w, err := c.store.begin(size, false)
	if err != nil {
		return err
	}
	defer w.end()
	if _, err := x.ask(req); err != nil {
		return err
	}
	if c.cfg.SyncWrites {
		if err := c.syncs.directory(c.cfg.DataDir); err != nil {
			c.store.fail(fmt.Errorf("fsync: %w", err))
		}
	}
	return w.kept()
}

// topics bounds how many partitions there are, and how fast a client may have
// topics made by only naming them. kfake writes all topics down whenever one
// changes, so that each costs more than the one before.
type topics struct {
	max  int // partitions of all topics
	each int // partitions of a topic on demand
	log  func(message string, args ...any)

	mu      sync.Mutex
	known   int                       // guarded by mu; at least as many as there are; -1: never counted
	taken   time.Time                 // guarded by mu; when known grew
	counted time.Time                 // guarded by mu
	clients map[netip.Addr]*allowance // guarded by mu
	warned  time.Time                 // guarded by mu
}

// allowance is how many topics on demand a client (one address) may have now.
type allowance struct {
	left float64
	at   time.Time
}

const (
	onDemandBurst     = 1000 // topics
	onDemandPerSecond = 5
	onDemandClients   = 1024 // of which an allowance is remembered
	recountPause      = time.Second
	warnPause         = time.Minute
)

func newTopics(cfg Config, warn func(string, ...any)) *topics {
	return &topics{
		max: cfg.partitionsMax(), each: cfg.Partitions, log: warn,
		known: -1, clients: make(map[netip.Addr]*allowance),
	}
}

// onDemand takes up to n topics for a client, and returns how many it may have.
func (t *topics) onDemand(x *exchange, n int) int {
	if n = min(n, topicsOnDemandMax); n == 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.allowanceOf(x.session.client.ClientAddr(), time.Now())
	granted := min(n, int(a.left))
	switch room := t.room(x, granted*t.each) / t.each; {
	case granted == 0:
		t.warn("a client names new topics faster than they are made: the others stay unknown for now",
			"client", x.session.client.Remote.String(), "topics_at_once", onDemandBurst, "per_second", onDemandPerSecond)
	case room < granted:
		granted = room
		t.warn("a topic is not made on demand: there are as many partitions as may be; delete topics", "partitions_max", t.max)
	}
	a.left -= float64(granted)
	t.take(granted * t.each)
	return granted
}

func (t *topics) allowanceOf(client netip.Addr, now time.Time) *allowance {
	a := t.clients[client]
	if a == nil {
		if len(t.clients) == onDemandClients {
			clear(t.clients) // each starts anew; partitions are bounded all the same
		}
		a = &allowance{left: onDemandBurst, at: now}
		t.clients[client] = a
	}
	a.left = min(onDemandBurst, a.left+onDemandPerSecond*now.Sub(a.at).Seconds())
	a.at = now
	return a
}

// reserve takes n partitions, unless that would be too many.
func (t *topics) reserve(x *exchange, n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.room(x, n) < n {
		return false
	}
	t.take(n)
	return true
}

// take: the caller holds mu.
func (t *topics) take(n int) {
	if n > 0 {
		t.known += n
		t.taken = time.Now()
	}
}

// room is how many partitions more there may be; it is exact when less than
// wanted. The caller holds mu.
func (t *topics) room(x *exchange, wanted int) int {
	// What was taken just now may not be made yet, and would not be counted.
	settled := time.Since(t.counted) > recountPause && time.Since(t.taken) > recountPause
	if t.known < 0 || t.max-t.known < wanted && settled {
		if n, err := countPartitions(x.ask); err == nil {
			t.known, t.counted = n, time.Now()
		}
	}
	return max(0, t.max-max(0, t.known))
}

// countPartitions asks kfake how many partitions all topics have.
func countPartitions(ask func(kmsg.Request) (kmsg.Response, error)) (n int, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 9, nil // all
	resp, err := ask(req)
	if err != nil {
		return 0, err
	}
	for i := range resp.(*kmsg.MetadataResponse).Topics {
		n += len(resp.(*kmsg.MetadataResponse).Topics[i].Partitions)
	}
	return n, nil
}

// warn: the caller holds mu.
func (t *topics) warn(message string, args ...any) {
	if now := time.Now(); now.Sub(t.warned) > warnPause {
		t.warned = now
		t.log(message, args...)
	}
}

// tooMany is what a client is told that wants more partitions than there may be.
func (t *topics) tooMany() *string {
	return kmsg.StringPtr(fmt.Sprintf("there may be %d partitions in all topics together: delete topics, "+
		"or start kring with more descriptors or a higher bound", t.max))
}

// boundCreatedTopics refuses a request that would make more partitions than
// there may be.
func boundCreatedTopics(x *exchange, req *kmsg.CreateTopicsRequest) kmsg.Response {
	if req.ValidateOnly {
		return nil
	}
	t, n := x.cluster().topics, 0
	for i := range req.Topics {
		if p := int(req.Topics[i].NumPartitions); p > 0 {
			n += p
		} else {
			n += max(t.each, len(req.Topics[i].ReplicaAssignment))
		}
	}
	if t.reserve(x, n) {
		return nil
	}
	resp := refusalOf(req, kerr.PolicyViolation.Code, *t.tooMany())
	return resp
}

// boundCreatedPartitions does so for topics that grow.
func boundCreatedPartitions(x *exchange, req *kmsg.CreatePartitionsRequest) kmsg.Response {
	if req.ValidateOnly {
		return nil
	}
	n, err := growth(x, req)
	if err != nil {
		return nil // and kfake will not be reached either
	}
	if t := x.cluster().topics; !t.reserve(x, n) {
		return refusalOf(req, kerr.PolicyViolation.Code, *t.tooMany())
	}
	return nil
}

// growth is how many partitions more there will be.
func growth(x *exchange, req *kmsg.CreatePartitionsRequest) (n int, err error) {
	ask := kmsg.NewPtrMetadataRequest()
	ask.Version = 9
	ask.Topics = []kmsg.MetadataRequestTopic{}
	for i := range req.Topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(req.Topics[i].Topic)
		ask.Topics = append(ask.Topics, t)
		n += max(0, int(req.Topics[i].Count))
	}
	resp, err := x.ask(ask)
	if err != nil {
		return 0, err
	}
	for i := range resp.(*kmsg.MetadataResponse).Topics {
		n -= len(resp.(*kmsg.MetadataResponse).Topics[i].Partitions)
	}
	return max(0, n), nil
}
