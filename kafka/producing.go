package kafka

import (
	"container/list"
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"kring"
)

const (
	// producingMax bounds the pairs of a connection and a topic that are remembered: each
	// of the shards has its part, and forgets the one that wrote longest ago.
	producingMax    = 4096
	producingShards = 16
	// producedPartitions: partitions of a number below are counted apart.
	producedPartitions = 256
	// producerNameBytesMax is how much of a topic's name and of a transactional id is kept.
	producerNameBytesMax = 255
)

// Producers remembers who produces into which topic: give one to a Filter. It is bounded (4096
// pairs of a connection and a topic, about 2 MiB); those that wrote longest ago are
// forgotten first, also of connections that have ended. Any goroutine may use it.
type Producers struct {
	// Topics gives the names of topics, which Produce requests from version 13 on name by
	// their ids; nil: the ids are shown. It is asked by All only. Set it before the first
	// request.
	Topics interface {
		TopicName(id [16]byte) string
	}

	forgotten atomic.Uint64
	shards    [producingShards]producingShard
}

type producingShard struct {
	mu     sync.Mutex
	by     map[producingKey]*list.Element // guarded by mu; each is in recent
	recent list.List                      // guarded by mu; of *producing, the one that wrote last in front
}

type producingKey struct {
	conn  *kring.Conn
	topic string
	id    [16]byte // instead of topic
}

// producing is what is remembered; guarded by its shard's mu.
type producing struct {
	key                               producingKey
	transactionalID                   string
	producerID                        int64
	producerEpoch, acks               int16
	requests, batches, records, bytes uint64
	first, last                       time.Time
	partitions                        [producedPartitions / 64]uint64
}

// Producer is a client that produces into a topic: what it asked for, allowed or not.
type Producer struct {
	Conn  *kring.Conn
	Topic string
	// TransactionalID is the client's, empty if it has none; ProducerID and Epoch are those
	// of its last batch, -1 for one that is not idempotent.
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	Acks            int16 // of its last request
	// Partitions of a number below 256 that it has written into.
	Partitions                        int
	Requests, Batches, Records, Bytes uint64
	First, Last                       time.Time
}

// record notes a validated Produce request.
func (p *Producers) record(r APIRequest) {
	c := r.Raw.Conn()
	if c == nil {
		return
	}
	in := reader{left: r.Body}
	flexible := r.Header.Version >= describe(keyProduce).flexible
	transactional := in.span(in.stringLen(flexible), true)
	acks := in.int16()
	in.int32() // the timeout
	now := time.Now()
	sh := &p.shards[c.ID.Index%producingShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for range in.count(flexible, false, 1) {
		var id [16]byte
		var name []byte
		if r.Header.Version >= produceTopicID {
			copy(id[:], in.take(len(id)))
		} else {
			name = in.string(flexible)
			name = name[:min(len(name), producerNameBytesMax)]
		}
		e := sh.by[producingKey{c, string(name), id}] // a look-up does not allocate
		if e == nil {
			e = p.add(sh, producingKey{c, string(name), id}, now)
		}
		sh.recent.MoveToFront(e)
		one := e.Value.(*producing)
		one.requests++
		one.last, one.acks = now, acks
		if one.transactionalID != string(transactional) {
			one.transactionalID = keptText(transactional)
		}
		one.readPartitions(&in, flexible)
	}
}

// keptText is what is kept of a client's text.
func keptText(b []byte) string {
	s := string(b[:min(len(b), producerNameBytesMax)])
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

// add makes room for one more: a request may name as many topics as there are elements in it,
// so it must not take long. It needs sh.mu.
func (p *Producers) add(sh *producingShard, key producingKey, now time.Time) *list.Element {
	if sh.by == nil {
		sh.by = map[producingKey]*list.Element{}
	}
	if len(sh.by) >= producingMax/producingShards {
		oldest := sh.recent.Remove(sh.recent.Back()).(*producing)
		delete(sh.by, oldest.key)
		p.forgotten.Add(1)
	}
	e := sh.recent.PushFront(&producing{key: key, first: now, producerID: -1, producerEpoch: -1})
	sh.by[key] = e
	return e
}

// Where a record batch of version 2 says who wrote it.
const (
	batchProducerIDAt    = 43
	batchProducerEpochAt = 51
)

// readPartitions notes the partitions of one topic, up to its end.
func (one *producing) readPartitions(in *reader, flexible bool) {
	for range in.count(flexible, false, 1) {
		index := in.int32()
		batch := in.span(in.wideLen(flexible), true)
		skipTags(in, flexible)
		if index >= 0 && index < producedPartitions {
			one.partitions[index/64] |= 1 << (index % 64)
		}
		if len(batch) == 0 {
			continue
		}
		one.batches++
		one.bytes += uint64(len(batch))
		one.records += uint64(recordsIn(batch))
		if len(batch) >= batchHeaderBytes && batch[batchMagicAt] == 2 {
			one.producerID = int64(binary.BigEndian.Uint64(batch[batchProducerIDAt:]))
			one.producerEpoch = int16(binary.BigEndian.Uint16(batch[batchProducerEpochAt:]))
		}
	}
	skipTags(in, flexible)
}

func skipTags(in *reader, flexible bool) {
	if flexible {
		for range in.tagCount() {
			in.tag()
		}
	}
}

// All are those that are remembered, in no order, and Forgotten counts those that are not
// any more.
func (p *Producers) All() (all []Producer, forgotten uint64) {
	var ids [][16]byte
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for e := sh.recent.Front(); e != nil; e = e.Next() {
			one := e.Value.(*producing)
			all = append(all, one.producer())
			ids = append(ids, one.key.id)
		}
		sh.mu.Unlock()
	}
	for i := range all { // names may take a while
		if ids[i] != ([16]byte{}) {
			all[i].Topic = p.name(ids[i])
		}
	}
	return all, p.forgotten.Load()
}

func (one *producing) producer() Producer {
	p := Producer{
		Conn: one.key.conn, Topic: keptText([]byte(one.key.topic)), TransactionalID: one.transactionalID, ProducerID: one.producerID, ProducerEpoch: one.producerEpoch,
		Acks: one.acks, Requests: one.requests, Batches: one.batches, Records: one.records, Bytes: one.bytes, First: one.first, Last: one.last,
	}
	for _, word := range one.partitions {
		p.Partitions += bits.OnesCount64(word)
	}
	return p
}

// name is that of a topic id, else the id as Kafka's tools write it.
func (p *Producers) name(id [16]byte) string {
	if p.Topics != nil {
		if name := p.Topics.TopicName(id); name != "" {
			return name
		}
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}
