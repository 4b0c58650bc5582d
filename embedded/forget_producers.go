package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// How kfake is brought to forget a producer. It takes the epoch of a batch that it then refuses
// for its sequence; and when a producer is initialized whose epoch has none that follows, it gives it
// another id, without windows. That id is the next client's. One that has no windows, because
// its topics are deleted, is the next client's as it is, with an epoch that its last client has not used.

const (
	// epochLast is one that none follows.
	epochLast = math.MaxInt16
	// forgetsMax is how many producers that have windows are forgotten for one request, and
	// looksMax how many it looks at in all: those without windows leave an id, and no room.
	forgetsMax, looksMax = 8, 1000
	// sparePart: when less than this part of the room is left, who asks for an id is given a
	// spare one, for which a producer is forgotten.
	sparePart = 4
)

// forgetProducers forgets some that have written nothing for long. It does not wait for somebody
// else who does it: see keeps. false: it has forgotten none.
func (c *Cluster) forgetProducers() bool {
	r := &c.producers
	if !r.forgetting.TryLock() {
		return false
	}
	defer r.forgetting.Unlock()
	n := 0
	all := r.oldest()
	transactional, failed := c.transactionalAmong(all)
	for _, l := range all {
		next, err := l.id, failed
		switch {
		case err != nil:
		case transactional[l.id]:
			err = errTransactional
		default:
			next, err = c.replaceProducer(l.id, l.stored)
		}
		if err != nil {
			c.log.Debug("embedded: a producer can't be forgotten", "producer", l.id, "error", err)
		}
		if r.forgotten(l.keptProducer, next, err) {
			n++
		}
	}
	if n == 0 && r.left() < producerBytes+producerWindowBytes && r.now().Sub(r.said) >= keptSayInterval {
		r.said = r.now()
		c.log.Error("there are too many producers: new ones are refused until others have written nothing for a while; raise KeptBytesMax (--memory-max)",
			"bytes_max", r.most, "idle", producerIdle)
	}
	return n > 0
}

// storedIn is a partition that has a batch of a producer.
type storedIn struct {
	topic     [16]byte
	partition int32
}

// idleProducer is one that is being forgotten, and partitions that have its batches, one of
// each topic.
type idleProducer struct {
	*keptProducer
	stored []storedIn
}

// oldest are the producers that wrote longest ago, if that is long; who needs one of them waits
// from now on until forgotten is called of it.
func (r *producerRoom) oldest() (all []idleProducer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	forgets := 0
	for at := r.order.Front(); at != nil && forgets < forgetsMax && len(all) < looksMax; at = at.Next() {
		p := at.Value.(*keptProducer)
		if r.now().Sub(p.wrote) < producerIdle {
			break
		}
		p.going = make(chan struct{})
		l := idleProducer{p, p.stored()}
		if len(l.stored) > 0 {
			forgets++
		}
		all = append(all, l)
	}
	return all
}

// stored is where p is known to have a batch. producerRoom.mu is held.
func (p *keptProducer) stored() (in []storedIn) {
	for _, t := range p.topics {
		for partition, has := range t.partitions {
			if has {
				in = append(in, storedIn{t.id, partition})
				break
			}
		}
	}
	return in
}

// forgotten ends what oldest began. next is the id that kfake has instead; it is that of p if
// there is none. spare: somebody else may have it.
func (r *producerRoom) forgotten(p *keptProducer, next int64, err error) (spare bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(p.going)
	p.going = nil
	at := r.of[p.id]
	if at == nil || at.Value != p {
		return false // kfake was run anew meanwhile
	}
	if err != nil || next == p.id && p.next == epochLast {
		p.wrote = r.now() // others are tried first
		r.order.MoveToBack(at)
		return false
	}
	r.order.Remove(at)
	delete(r.of, p.id)
	if next != p.id {
		r.used -= p.bytes - producerBytes
		p = &keptProducer{id: next, bytes: producerBytes, there: true}
	}
	r.spare = append(r.spare, p)
	return true
}

// give is a spare id with the epoch that it goes on by.
func (r *producerRoom) give() (id int64, epoch int16, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.spare)
	if n == 0 {
		return 0, 0, false
	}
	p := r.spare[n-1]
	r.spare = r.spare[:n-1]
	id, epoch = p.id, p.next
	r.of[id] = r.order.PushBack(p)
	r.touch(r.of[id], epoch)
	return id, epoch, true
}

// left is how many bytes have room.
func (r *producerRoom) left() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most - r.used
}

// giveProducerID answers who wants an id that is not transactional: kfake would remember
// each for ever. It takes an id that it does not know with its first batch, as Apache Kafka
// does.
func giveProducerID(x *exchange, req *kmsg.InitProducerIDRequest) kmsg.Response {
	if req.TransactionalID != nil {
		return nil
	}
	r := &x.cluster().producers
	id, epoch, ok := r.give()
	if !ok && r.left() < r.most/sparePart && x.cluster().forgetProducers() {
		id, epoch, ok = r.give()
	}
	if !ok {
		id, epoch = rand.Int64(), 0
	}
	resp := x.response().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = id, epoch
	return resp
}

// replaceProducer has kfake give a producer another id, by a partition that has a batch of it. The
// id stays where no such partition is left.
func (c *Cluster) replaceProducer(id int64, stored []storedIn) (int64, error) {
	for _, in := range stored {
		code, err := c.raiseToLast(id, in)
		switch {
		case err != nil:
			return id, err
		case code == kerr.UnknownTopicID.Code:
			continue
		case code != kerr.OutOfOrderSequenceNumber.Code:
			return id, fmt.Errorf("kfake answers a batch that is out of order with %w", kerr.ErrorForCode(code))
		}
		return c.exhausted(id)
	}
	return id, nil
}

// errTransactional is why a producer is kept: else the transactional id would get another one.
var errTransactional = errors.New("it is a transactional id's")

// transactionalAmong are the producers that kfake has for transactional ids: whoever writes by
// such an id, but in no transaction, is counted like the others. kfake looks at every producer
// that it has to answer this, so it is asked once for all.
func (c *Cluster) transactionalAmong(all []idleProducer) (ids map[int64]bool, err error) {
	if len(all) == 0 {
		return nil, nil // kfake would list those of everybody
	}
	req := kmsg.NewPtrListTransactionsRequest()
	for _, l := range all {
		req.ProducerIDFilters = append(req.ProducerIDFilters, l.id)
	}
	resp, err := c.inside.ask(req)
	if err != nil {
		return nil, err
	}
	ids = make(map[int64]bool)
	for _, t := range resp.(*kmsg.ListTransactionsResponse).TransactionStates {
		ids[t.ProducerID] = true
	}
	return ids, nil
}

// raiseToLast shows kfake a batch of the last epoch that it refuses. Order: only where the
// producer has stored a batch: elsewhere any sequence may begin, and it would be stored. A topic that
// is made anew has another id.
func (c *Cluster) raiseToLast(id int64, in storedIn) (code int16, err error) {
	now := time.Now().UnixMilli()
	record := kmsg.Record{}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // of a length that has one byte
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: batchMagic, FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: id, ProducerEpoch: epochLast, FirstSequence: 1 + rand.Int32N(math.MaxInt32-1), NumRecords: 1, Records: record.AppendTo(nil),
	}
	seal(&b)
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = produceNamesIDs, -1, 1000
	of, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	of.TopicID, p.Partition, p.Records = in.topic, in.partition, b.AppendTo(nil)
	of.Partitions = append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	resp, err := c.inside.ask(req)
	if err != nil {
		return 0, err
	}
	topics := resp.(*kmsg.ProduceResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return 0, errors.New("kfake does not answer for the partition that it was asked for")
	}
	return topics[0].Partitions[0].ErrorCode, nil
}

// exhausted has kfake go on from a producer's last epoch, by another id.
func (c *Cluster) exhausted(id int64) (int64, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	// Order: the shortest time, which is within every transaction.max.timeout.ms; else kfake would refuse
	// this, and the producer would be left with an epoch that is not its own.
	req.Version, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 4, 1, id, epochLast
	req.TransactionalID = kmsg.StringPtr("kring") // kfake wants one, and goes by the producer's id
	resp, err := c.inside.ask(req)
	if err != nil {
		return id, err
	}
	next := resp.(*kmsg.InitProducerIDResponse)
	if err := kerr.ErrorForCode(next.ErrorCode); err != nil {
		return id, err
	}
	if next.ProducerID == id || next.ProducerEpoch != 0 {
		return id, fmt.Errorf("kfake gives producer %d, epoch %d, in its place", next.ProducerID, next.ProducerEpoch)
	}
	return next.ProducerID, nil
}

// newestWindows are the windows of all producers, those in front that were written to last.
func (m *recovery) newestWindows() []windowKey {
	keys := slices.Collect(maps.Keys(m.windows))
	slices.SortFunc(keys, func(a, b windowKey) int {
		return cmp.Or(cmp.Compare(m.windows[b].wrote, m.windows[a].wrote), cmp.Compare(a.producer, b.producer))
	})
	return keys
}

// forgetProducers drops what the data directory has of producers beyond the room that there is for
// them, those that wrote longest ago.
func (m *recovery) forgetProducers() {
	used, has := int64(0), make(map[int64]bool)
	for _, key := range m.newestWindows() {
		if m.pids[key.producer].TxID != "" || m.windows[key].transactional {
			continue
		}
		need := int64(producerWindowBytes)
		if !has[key.producer] {
			need += producerBytes
		}
		if used+need > m.producersMax {
			delete(m.windows, key)
			m.pidsForgot = true
			continue
		}
		used, has[key.producer] = used+need, true
	}
	for id, known := range m.pids {
		if known.TxID != "" || has[id] {
			continue
		}
		if used+producerBytes > m.producersMax {
			delete(m.pids, id)
			m.pidsForgot = true
			continue
		}
		used += producerBytes
	}
}
