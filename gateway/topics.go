package gateway

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"kring"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// topicsMax bounds the topics that are remembered, by name and by id, and
	// topicsMissingMax those that are known not to exist. Half of them is forgotten, those that
	// nobody has asked for, when there are more.
	topicsMax        = 100_000
	topicsMissingMax = 10_000
	// topicsWantedMax bounds those that the gateway asks for itself, at once.
	topicsWantedMax = 500
	// missingFor is how long a topic counts as missing, and seenFor as seen: others create and
	// delete it elsewhere.
	missingFor = 5 * time.Second
	seenFor    = 5 * time.Second
)

// topics are the names and ids of topics that brokers have named to anybody. It implements
// kafka.PartialTopics: rules go by names, and requests have ids.
//
// Concurrency: any goroutine.
type topics struct {
	now    func() int64
	stale  func() // the upstream is to be asked
	create func(c *kring.Conn, names []string)

	mu      sync.Mutex
	ids     recent[[16]byte, string] // guarded by mu
	names   recent[string, int64]    // guarded by mu; when they were named last
	missing recent[string, int64]    // guarded by mu; since when
	// What somebody asked for and is not known: guarded by mu.
	wantedIDs   wants[[16]byte]
	wantedNames wants[string]
	idsAreNext  bool // guarded by mu; names were asked for last
}

// recent is a map with a bound: what is looked up stays, and of the rest half is forgotten at a
// time. The zero value is ready for use.
type recent[K comparable, V any] struct{ now, before map[K]V }

func (r *recent[K, V]) get(k K, most int) (v V, known bool) {
	if v, known = r.now[k]; known {
		return v, true
	}
	if v, known = r.before[k]; known {
		r.put(k, v, most)
	}
	return v, known
}

func (r *recent[K, V]) put(k K, v V, most int) {
	if _, known := r.now[k]; !known && len(r.now) >= most/2 {
		r.before, r.now = r.now, nil
	}
	if r.now == nil {
		r.now = map[K]V{}
	}
	r.now[k] = v
}

func (r *recent[K, V]) drop(k K) {
	delete(r.now, k)
	delete(r.before, k)
}

func newTopics(now func() int64, stale func()) *topics {
	return &topics{now: now, stale: stale, wantedIDs: newWants[[16]byte](), wantedNames: newWants[string]()}
}

// asker is topics as clients of one network ask.
type asker struct {
	*topics
	from netip.Prefix
}

// AskedBy is of kafka.PartialTopics.
func (t *topics) AskedBy(addr netip.Addr) kafka.PartialTopics { return asker{t, networkOf(addr)} }

// TopicName is of kafka.Topics.
func (a asker) TopicName(id [16]byte) string { return a.topics.name(id, a.from) }

// TopicExists is of kafka.Topics.
func (a asker) TopicExists(name string) bool { return a.topics.exists(name, a.from) }

// TopicSeen is of kafka.PartialTopics.
func (a asker) TopicSeen(name string) bool { return a.topics.seen(name, a.from) }

// TopicName is of kafka.Topics.
func (t *topics) TopicName(id [16]byte) string { return t.name(id, netip.Prefix{}) }

func (t *topics) name(id [16]byte, from netip.Prefix) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	name, known := t.ids.get(id, topicsMax)
	if !known && id != ([16]byte{}) && t.wantedIDs.add(id, from) {
		t.stale()
	}
	return name
}

// TopicExists is of kafka.Topics.
func (t *topics) TopicExists(name string) bool { return t.exists(name, netip.Prefix{}) }

func (t *topics) exists(name string, from netip.Prefix) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := t.names.get(name, topicsMax)
	if !known && t.wantedNames.add(name, from) {
		t.stale()
	}
	return known
}

// TopicSeen is of kafka.PartialTopics.
func (t *topics) TopicSeen(name string) bool { return t.seen(name, netip.Prefix{}) }

func (t *topics) seen(name string, from netip.Prefix) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.names.get(name, topicsMax)
	if known && t.now()-last < int64(seenFor) {
		return true
	}
	if t.wantedNames.add(name, from) {
		t.stale()
	}
	return false
}

// CreateTopics is of kafka.PartialTopics.
func (t *topics) CreateTopics(c *kring.Conn, names []string) { t.create(c, names) }

// TopicMissing is of kafka.PartialTopics.
func (t *topics) TopicMissing(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	since, known := t.missing.get(name, topicsMissingMax)
	return known && t.now()-since < int64(missingFor)
}

// TopicNames is of kafka.Topics: those that are known.
func (t *topics) TopicNames() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]string, 0, len(t.names.now)+len(t.names.before))
	for name := range t.names.now {
		all = append(all, name)
	}
	for name := range t.names.before {
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wanted are what the gateway's own Metadata request asks for: what others asked for in vain. Names
// and ids by turns, in requests of their own: brokers leave out the names of one that has an id.
func (t *topics) wanted(version int16) []kmsg.MetadataRequestTopic {
	all := []kmsg.MetadataRequestTopic{} // null would be all
	t.mu.Lock()
	defer t.mu.Unlock()
	if version < metadataIDsFrom {
		t.wantedIDs.take()
	}
	if version < metadataAsksFrom {
		t.wantedNames.take()
	}
	ids := t.wantedIDs.len() > 0 && (t.idsAreNext || t.wantedNames.len() == 0)
	t.idsAreNext = !ids
	if ids {
		for id := range t.wantedIDs.take() {
			all = append(all, kmsg.MetadataRequestTopic{TopicID: id})
		}
	} else {
		for name := range t.wantedNames.take() {
			all = append(all, kmsg.MetadataRequestTopic{Topic: &name})
		}
	}
	if t.wantedIDs.len()+t.wantedNames.len() > 0 {
		t.stale()
	}
	return all
}

const (
	// metadataIDsFrom is the first version of Metadata that takes ids.
	metadataIDsFrom = 12
	// metadataAsksFrom is the first that can ask for a topic without creating it.
	metadataAsksFrom = 4
)

const (
	codeUnknownTopic     = 3
	codeNetworkException = 13
)

// changesNothing says that r asks what would happen: of a topic that it names nothing is to be learned.
func changesNothing(r kafka.APIRequest) bool {
	if r.Header.Key != keyCreateTopics {
		return false
	}
	req, err := r.Decode()
	return err != nil || req.(*kmsg.CreateTopicsRequest).ValidateOnly
}

// hear takes what a response to anybody says of topics.
func (t *topics) hear(h kafka.Header, payload []byte) {
	if h.Key != keyMetadata && h.Key != keyCreateTopics && h.Key != keyDescribeTopicPartitions && h.Key != keyDeleteTopics {
		return
	}
	resp := kmsg.ResponseForKey(h.Key)
	resp.SetVersion(h.Version)
	if readOwn(payload, resp) != nil {
		return
	}
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		t.learn(resp)
	case *kmsg.CreateTopicsResponse:
		for i := range resp.Topics {
			t.see(&resp.Topics[i].Topic, resp.Topics[i].TopicID, resp.Topics[i].ErrorCode)
		}
	case *kmsg.DescribeTopicPartitionsResponse:
		for i := range resp.Topics {
			t.see(resp.Topics[i].Topic, resp.Topics[i].TopicID, resp.Topics[i].ErrorCode)
		}
	case *kmsg.DeleteTopicsResponse:
		for i := range resp.Topics {
			if resp.Topics[i].ErrorCode == 0 {
				t.see(resp.Topics[i].Topic, [16]byte{}, codeUnknownTopic)
			}
		}
	}
}

// learn is hear of Metadata.
func (t *topics) learn(resp *kmsg.MetadataResponse) {
	for i := range resp.Topics {
		t.see(resp.Topics[i].Topic, resp.Topics[i].TopicID, resp.Topics[i].ErrorCode)
	}
}

// see notes a topic that a broker has named, or has said not to exist.
func (t *topics) see(name *string, id [16]byte, code int16) {
	if name == nil || *name == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case code == codeUnknownTopic:
		t.names.drop(*name)
		t.missing.put(*name, t.now(), topicsMissingMax)
	case code == 0 || id != ([16]byte{}):
		t.missing.drop(*name)
		t.names.put(*name, t.now(), topicsMax)
		if id != ([16]byte{}) {
			t.ids.put(id, *name, topicsMax)
		}
	}
}
