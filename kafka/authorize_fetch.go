package kafka

import (
	"encoding/binary"

	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	fetchSessionsFrom  = 7  // versions that have sessions
	fetchIDsFrom       = 13 // versions that name topics by id
	fetchEpochFull     = 0  // of a fetch that begins a session
	fetchEpochNone     = -1 // of one without a session
	fetchSessionAt     = 6  // in a response's body: throttle time 4, error 2
	fetchSessionIDNone = 0
)

// fetch shows the records of topics that may be read.
//
// A session fetches what earlier requests named. So it goes on only for the client
// that began it, and as long as the rules are those of then; else it is unknown, and
// the client begins anew, with the names of all. A fetch that is denied a part has no
// session: each names its partitions, and each is told what is denied.
func fetch(s *screening) {
	req := s.req.(*kmsg.FetchRequest)
	version := s.seen.Version()
	if req.ReplicaID >= 0 || req.ReplicaState.ID >= 0 {
		s.fetchOfBroker(req)
		return
	}
	broker, known := s.broker()
	if req.SessionEpoch > fetchEpochFull && s.header.Version >= fetchSessionsFrom &&
		(!known || !s.filter.sessions.holds(sessionKey{broker: broker, fetch: req.SessionID}, s.client, version)) {
		s.noSession()
		return
	}
	s.cut = !known && req.SessionEpoch == fetchEpochFull // nobody could say whose session it is
	incremental := req.SessionEpoch > fetchEpochFull
	each(fetchedTopics)(s)
	switch {
	case s.answer == nil && !s.cut:
		if req.SessionEpoch == fetchEpochFull && s.header.Version >= fetchSessionsFrom {
			s.learn = func(payload []byte) { s.learnSession(payload, broker, version) }
		}
	case incremental:
		s.noSession()
	default:
		req.SessionEpoch = fetchEpochNone
	}
}

// fetchOfBroker is for replicas: their followers may fetch everything, or nothing.
func (s *screening) fetchOfBroker(req *kmsg.FetchRequest) {
	if s.cluster(acl.ClusterAction) {
		return
	}
	resp := s.response().(*kmsg.FetchResponse)
	for i := range req.Topics {
		resp.Topics = append(resp.Topics, unread(&req.Topics[i], codeTopicAuthorization))
	}
	s.answer = resp
}

// noSession has the client begin a session anew.
func (s *screening) noSession() {
	resp := s.response().(*kmsg.FetchResponse)
	resp.ErrorCode, s.answer, s.cut, s.after = codeFetchSessionIDNotFound, resp, false, nil
}

// learnSession notes whose a session is that the handler began.
func (s *screening) learnSession(payload []byte, broker int32, version uint64) {
	header := len(AppendResponseHeader(nil, s.header.Key, s.header.Version, 0))
	if len(payload) < header+fetchSessionAt+4 {
		return
	}
	if id := int32(binary.BigEndian.Uint32(payload[header+fetchSessionAt:])); id != fetchSessionIDNone {
		s.filter.sessions.begin(sessionKey{broker: broker, fetch: id}, s.client, version)
	}
}

var fetchedTopics = elements[*kmsg.FetchRequest, *kmsg.FetchResponse, kmsg.FetchRequestTopic, kmsg.FetchResponseTopic]{
	of: func(r *kmsg.FetchRequest) *[]kmsg.FetchRequestTopic { return &r.Topics },
	verdict: topicFrom(fetchIDsFrom, acl.Read, func(t *kmsg.FetchRequestTopic) string { return t.Topic },
		func(t *kmsg.FetchRequestTopic) [16]byte { return t.TopicID }),
	in:     func(r *kmsg.FetchResponse) *[]kmsg.FetchResponseTopic { return &r.Topics },
	denied: unread,
}

func unread(t *kmsg.FetchRequestTopic, code int16) kmsg.FetchResponseTopic {
	r := kmsg.NewFetchResponseTopic()
	r.Topic, r.TopicID = t.Topic, t.TopicID
	for i := range t.Partitions {
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.ErrorCode, p.HighWatermark, p.RecordBatches = t.Partitions[i].Partition, code, -1, []byte{}
		r.Partitions = append(r.Partitions, p)
	}
	return r
}
