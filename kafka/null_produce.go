package kafka

import (
	"encoding/binary"

	"kring/reqchan"
)

// The versions at which the Produce request or response changed, after 3, the
// first that is served.
const (
	produceLogStart     = 5  // response: log start offset
	produceErrorRecords = 8  // response: what was wrong with which record
	produceTopicID      = 13 // both: topics by id
)

// producer walks one Produce request and writes the response at the same time. It is
// what benchmarks measure, so it is written by hand, without an allocation. Tests compare
// it with kmsg, byte for byte.
type producer struct {
	in       reader
	out      []byte
	version  int16
	flexible bool
	failure  int16 // the first error code that is one
}

func (n *Null) produce(r APIRequest) {
	p := producer{in: reader{left: r.Body}, out: r.Start(), version: r.Header.Version}
	p.flexible = p.version >= describe(keyProduce).flexible
	p.in.span(p.in.stringLen(p.flexible), true) // the transactional id
	acks := p.in.int16()
	p.in.int32() // the timeout: nothing takes time here
	topics := p.in.count(p.flexible, false, 1)
	p.length(topics)
	for range topics {
		p.topic(n)
	}
	p.out = append(p.out, 0, 0, 0, 0) // the throttle time
	p.endStruct()
	r.Raw.SetErrorCode(p.failure)
	switch {
	case p.in.fault != nil:
		r.CloseConnection(reqchan.BodyMalformed)
	case acks == 0:
		r.NoResponse()
	default:
		r.Raw.Respond(p.out)
	}
}

func (p *producer) topic(n *Null) {
	var topic *nullTopic
	unknown := int16(codeUnknownTopicOrPartition)
	if p.version >= produceTopicID {
		id := p.in.take(16)
		p.out = append(p.out, id...)
		if len(id) == 16 {
			topic = n.topics.table.Load().byID[[16]byte(id)]
		}
		if topic == nil {
			unknown = codeUnknownTopicID
		}
	} else {
		name := p.in.string(p.flexible)
		p.string(name)
		if topic = n.topics.table.Load().byName[string(name)]; topic == nil {
			topic = n.topics.ensure(n.topics.partitions, string(name)).byName[string(name)]
		}
	}
	partitions := p.in.count(p.flexible, false, 1)
	p.length(partitions)
	for range partitions {
		p.partition(topic, unknown)
	}
	p.endStruct()
}

func (p *producer) partition(t *nullTopic, unknown int16) {
	index := p.in.int32()
	records := p.in.span(p.in.wideLen(p.flexible), true)
	code, base := unknown, int64(-1)
	if p.in.fault == nil && t != nil && index >= 0 && int(index) < len(t.ends) {
		count := recordsIn(records)
		code, base = 0, t.ends[index].Add(count)-count
	}
	if p.failure == 0 {
		p.failure = code
	}
	b := binary.BigEndian.AppendUint32(p.out, uint32(index))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	b = binary.BigEndian.AppendUint64(b, uint64(base))
	b = binary.BigEndian.AppendUint64(b, 1<<64-1) // log append time -1: the producer's own time counts
	if p.version >= produceLogStart {
		b = binary.BigEndian.AppendUint64(b, uint64(base)) // what was before is gone
	}
	p.out = b
	if p.version >= produceErrorRecords {
		p.length(0)
		p.null()
	}
	p.endStruct()
}

// endStruct ends a struct in both directions.
func (p *producer) endStruct() {
	if !p.flexible {
		return
	}
	for range p.in.tagCount() {
		p.in.tag()
	}
	p.out = append(p.out, 0)
}

func (p *producer) length(n int) {
	if p.flexible {
		p.out = binary.AppendUvarint(p.out, uint64(n)+1)
	} else {
		p.out = binary.BigEndian.AppendUint32(p.out, uint32(n))
	}
}

func (p *producer) string(s []byte) {
	if p.flexible {
		p.out = binary.AppendUvarint(p.out, uint64(len(s))+1)
	} else {
		p.out = binary.BigEndian.AppendUint16(p.out, uint16(len(s)))
	}
	p.out = append(p.out, s...)
}

// null is a string that is not there.
func (p *producer) null() {
	if p.flexible {
		p.out = append(p.out, 0)
	} else {
		p.out = append(p.out, 0xff, 0xff)
	}
}

// Where a record batch of version 2 says how many records it has.
const (
	batchHeaderBytes = 61
	batchMagicAt     = 16
	batchLastDeltaAt = 23
	batchRecordsMax  = 1 << 24
)

// recordsIn is how many records a batch has by its header. Old or malformed batches count
// as one: only offsets depend on it.
func recordsIn(batch []byte) int64 {
	if len(batch) == 0 {
		return 0
	}
	if len(batch) < batchHeaderBytes || batch[batchMagicAt] != 2 {
		return 1
	}
	last := binary.BigEndian.Uint32(batch[batchLastDeltaAt:])
	if last >= batchRecordsMax {
		return 1
	}
	return int64(last) + 1
}
