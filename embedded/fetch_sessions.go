package embedded

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake keeps a thousand fetch sessions (KIP-227), each with as many partitions as clients
// name, also those that no topic has, and goes through all of a session's for each of its
// fetches. So the partitions of all sessions have a bound here. Beyond it a fetch gets no
// session, as from an Apache Kafka whose cache is full, and one that would make its session
// larger is told that its session is gone.

const (
	// sessionEntryBytes is what a partition of a session takes, here and in kfake.
	sessionEntryBytes = 250
	// sessionEntriesMin is how many partitions all sessions may have at least.
	sessionEntriesMin = 10_000
	// sessionsKept is how many sessions kfake keeps.
	sessionsKept = 1000
	// sessionIdle is after how long a session may be given up that nobody uses
	// [min.incremental.fetch.session.eviction.ms].
	sessionIdle = 2 * time.Minute
	// sessionQuick is how many partitions the first fetch of a session may name that waits
	// for records: until it is answered nobody knows of the session, but kfake.
	sessionQuick = 64
)

// fetchRoom knows the partitions of all fetch sessions.
type fetchRoom struct {
	most int
	seed maphash.Seed

	mu      sync.Mutex
	entries int                    // guarded by mu; of all sessions
	of      map[int32]*keptSession // guarded by mu; by id
}

// keptSession is a fetch session as kfake keeps it. Guarded by fetchRoom.mu.
type keptSession struct {
	owner *session
	used  time.Time
	has   map[uint64]struct{} // partitions
}

func (f *fetchRoom) init(bytes int64) {
	f.most, f.seed = max(int(bytes/sessionEntryBytes), sessionEntriesMin), maphash.MakeSeed()
	f.of = make(map[int32]*keptSession)
}

// clear forgets all: kfake was run anew. With a data directory it still has the sessions of
// the last two minutes, which are not counted: one that names partitions is told to begin
// anew, the others end by themselves.
func (f *fetchRoom) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries, f.of = 0, make(map[int32]*keptSession)
}

// sessionPartition is one that a fetch names, by its topic's name or id.
type sessionPartition struct {
	topic     string
	id        [16]byte
	partition int32
}

// partitionsOf gives the partitions that a fetch names and forgets.
func (f *fetchRoom) partitionsOf(req *kmsg.FetchRequest) (named, forgotten []uint64) {
	hash := func(topic string, id [16]byte, partition int32) uint64 {
		if req.Version >= fetchNamesIDs {
			topic = ""
		}
		return maphash.Comparable(f.seed, sessionPartition{topic, id, partition})
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			named = append(named, hash(t.Topic, t.TopicID, t.Partitions[j].Partition))
		}
	}
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, p := range t.Partitions {
			forgotten = append(forgotten, hash(t.Topic, t.TopicID, p))
		}
	}
	return named, forgotten
}

// boundFetchSessions gives a fetch no session, or takes it away, where there is no room
// for it.
func boundFetchSessions(x *exchange, req *kmsg.FetchRequest) kmsg.Response {
	f := &x.cluster().fetchRoom
	switch {
	case req.Version < fetchSessions:
	case req.SessionEpoch == noSession:
		f.forget(req.SessionID)
	case req.SessionEpoch == 0:
		f.begin(x, req)
	case !f.goOn(x, req):
		// kfake ends the session, too.
		req.SessionEpoch, req.MaxWaitMillis, req.Topics, req.ForgottenTopics, x.changed = noSession, 0, nil, nil, true
		then(x, func(resp *kmsg.FetchResponse) {
			resp.ErrorCode, resp.SessionID, resp.Topics = kerr.FetchSessionIDNotFound.Code, 0, nil
		})
	}
	return nil
}

// begin lets a fetch begin a session if there is room.
func (f *fetchRoom) begin(x *exchange, req *kmsg.FetchRequest) {
	f.forget(req.SessionID)
	named, _ := f.partitionsOf(req)
	if !f.makeRoom(x.cluster(), len(named)) {
		req.SessionEpoch, x.changed = noSession, true
		return
	}
	if len(named) > sessionQuick && req.MaxWaitMillis > 0 {
		req.MaxWaitMillis, x.changed = 0, true
	}
	owner := x.session
	then(x, func(resp *kmsg.FetchResponse) {
		if resp.SessionID != 0 {
			f.add(owner, resp.SessionID, named)
		}
	})
}

func (f *fetchRoom) add(owner *session, id int32, named []uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.of) >= sessionsKept { // kfake has given up that one
		oldest := int32(0)
		for id, s := range f.of {
			if oldest == 0 || s.used.Before(f.of[oldest].used) {
				oldest = id
			}
		}
		f.drop(oldest)
	}
	s := &keptSession{owner: owner, used: time.Now(), has: make(map[uint64]struct{}, len(named))}
	for _, p := range named {
		s.has[p] = struct{}{}
	}
	f.drop(id)
	f.of[id] = s
	f.entries += len(s.has)
}

// goOn counts what a fetch adds to its session, and takes away; false: there is no room.
func (f *fetchRoom) goOn(x *exchange, req *kmsg.FetchRequest) bool {
	named, forgotten := f.partitionsOf(req)
	f.mu.Lock()
	s := f.of[req.SessionID]
	if s == nil {
		f.mu.Unlock()
		return len(named) == 0 // else it grows, and nobody knows how large it is
	}
	s.used, s.owner = time.Now(), x.session
	had := len(s.has)
	for _, p := range forgotten {
		delete(s.has, p)
	}
	for _, p := range named {
		s.has[p] = struct{}{}
	}
	more := len(s.has) - had
	f.entries += more
	fits := more <= 0 || f.entries <= f.most
	f.mu.Unlock()
	if fits || f.makeRoom(x.cluster(), 0) {
		return true
	}
	f.forget(req.SessionID)
	return false
}

// forget is told that a session has ended.
func (f *fetchRoom) forget(id int32) {
	if id == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(id)
}

// drop is forget; mu is held.
func (f *fetchRoom) drop(id int32) {
	if s := f.of[id]; s != nil {
		f.entries -= len(s.has)
		delete(f.of, id)
	}
}

// makeRoom reports whether there is room for n partitions more, once sessions are ended
// that nobody uses any more.
func (f *fetchRoom) makeRoom(c *Cluster, n int) bool {
	f.mu.Lock()
	if f.entries+n <= f.most {
		f.mu.Unlock()
		return true
	}
	var ended []int32
	for id, s := range f.of {
		if s.owner.isOver() || time.Since(s.used) > sessionIdle {
			ended = append(ended, id)
			f.drop(id)
		}
	}
	fits := f.entries+n <= f.most
	f.mu.Unlock()
	for _, id := range ended {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.SessionID, req.SessionEpoch = fetchSessions, id, noSession
		if _, err := c.inside.ask(req); err != nil {
			break // kfake ends, and its sessions with it
		}
	}
	return fits
}

func (s *session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
