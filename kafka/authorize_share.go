package kafka

import (
	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// shareFetch shows the records of topics that may be read. As with fetch, a session goes
// on for who began it, under the rules of then. What a session is denied the handler
// never hears of, and every response of the session says again.
//
// The names of groups and members are the clients' own choice, so two clients may mean the same
// session. Whose it is the handler's answer says: a request that it refuses begins and ends
// nothing. And as answers may come in another order than the handler's, each is looked through for
// topics that the client may not read.
func shareFetch(s *screening) {
	req := s.req.(*kmsg.ShareFetchRequest)
	key := shareSession(text(req.GroupID), text(req.MemberID))
	key.broker, _ = s.broker()
	sessions, version, epoch := &s.filter.sessions, s.seen.Version(), req.ShareSessionEpoch
	if epoch > 0 && !sessions.holds(key, s.client, version) {
		resp := s.response().(*kmsg.ShareFetchResponse)
		resp.ErrorCode, s.answer = codeShareSessionNotFound, resp
		return
	}
	kept, refused := sift(s, req.Topics, sharedTopic, func(t *kmsg.ShareFetchRequestTopic, code int16) deniedTopic {
		return deniedTopic{t, code}
	})
	if len(refused) > 0 {
		if req.Topics, s.cut = kept, true; len(kept) == 0 {
			req.MaxWaitMillis = 0 // what is denied is said at once
		}
	}
	denied, forgotten, acks := partitionsOf(refused), forgottenBy(req), acknowledgedIn(refused)
	if epoch > 0 {
		denied = sessions.deny(key, denied, forgotten)
	}
	thenPerhaps(s, func(resp *kmsg.ShareFetchResponse) bool {
		changed := s.hideUnreadable(resp)
		if resp.ErrorCode != 0 {
			return changed
		}
		switch epoch {
		case fetchEpochFull:
			sessions.begin(key, s.client, version)
			denied = sessions.deny(key, denied, forgotten)
		case fetchEpochNone:
			sessions.end(key)
			denied = nil
		}
		more := unshareable(denied, acks)
		resp.Topics = append(resp.Topics, more...)
		return changed || len(more) > 0
	})
}

// hideUnreadable takes out of a response the topics that the client may not read: the handler's
// session may be another client's of the same name. Of one whose name is not known (it was deleted
// meanwhile) it takes the records. It reports whether it changed anything.
func (s *screening) hideUnreadable(resp *kmsg.ShareFetchResponse) (changed bool) {
	kept := resp.Topics[:0]
	for _, t := range resp.Topics {
		name := s.nameOf(t.TopicID)
		switch {
		case name == "":
			changed = withoutRecords(t.Partitions) || changed
		case !s.sees(acl.Read, acl.Topic, name):
			changed = true
			continue
		}
		kept = append(kept, t)
	}
	resp.Topics = kept
	return changed
}

// withoutRecords has partitions with records have none, for their topic is not known.
func withoutRecords(partitions []kmsg.ShareFetchResponseTopicPartition) (changed bool) {
	for i := range partitions {
		if p := &partitions[i]; len(p.Records)+len(p.AcquiredRecords) > 0 {
			p.Records, p.AcquiredRecords, changed = []byte{}, nil, true
			p.ErrorCode, p.ErrorMessage = codeUnknownTopicID, kmsg.StringPtr(errorText(codeUnknownTopicID))
		}
	}
	return changed
}

func sharedTopic(s *screening, t *kmsg.ShareFetchRequestTopic) int16 {
	return s.topicByID(acl.Read, t.TopicID)
}

// deniedTopic is a topic of a ShareFetch, and why it is denied.
type deniedTopic struct {
	*kmsg.ShareFetchRequestTopic
	code int16
}

func partitionsOf(topics []deniedTopic) (all []deniedPartition) {
	for _, t := range topics {
		for i := range t.Partitions {
			all = append(all, deniedPartition{t.TopicID, t.Partitions[i].Partition, t.code})
		}
	}
	return all
}

// acknowledgedIn are the denied partitions that a request acknowledges records of.
func acknowledgedIn(topics []deniedTopic) map[deniedPartition]bool {
	acks := map[deniedPartition]bool{}
	for _, t := range topics {
		for i := range t.Partitions {
			if p := &t.Partitions[i]; len(p.AcknowledgementBatches) > 0 {
				acks[deniedPartition{t.TopicID, p.Partition, t.code}] = true
			}
		}
	}
	return acks
}

// forgottenBy says which partitions a request gives up. It is asked for each that the session
// is denied, under the lock of all sessions: so it looks them up.
func forgottenBy(req *kmsg.ShareFetchRequest) func(deniedPartition) bool {
	gone := map[deniedPartition]bool{}
	for i := range req.ForgottenTopicsData {
		f := &req.ForgottenTopicsData[i]
		for _, partition := range f.Partitions {
			gone[deniedPartition{id: f.TopicID, partition: partition}] = true
		}
	}
	return func(p deniedPartition) bool { return gone[deniedPartition{id: p.id, partition: p.partition}] }
}

// unshareable answers for partitions that are denied, and for acknowledgements of others
// that are.
func unshareable(denied []deniedPartition, acks map[deniedPartition]bool) (topics []kmsg.ShareFetchResponseTopic) {
	at := map[[16]byte]int{}
	add := func(d deniedPartition, code int16) {
		i, has := at[d.id]
		if !has {
			i = len(topics)
			at[d.id], topics = i, append(topics, kmsg.NewShareFetchResponseTopic())
			topics[i].TopicID = d.id
		}
		p := kmsg.NewShareFetchResponseTopicPartition()
		p.Partition, p.ErrorCode, p.Records = d.partition, code, []byte{}
		if code != 0 {
			p.ErrorMessage = kmsg.StringPtr(errorText(code))
		}
		if acks[d] {
			p.AcknowledgeErrorCode, p.AcknowledgeErrorMessage = d.code, kmsg.StringPtr(errorText(d.code))
			delete(acks, d)
		}
		topics[i].Partitions = append(topics[i].Partitions, p)
	}
	for _, d := range denied {
		add(d, d.code)
	}
	for d := range acks { // of a session that ends
		add(d, 0)
	}
	return topics
}

var acknowledged = elements[*kmsg.ShareAcknowledgeRequest, *kmsg.ShareAcknowledgeResponse, kmsg.ShareAcknowledgeRequestTopic, kmsg.ShareAcknowledgeResponseTopic]{
	of: func(r *kmsg.ShareAcknowledgeRequest) *[]kmsg.ShareAcknowledgeRequestTopic { return &r.Topics },
	verdict: func(s *screening, t *kmsg.ShareAcknowledgeRequestTopic) int16 {
		return s.topicByID(acl.Read, t.TopicID)
	},
	in: func(r *kmsg.ShareAcknowledgeResponse) *[]kmsg.ShareAcknowledgeResponseTopic { return &r.Topics },
	denied: func(t *kmsg.ShareAcknowledgeRequestTopic, code int16) kmsg.ShareAcknowledgeResponseTopic {
		r := kmsg.NewShareAcknowledgeResponseTopic()
		r.TopicID = t.TopicID
		for i := range t.Partitions {
			p := kmsg.NewShareAcknowledgeResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = t.Partitions[i].Partition, code, kmsg.StringPtr(errorText(code))
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
	evenNone: true, // the session's epoch goes on with each request
}
