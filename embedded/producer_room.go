package embedded

import (
	chain "container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake keeps every producer that wrote without a transactional id, and a window of sequences
// for each partition that it wrote to, until it ends. Apache Kafka forgets a producer that has
// not written for a day [producer.id.expiration.ms]. Here they have room for so many bytes. When
// it is taken, producers are forgotten that have written nothing for producerIdle, those first
// that wrote longest ago (forget_producers.go); if there is none, new ones are to come again.

const (
	// What a producer and one of its windows take, here and in kfake.
	producerBytes, producerWindowBytes = 500, 450
	// producerIdle is after how long a producer may be forgotten, so that what clients send
	// again is known: they give up after two minutes by default [delivery.timeout.ms].
	producerIdle = 5 * time.Minute
)

// producerRoom counts kfake's producers that have no transactional id.
//
// Concurrency: any goroutine.
type producerRoom struct {
	most int64            // bytes
	now  func() time.Time // of tests

	forgetting sync.Mutex
	said       time.Time // guarded by forgetting; when a refusal was logged last

	mu    sync.Mutex
	used  int64                    // guarded by mu
	of    map[int64]*chain.Element // guarded by mu; by id, elements of order
	order chain.List               // guarded by mu; *keptProducer, those in front wrote longest ago
	spare []*keptProducer          // guarded by mu; kfake has them, and no client
}

// keptProducer is one that kfake keeps. Guarded by producerRoom.mu.
type keptProducer struct {
	id     int64
	next   int16 // the epoch by which another client may have the id
	wrote  time.Time
	bytes  int64
	topics map[string]*writtenTopic
	there  bool          // kfake has it; false: as far as is known, it has none of it
	going  chan struct{} // closed when it is forgotten, or is not after all; nil: it is not being forgotten
}

// writtenTopic is what a producer wrote of a topic. Guarded by producerRoom.mu.
type writtenTopic struct {
	id         [16]byte
	partitions map[int32]bool // true: it is known to have a batch of the producer
}

// producersOf is the room that producers have beside so many bytes of what clients leave behind:
// they and fetch sessions may take as much together.
func producersOf(kept int64) int64 { return kept / 2 }

func (r *producerRoom) init(most int64) {
	r.most, r.now = most, time.Now
	r.clear()
}

// clear begins anew, as kfake does.
func (r *producerRoom) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used, r.of, r.spare = 0, make(map[int64]*chain.Element), nil
	r.order.Init()
}

// loaded counts what kfake reads from the data directory. When a producer wrote is what its batch
// says, for who has not been answered sends again to the next process; later than now is now.
func (r *producerRoom) loaded(m *recovery) {
	r.clear()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, known := range m.pids {
		if known.TxID == "" {
			r.add(id, known.Epoch, time.Time{}).there = true
		}
	}
	for _, key := range slices.Backward(m.newestWindows()) {
		at := r.of[key.producer]
		if at == nil {
			continue // kfake passes over it, or it is transactional
		}
		entry := m.topics[key.topic]
		id, known := entry.topicID()
		p, w := at.Value.(*keptProducer), m.windows[key]
		r.window(p, key.topic, id, key.partition).partitions[key.partition] = known && w.Seen
		p.wrote = time.UnixMilli(min(w.wrote, r.now().UnixMilli()))
		r.order.MoveToBack(at)
	}
}

// add counts a producer. mu is held.
func (r *producerRoom) add(id int64, epoch int16, wrote time.Time) *keptProducer {
	p := &keptProducer{id: id, next: after(epoch), wrote: wrote, bytes: producerBytes}
	r.of[id] = r.order.PushBack(p)
	r.used += p.bytes
	return p
}

// after is the epoch that follows; the last one has none.
func after(epoch int16) int16 { return min(epoch, epochLast-1) + 1 }

// window counts a window of p, once. mu is held.
func (r *producerRoom) window(p *keptProducer, topic string, id [16]byte, partition int32) *writtenTopic {
	t := p.topics[topic]
	if t == nil {
		if p.topics == nil {
			p.topics = make(map[string]*writtenTopic)
		}
		t = &writtenTopic{id: id, partitions: make(map[int32]bool)}
		p.topics[strings.Clone(topic)] = t // else the frame would be kept
	}
	if _, has := t.partitions[partition]; !has {
		t.partitions[partition] = false
		p.bytes += producerWindowBytes
		r.used += producerWindowBytes
	}
	return t
}

// wrote notes that a producer that is known writes to where it has a window. going is closed
// when the producer is not being forgotten any more; then ask again. stored says that one of
// its batches is known to be there.
func (r *producerRoom) wrote(id int64, epoch int16, topic string, partition int32) (known, stored bool, going chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.of[id]
	if at == nil {
		return false, false, nil
	}
	p := at.Value.(*keptProducer)
	if p.going != nil {
		return false, false, p.going
	}
	t := p.topics[topic]
	if t == nil {
		return false, false, nil
	}
	if stored, known = t.partitions[partition]; !known {
		return false, false, nil
	}
	r.touch(at, epoch)
	return true, stored, nil
}

// has says that a producer is counted.
func (r *producerRoom) has(id int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[id] != nil
}

func (r *producerRoom) touch(at *chain.Element, epoch int16) {
	p := at.Value.(*keptProducer)
	p.wrote, p.next = r.now(), max(p.next, after(epoch))
	r.order.MoveToBack(at)
}

// begins counts a producer's first batch to a partition; false: there is no room, or it is being
// forgotten at this moment.
func (r *producerRoom) begins(id int64, epoch int16, topic string, topicID [16]byte, partition int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, need := r.of[id], int64(producerWindowBytes)
	if at == nil {
		need += producerBytes
	} else if at.Value.(*keptProducer).going != nil {
		return false
	}
	if r.used+need > r.most {
		return false
	}
	if at == nil {
		r.add(id, epoch, r.now())
		at = r.of[id]
	}
	r.window(at.Value.(*keptProducer), topic, topicID, partition)
	r.touch(at, epoch)
	return true
}

// keeps notes that kfake has a window, and whether a batch is in it. It counts one that another
// request's answer took out of the count.
func (r *producerRoom) keeps(w shownBatch, topicID [16]byte, stored bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.of[w.producer]
	if at == nil {
		r.add(w.producer, w.epoch, r.now())
		at = r.of[w.producer]
	}
	p := at.Value.(*keptProducer)
	p.there = true
	t := r.window(p, w.topic, topicID, w.partition)
	t.partitions[w.partition] = t.partitions[w.partition] || stored
}

// lacks takes out of the count what kfake was not shown, or refused before it made a window.
func (r *producerRoom) lacks(w windowKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.of[w.producer]
	if at == nil {
		return
	}
	p := at.Value.(*keptProducer)
	t := p.topics[w.topic]
	if t == nil {
		return
	}
	if stored, counted := t.partitions[w.partition]; stored || !counted {
		return
	}
	p.bytes, r.used = p.bytes-producerWindowBytes, r.used-producerWindowBytes
	if delete(t.partitions, w.partition); len(t.partitions) == 0 {
		delete(p.topics, w.topic)
	}
	if len(p.topics) == 0 && !p.there && p.going == nil {
		r.used -= p.bytes
		r.order.Remove(at)
		delete(r.of, p.id)
	}
}

// deleted forgets the windows of a topic, as kfake has.
func (r *producerRoom) deleted(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	drop := func(p *keptProducer) {
		if t := p.topics[topic]; t != nil {
			bytes := producerWindowBytes * int64(len(t.partitions))
			p.bytes, r.used = p.bytes-bytes, r.used-bytes
			delete(p.topics, topic)
		}
	}
	for at := r.order.Front(); at != nil; at = at.Next() {
		drop(at.Value.(*keptProducer))
	}
	for _, p := range r.spare {
		drop(p)
	}
}

// shownBatch is a batch that kfake is shown, for which it may make a window.
type shownBatch struct {
	windowKey
	epoch int16
}

// boundProducers has a batch come again that begins a producer, or its window of a partition,
// for which there is no room.
func boundProducers(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	var shown []shownBatch
	withhold(x, req, func(topic string, p *kmsg.ProduceRequestTopicPartition) *kerr.Error {
		if len(p.Records) < batchHeaderBytes {
			return nil // kfake refuses it
		}
		h := readHead(p.Records)
		if h.producer < 0 || h.attributes&batchTransactional != 0 {
			return nil
		}
		stored, fault := x.cluster().roomForProducer(&h, topic, p.Partition)
		if fault == nil && !stored {
			shown = append(shown, shownBatch{windowKey{h.producer, place{topic, p.Partition}}, h.producerEpoch})
		}
		return fault
	})
	if len(shown) == 0 {
		return nil
	}
	settle := func(resp *kmsg.ProduceResponse) {
		x.cluster().settleProducers(shown, resp)
		shown = nil
	}
	then(x, settle)
	over := x.session.stay()
	x.finally(func() {
		settle(&x.partly) // unless it is settled
		over()
	})
	return nil
}

// makesWindow are the errors of kfake that come after it has made a window of the producer.
var makesWindow = map[int16]bool{
	kerr.InvalidTxnState.Code: true, kerr.UnknownProducerID.Code: true, kerr.OutOfOrderSequenceNumber.Code: true,
	kerr.InvalidProducerEpoch.Code: true, kerr.UnknownServerError.Code: true,
}

// settleProducers notes of which of the batches kfake has a window. What was refused before it
// looked at the producer leaves nothing behind, and must not fill the room: nothing would empty it.
func (c *Cluster) settleProducers(shown []shownBatch, resp *kmsg.ProduceResponse) {
	window, stored := make(map[place]bool), make(map[place]bool)
	for i := range resp.Topics {
		for _, p := range resp.Topics[i].Partitions {
			at := place{resp.Topics[i].Topic, p.Partition}
			stored[at] = stored[at] || p.ErrorCode == 0
			window[at] = window[at] || p.ErrorCode == 0 || makesWindow[p.ErrorCode]
		}
	}
	for _, w := range shown {
		if w.epoch < 0 && stored[w.place] {
			c.producers.lacks(w.windowKey) // kfake did not know the producer, and does not now
		} else if info := c.topicInfo(w.topic); info != nil && window[w.place] {
			c.producers.keeps(w, info.TopicID, stored[w.place])
		} else {
			c.producers.lacks(w.windowKey) // or its topic is deleted
		}
	}
}

// roomForProducer counts what kfake will keep of a batch's producer, if there is room. stored: one
// of its batches is known to be in the partition, or nothing is kept. fault: there is none.
func (c *Cluster) roomForProducer(h *batchHead, topic string, partition int32) (stored bool, fault *kerr.Error) {
	r := &c.producers
	if h.producerEpoch < 0 && !r.has(h.producer) {
		return true, nil // kfake stores it without its producer, of whom it keeps nothing
	}
	for {
		known, stored, going := r.wrote(h.producer, h.producerEpoch, topic, partition)
		if going == nil && known {
			return stored, nil
		}
		if going == nil {
			break
		}
		<-going // kfake is asked twice
	}
	info := c.topicInfo(topic)
	if info == nil || partition < 0 || c.partitionInfo(topic, partition) == nil {
		return true, nil // kfake refuses it, and keeps nothing
	}
	begins := func() bool { return r.begins(h.producer, h.producerEpoch, topic, info.TopicID, partition) }
	if !begins() && !(c.forgetProducers() && begins()) {
		return false, kerr.KafkaStorageError // retriable; see memoryFor
	}
	return false, nil
}
