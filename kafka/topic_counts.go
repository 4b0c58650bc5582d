package kafka

import (
	"encoding/base64"
	"maps"
	"sync"
	"sync/atomic"

	"kring/reqchan"
)

// What clients get for batches that are too large.
const (
	codeMessageTooLarge    = 10
	codeRecordListTooLarge = 18
)

// topicCountsMax is the default of TopicCounts.Max.
const topicCountsMax = 100

// TopicCounts counts by topic what is produced and fetched, as Kafka's BrokerTopicMetrics do:
// give one to a Filter. Topics that were used beyond Max count together, so that what is kept
// is bounded. Any goroutine may use it.
type TopicCounts struct {
	// Max is how many topics are counted each for itself; 0 means 100, less none. Set it
	// before the first request.
	Max int
	// Topics, if set, has the names of topics that requests name by their ids, and knows which
	// are gone: these make room for others. It is asked by All only, and may block. Set it
	// before the first request.
	Topics interface {
		TopicName(id [16]byte) string
		TopicExists(name string) bool
	}

	mu    sync.RWMutex
	by    map[topicKey]*topicCounts // guarded by mu
	other topicCounts
	all   topicCounts // topics that were forgotten included, so it never falls
}

// topicKey is a topic as requests name it: by its name, or by its id.
type topicKey struct {
	name string
	id   [16]byte
}

// TopicTraffic is what was done with one topic, or with several together.
type TopicTraffic struct {
	// BytesIn and Records are of batches that were stored, BytesRejected of those that were
	// too large, and BytesOut of batches that were sent.
	BytesIn, Records, BytesRejected, BytesOut uint64
	// Produces and Fetches count partitions in requests, as Kafka does; the failed ones are
	// those with an error that no client causes (UNKNOWN_SERVER_ERROR).
	Produces, Fetches, FailedProduces, FailedFetches uint64
}

type topicCounts struct {
	bytesIn, records, bytesRejected, bytesOut        atomic.Uint64
	produces, fetches, failedProduces, failedFetches atomic.Uint64
}

func (c *topicCounts) read() TopicTraffic {
	return TopicTraffic{
		c.bytesIn.Load(), c.records.Load(), c.bytesRejected.Load(), c.bytesOut.Load(),
		c.produces.Load(), c.fetches.Load(), c.failedProduces.Load(), c.failedFetches.Load(),
	}
}

func (c *topicCounts) add(t TopicTraffic) {
	for _, one := range [...]struct {
		to *atomic.Uint64
		n  uint64
	}{
		{&c.bytesIn, t.BytesIn}, {&c.records, t.Records}, {&c.bytesRejected, t.BytesRejected}, {&c.bytesOut, t.BytesOut},
		{&c.produces, t.Produces}, {&c.fetches, t.Fetches}, {&c.failedProduces, t.FailedProduces}, {&c.failedFetches, t.FailedFetches},
	} {
		if one.n > 0 {
			one.to.Add(one.n)
		}
	}
}

// plus is t with the counts of o.
func (t TopicTraffic) plus(o TopicTraffic) TopicTraffic {
	t.BytesIn, t.Records, t.BytesRejected, t.BytesOut = t.BytesIn+o.BytesIn, t.Records+o.Records, t.BytesRejected+o.BytesRejected, t.BytesOut+o.BytesOut
	t.Produces, t.Fetches, t.FailedProduces, t.FailedFetches = t.Produces+o.Produces, t.Fetches+o.Fetches, t.FailedProduces+o.FailedProduces, t.FailedFetches+o.FailedFetches
	return t
}

// All are the topics that are counted each for itself, by their names, what all other topics
// have together, and what was counted in all, topics that are gone included.
func (c *TopicCounts) All() (by map[string]TopicTraffic, other, all TopicTraffic) {
	c.mu.RLock()
	kept := maps.Clone(c.by)
	c.mu.RUnlock()
	by = make(map[string]TopicTraffic, len(kept))
	for key, counts := range kept { // names may take a while
		switch name := c.nameOf(key); {
		case c.isGone(name):
			c.forget(key)
		case name != "":
			by[name] = counts.read().plus(by[name])
		}
	}
	return by, c.other.read(), c.all.read()
}

// isGone says that there is no topic of a name that nameOf gave.
func (c *TopicCounts) isGone(name string) bool {
	if partial, is := c.Topics.(PartialTopics); is { // what was not heard of yet may be there
		return name != "" && partial.TopicMissing(name)
	}
	return name == "" || c.Topics != nil && !c.Topics.TopicExists(name)
}

// nameOf is a topic's name; empty: it is gone, or was not heard of yet.
func (c *TopicCounts) nameOf(key topicKey) string {
	switch {
	case key.id == [16]byte{}:
		return keptText([]byte(key.name))
	case c.Topics == nil:
		return base64.RawURLEncoding.EncodeToString(key.id[:])
	}
	return c.Topics.TopicName(key.id)
}

// forget makes room for another topic.
func (c *TopicCounts) forget(key topicKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, key)
}

// of is where a topic is counted. One that has no place of its own gets one only if it is
// known to exist: clients choose the names that they ask for.
func (c *TopicCounts) of(name []byte, id [16]byte, exists bool) *topicCounts {
	c.mu.RLock()
	counts := c.by[topicKey{string(name), id}] // a look-up does not allocate
	full := len(c.by) >= c.most()
	c.mu.RUnlock()
	if counts != nil {
		return counts
	}
	if full || !exists {
		return &c.other
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := topicKey{string(name), id}
	if counts = c.by[key]; counts == nil {
		if len(c.by) >= c.most() {
			return &c.other
		}
		if c.by == nil {
			c.by = map[topicKey]*topicCounts{}
		}
		counts = new(topicCounts)
		c.by[key] = counts
	}
	return counts
}

func (c *TopicCounts) most() int {
	if c.Max == 0 {
		return topicCountsMax
	}
	return max(c.Max, 0)
}

// countingFilter is a Filter as the observer of answers that it counts by topic.
type countingFilter Filter

// Answering counts an answer as it leaves, after quotas may have taken its records out.
func (d *countingFilter) Answering(r reqchan.Request, k reqchan.AnswerKind, payload []byte) []byte {
	if d.Quotas != nil && d.Quotas.Any() {
		payload = (*meteredFilter)(d).Answering(r, k, payload)
	}
	if k == reqchan.AnswerSend || payload == nil {
		d.TopicCounts.count(r, payload)
	}
	return payload
}

// AnsweringParts counts what of an answer lies before its first file: no handler of ours has
// such answers.
func (d *countingFilter) AnsweringParts(r reqchan.Request, head []byte, size int) (instead []byte) {
	if d.Quotas != nil && d.Quotas.Any() {
		instead = (*meteredFilter)(d).AnsweringParts(r, head, size)
	}
	if instead != nil {
		head = instead
	}
	d.TopicCounts.count(r, head)
	return instead
}

// watched is who sees the answers to requests of an API; nil: nobody.
func (d *Filter) watched(key int16) reqchan.Answering {
	switch {
	case d.TopicCounts != nil && (key == keyProduce || key == keyFetch):
		return (*countingFilter)(d)
	case d.Quotas != nil && d.Quotas.Any():
		return (*meteredFilter)(d)
	}
	return nil
}

// count counts an answer by topic; response is nil for none (acks 0).
func (c *TopicCounts) count(r reqchan.Request, response []byte) {
	h, f := parseHeader(r.Payload())
	if f != nil {
		return // the handler wrote the response over the request
	}
	flexible := h.Version >= describe(h.Key).flexible
	answer := topicReader{reader: reader{}, version: h.Version, flexible: flexible}
	if header := responseHeaderBytes(flexible); len(response) >= header {
		answer.left = response[header:]
	}
	switch {
	case h.Key == keyFetch:
		c.fetched(&answer)
	case h.Key == keyProduce:
		request := topicReader{reader: reader{left: r.Payload()[h.Size:]}, version: h.Version, flexible: flexible}
		if response == nil && (r.ErrorCode() != 0 || !request.silent()) {
			return // nobody says which partitions failed, or what became of it: who asked has gone
		}
		c.produced(&request, answer.failures())
	}
}
