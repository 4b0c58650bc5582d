package replay

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// A Fetch of a session names only what has changed. The target does not have the session, so each
// is sent as what it has come to, whole and without a session.

// place is a partition, by the topic's name or, in newer requests, its id.
type place struct {
	topic     string
	id        [16]byte
	partition int32
}

// fetchSet is what a session has come to, in the order of the partitions.
type fetchSet struct {
	at    map[place]int
	parts []fetched
}

type fetched struct {
	place
	p    kmsg.FetchRequestTopicPartition
	gone bool
}

const (
	// fetchSetMax bounds the partitions of a session, fetchSetsMax the sessions.
	fetchSetMax  = 100_000
	fetchSetsMax = 100_000
)

// sessions are the fetch sessions of a recording.
type sessions struct {
	byID map[int32]*fetchSet
	of   map[reqchan.ConnID]*fetchSet // the one that a connection began last, and whose id is not known yet
}

func newSessions() *sessions {
	return &sessions{byID: map[int32]*fetchSet{}, of: map[reqchan.ConnID]*fetchSet{}}
}

// full makes q a Fetch without a session; "" or why it can't be.
func (s *sessions) full(conn reqchan.ConnID, q *kmsg.FetchRequest) string {
	const final, initial = -1, 0
	id, epoch := q.SessionID, q.SessionEpoch
	q.SessionID, q.SessionEpoch = 0, final
	if q.Version < 7 || epoch == final || epoch == initial {
		if q.Version >= 7 {
			delete(s.byID, id) // it ends, or another takes its place
		}
		if q.Version >= 7 && epoch == initial && len(s.of) < fetchSetsMax {
			set := &fetchSet{at: map[place]int{}}
			set.change(q)
			s.of[conn] = set
		}
		q.ForgottenTopics = nil
		return ""
	}
	set := s.byID[id]
	if began := s.of[conn]; began != nil { // it has its id from the answer
		set = began
		delete(s.of, conn)
		if len(s.byID) < fetchSetsMax {
			s.byID[id] = set
		}
	}
	if set == nil {
		return "it goes on with a fetch session that was begun before the recording"
	}
	set.change(q)
	set.fill(q)
	return ""
}

// ended forgets what belongs to a connection.
func (s *sessions) ended(conn reqchan.ConnID) { delete(s.of, conn) }

// change does what a request says.
func (f *fetchSet) change(q *kmsg.FetchRequest) {
	for _, t := range q.ForgottenTopics {
		for _, p := range t.Partitions {
			if i, is := f.at[place{t.Topic, t.TopicID, p}]; is {
				f.parts[i].gone = true
				delete(f.at, f.parts[i].place)
			}
		}
	}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			where := place{t.Topic, t.TopicID, p.Partition}
			if i, is := f.at[where]; is {
				f.parts[i].p = p
			} else if len(f.at) < fetchSetMax {
				f.at[where] = len(f.parts)
				f.parts = append(f.parts, fetched{where, p, false})
			}
		}
	}
	if len(f.parts) > 2*len(f.at)+16 {
		f.compact()
	}
}

func (f *fetchSet) compact() {
	kept := f.parts[:0]
	for _, p := range f.parts {
		if !p.gone {
			f.at[p.place] = len(kept)
			kept = append(kept, p)
		}
	}
	clear(f.parts[len(kept):])
	f.parts = kept
}

// fill has q ask for all of it.
func (f *fetchSet) fill(q *kmsg.FetchRequest) {
	q.ForgottenTopics, q.Topics = nil, nil
	for _, p := range f.parts {
		if p.gone {
			continue
		}
		if n := len(q.Topics); n == 0 || q.Topics[n-1].Topic != p.topic || q.Topics[n-1].TopicID != p.id {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = p.topic, p.id
			q.Topics = append(q.Topics, t)
		}
		t := &q.Topics[len(q.Topics)-1]
		t.Partitions = append(t.Partitions, p.p)
	}
}
