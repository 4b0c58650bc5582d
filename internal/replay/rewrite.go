package replay

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/record"
)

// item is a request as it is played, by one connection or several.
type item struct {
	due      time.Time
	key      int16
	version  int16
	node     int32 // the broker that it is for
	clientID *string
	body     []byte             // nil: fetch, which is encoded when it is sent
	fetch    *kmsg.FetchRequest // never changed
	asked    time.Duration      // what it asks to wait
	silent   bool               // no answer comes
	bytes    int64              // what it counts for while it is queued
}

const (
	// requestBytesMax bounds a request that is made up: Kafka's default socket.request.max.bytes.
	requestBytesMax = 100 << 20
	// askedMost is how much of what a request asks to wait is believed.
	askedMost = 5 * time.Minute
)

// fetchPartBytes is what a partition of a Fetch takes while it is queued: some times what it takes in a body.
var fetchPartBytes = int64(reflect.TypeFor[kmsg.FetchRequestTopicPartition]().Size())

// rewriter makes requests of the recording such that the target can answer.
type rewriter struct {
	of       *Summary
	target   *target
	sessions *sessions
	now      func() time.Time
}

// rewrite makes items of an entry, one for each broker that it is for, or says why it can't.
func (w *rewriter) rewrite(e *record.Entry) ([]*item, string) {
	if e.API < 0 {
		return nil, "it is no request that is known"
	}
	if how := Treatment(e.API); !how.Played {
		return nil, how.Text
	}
	if e.ClientID != nil && len(*e.ClientID) > math.MaxInt16 {
		return nil, "its client id is too long"
	}
	if _, is := w.target.versions[e.API]; !is {
		return nil, "the target does not serve it"
	}
	req, why := decode(e)
	if why == "" {
		why = w.adapt(req, e)
	}
	if why != "" {
		return nil, why
	}
	var all []*item
	for _, part := range w.target.split(req) {
		it, why := w.item(part.req, e)
		if why != "" {
			return nil, why
		}
		it.node = part.node
		all = append(all, it)
	}
	return all, ""
}

// item makes one of a request that is adapted.
func (w *rewriter) item(req kmsg.Request, e *record.Entry) (*item, string) {
	served := w.target.versions[e.API]
	it := &item{key: e.API, clientID: e.ClientID}
	w.waits(it, req)
	floor := max(served[0], versionFrom[e.API])
	v := min(max(e.APIVersion, floor), served[1], req.MaxVersion())
	if v < floor {
		return nil, fmt.Sprintf("the target serves versions %d to %d of it", served[0], served[1])
	}
	it.version = v
	q, body := w.encode(req, e.APIVersion, v)
	if body == nil {
		return nil, fmt.Sprintf("the target does not serve version %d of it, and version %d can't say the same", e.APIVersion, v)
	}
	if len(body) > requestBytesMax {
		return nil, fmt.Sprintf("it would have %d bytes; at most %d are played", len(body), requestBytesMax)
	}
	it.bytes = int64(len(body))
	if fetch, is := q.(*kmsg.FetchRequest); is {
		it.fetch = fetch
		for i := range fetch.Topics { // what is held is not the body
			it.bytes += int64(len(fetch.Topics[i].Partitions)) * fetchPartBytes
		}
	} else {
		it.body = body
	}
	return it, ""
}

// versionFrom is the first version that is played of an API. Earlier ones of Produce have no
// record batches, and of Metadata create topics.
var versionFrom = map[int16]int16{int16(kmsg.Produce): 3, int16(kmsg.Metadata): 4}

// encode encodes req, which was recorded in version from, in version to. The body is nil if that loses
// something.
func (w *rewriter) encode(req kmsg.Request, from, to int16) (kmsg.Request, []byte) {
	w.identify(req)
	req.SetVersion(to)
	body := req.AppendTo([]byte{})
	if from == to || req.Key() == int16(kmsg.ApiVersions) || req.Key() == int16(kmsg.Produce) {
		return req, body
	}
	req.SetVersion(from)
	whole := req.AppendTo(nil)
	back := kmsg.RequestForKey(req.Key())
	back.SetVersion(to)
	if back.ReadFrom(body) != nil {
		return req, nil
	}
	w.identify(back)
	back.SetVersion(from)
	if !bytes.Equal(back.AppendTo(nil), whole) {
		return req, nil
	}
	req.SetVersion(to)
	return req, body
}

// identify gives topics their names, and the ids that they have at the target.
func (w *rewriter) identify(req kmsg.Request) {
	one := func(name *string, id *[16]byte) {
		*name = w.target.nameOf(*name, *id)
		if is := w.target.topics[*name]; is != nil {
			*id = is.id
		}
	}
	switch q := req.(type) {
	case *kmsg.ProduceRequest:
		for i := range q.Topics {
			one(&q.Topics[i].Topic, &q.Topics[i].TopicID)
		}
	case *kmsg.FetchRequest:
		for i := range q.Topics {
			one(&q.Topics[i].Topic, &q.Topics[i].TopicID)
		}
	case *kmsg.OffsetFetchRequest:
		for i := range q.Groups {
			for k := range q.Groups[i].Topics {
				one(&q.Groups[i].Topics[k].Topic, &q.Groups[i].Topics[k].TopicID)
			}
		}
	}
}

const (
	noTopic     = "the target does not have its topic"
	noTopicName = "the recording does not have the name of its topic"
)

// name replaces the id that a topic has in the recording by its name.
func (w *rewriter) name(name *string, id *[16]byte, needed bool) string {
	if *name == "" && *id != [16]byte{} {
		*name = w.of.names[*id]
	}
	*id = [16]byte{}
	switch {
	case *name == "":
		return noTopicName
	case needed && w.target.topics[*name] == nil:
		return noTopic
	}
	return ""
}

// adapt takes out of a request what belongs to the recording's cluster; "" or why it can't be
// played.
func (w *rewriter) adapt(req kmsg.Request, e *record.Entry) string {
	switch q := req.(type) {
	case *kmsg.ProduceRequest:
		return w.adaptProduce(q, e.Form)
	case *kmsg.FetchRequest:
		return w.adaptFetch(q, e)
	case *kmsg.MetadataRequest:
		return w.adaptMetadata(q)
	case *kmsg.ListOffsetsRequest:
		for i := range q.Topics {
			if w.target.topics[q.Topics[i].Topic] == nil {
				return noTopic
			}
			for k := range q.Topics[i].Partitions {
				q.Topics[i].Partitions[k].CurrentLeaderEpoch = -1
			}
		}
	case *kmsg.OffsetForLeaderEpochRequest:
		for i := range q.Topics {
			for k := range q.Topics[i].Partitions {
				q.Topics[i].Partitions[k].CurrentLeaderEpoch = -1
			}
		}
	case *kmsg.OffsetFetchRequest:
		for i := range q.Groups {
			q.Groups[i].MemberID, q.Groups[i].MemberEpoch = nil, -1
			for k := range q.Groups[i].Topics {
				if why := w.name(&q.Groups[i].Topics[k].Topic, &q.Groups[i].Topics[k].TopicID, q.Version >= 10); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

func (w *rewriter) adaptMetadata(q *kmsg.MetadataRequest) string {
	q.AllowAutoTopicCreation = false
	if q.Version == 0 && len(q.Topics) == 0 {
		q.Topics = nil // which was all, and is no topic from version 1 on
	}
	for i := range q.Topics {
		name := ""
		if q.Topics[i].Topic != nil {
			name = *q.Topics[i].Topic
		}
		if why := w.name(&name, &q.Topics[i].TopicID, false); why != "" {
			return why
		}
		q.Topics[i].Topic = &name
	}
	return ""
}

func (w *rewriter) adaptFetch(q *kmsg.FetchRequest, e *record.Entry) string {
	if q.ReplicaID >= 0 || q.ReplicaState.ID >= 0 {
		return "a broker sends it, to replicate"
	}
	// A session is followed in any case: what comes later goes by it.
	if why := w.sessions.full(e.Conn, q); why != "" {
		return why
	}
	q.ClusterID = nil
	for i := range q.Topics {
		t := &q.Topics[i]
		if why := w.name(&t.Topic, &t.TopicID, true); why != "" {
			return why
		}
		for k := range t.Partitions {
			p := &t.Partitions[k]
			p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset, p.ReplicaDirectoryID = -1, -1, -1, [16]byte{}
		}
	}
	return ""
}

func (w *rewriter) adaptProduce(q *kmsg.ProduceRequest, form record.Form) string {
	q.TransactionID = nil
	left := requestBytesMax
	for i := range q.Topics {
		if why := w.name(&q.Topics[i].Topic, &q.Topics[i].TopicID, true); why != "" {
			return why
		}
		for k := range q.Topics[i].Partitions {
			p := &q.Topics[i].Partitions[k]
			if form != record.Cut {
				if why := disown(p.Records); why != "" {
					return why
				}
				continue
			}
			var made []byte
			batches := record.BatchesOfCut(p.Records)
			if len(batches) == 0 && p.Records != nil { // a recording leaves out what is no batch
				return newerFormat
			}
			for _, b := range batches {
				if left -= b.Bytes; left < 0 {
					return fmt.Sprintf("its records would have more than %d bytes", requestBytesMax)
				}
				made = appendBatch(made, b, w.now())
			}
			p.Records = made
		}
	}
	return ""
}

// waits notes what a request asks to wait, and whether an answer comes.
func (w *rewriter) waits(it *item, req kmsg.Request) {
	millis := int32(0)
	switch q := req.(type) {
	case *kmsg.FetchRequest:
		millis = q.MaxWaitMillis
	case *kmsg.ProduceRequest:
		it.silent = q.Acks == 0
		millis = q.TimeoutMillis
	}
	it.asked = min(time.Duration(max(millis, 0))*time.Millisecond, askedMost)
}

// encoded is the body of an item at the moment that it is sent.
func (t *target) encoded(it *item) []byte {
	if it.fetch == nil {
		return it.body
	}
	q := *it.fetch
	q.Topics = make([]kmsg.FetchRequestTopic, len(it.fetch.Topics))
	for i, topic := range it.fetch.Topics {
		topic.Partitions = append([]kmsg.FetchRequestTopicPartition(nil), topic.Partitions...)
		for k := range topic.Partitions {
			p := &topic.Partitions[k]
			p.FetchOffset = t.near(part{topic.Topic, p.Partition}, p.FetchOffset)
		}
		q.Topics[i] = topic
	}
	return q.AppendTo(nil)
}
