package replay

import (
	"cmp"
	"iter"
	"maps"
	"slices"

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
	used  uint64 // sessions.uses, when it was
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
	// fetchPartsMax bounds the partitions of all sessions, some 200 bytes each: those that nobody has gone
	// on with for longest are forgotten then, as brokers do.
	fetchPartsMax = 1 << 20
)

// sessions are the fetch sessions of a recording.
type sessions struct {
	byID  map[int32]*fetchSet
	of    map[reqchan.ConnID]*fetchSet // the one that a connection began last, and whose id is not known yet
	parts int                          // of all of them
	most  int                          // of parts
	uses  uint64
}

func newSessions() *sessions {
	return &sessions{byID: map[int32]*fetchSet{}, of: map[reqchan.ConnID]*fetchSet{}, most: fetchPartsMax}
}

// full makes q a Fetch without a session; "" or why it can't be.
func (s *sessions) full(conn reqchan.ConnID, q *kmsg.FetchRequest) string {
	const final, initial = -1, 0
	id, epoch := q.SessionID, q.SessionEpoch
	q.SessionID, q.SessionEpoch = 0, final
	if q.Version < 7 || epoch == final || epoch == initial {
		if q.Version >= 7 {
			s.forget(s.byID[id]) // it ends, or another takes its place
			delete(s.byID, id)
		}
		if q.Version >= 7 && epoch == initial && len(s.of) < fetchSetsMax {
			s.forget(s.of[conn])
			set := &fetchSet{at: map[place]int{}}
			s.of[conn] = set
			s.change(set, q)
		}
		q.ForgottenTopics = nil
		return ""
	}
	set := s.byID[id]
	if began := s.of[conn]; began != nil { // it has its id from the answer
		delete(s.of, conn)
		if _, is := s.byID[id]; is || len(s.byID) < fetchSetsMax {
			s.forget(s.byID[id])
			set, s.byID[id] = began, began
		} else {
			s.forget(began)
			set = nil
		}
	}
	if set == nil {
		return "it goes on with a fetch session that is not known: it was begun before the recording, or there are too many"
	}
	s.change(set, q)
	set.fill(q)
	return ""
}

// ended forgets what belongs to a connection.
func (s *sessions) ended(conn reqchan.ConnID) {
	s.forget(s.of[conn])
	delete(s.of, conn)
}

// forget no longer counts a session, if there is one. The caller takes it out.
func (s *sessions) forget(set *fetchSet) {
	if set != nil {
		s.parts -= len(set.parts)
	}
}

// change does what a request says, and makes room for it.
func (s *sessions) change(set *fetchSet, q *kmsg.FetchRequest) {
	s.uses++
	set.used = s.uses
	s.parts -= len(set.parts)
	set.change(q)
	s.parts += len(set.parts)
	if s.parts > s.most {
		s.makeRoom(set)
	}
}

// makeRoom forgets sessions until half of the room is free, those first that were not used for longest, and
// never kept. Half: to find them all have to be looked at.
func (s *sessions) makeRoom(kept *fetchSet) {
	var sets []*fetchSet
	for _, all := range []iter.Seq[*fetchSet]{maps.Values(s.byID), maps.Values(s.of)} {
		sets = slices.AppendSeq(sets, all)
	}
	slices.SortFunc(sets, func(a, b *fetchSet) int { return cmp.Compare(a.used, b.used) })
	gone := map[*fetchSet]bool{}
	for _, set := range sets {
		if s.parts <= s.most/2 {
			break
		}
		if set != kept {
			gone[set] = true
			s.forget(set)
		}
	}
	maps.DeleteFunc(s.byID, func(_ int32, set *fetchSet) bool { return gone[set] })
	maps.DeleteFunc(s.of, func(_ reqchan.ConnID, set *fetchSet) bool { return gone[set] })
}

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
