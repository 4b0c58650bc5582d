package kafka

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"

	"kring/acl"
)

const (
	// sessionsMax is how many fetch and share sessions are remembered, ten times as many
	// as Apache Kafka keeps, and clientSessionsMax how many of one client. With more, the
	// oldest begins anew: of the client, or of all.
	sessionsMax       = 10_000
	clientSessionsMax = 1_000
	// deniedMax is how many partitions that share sessions are denied are remembered, over
	// all sessions. Those beyond it are denied once, and not again in each response.
	deniedMax = 100_000
)

// sessions are whose the sessions are that the handler has: fetch sessions by id, share
// sessions by group and member.
//
// Concurrency: any goroutine.
type sessions struct {
	mu     sync.Mutex
	of     map[sessionKey]*session   // guarded by mu
	all    list.List                 // guarded by mu; of sessionKey, the oldest first
	by     map[acl.Client]*list.List // guarded by mu; the same of each client
	denied atomic.Int64              // of all sessions
}

// sessionKey has no memory of its own: clients choose the names of groups and members, and
// 10,000 long ones would be much.
type sessionKey struct {
	broker int32 // whose it is: each numbers its own
	fetch  int32
	share  [sha256.Size]byte
}

// shareSession is the key of the share session of a member of a group.
func shareSession(group, member string) sessionKey {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%d %s%s", len(group), group, member) // a hash: can't fail
	return sessionKey{share: [sha256.Size]byte(sum.Sum(nil))}
}

// session is who began one, and under which rules.
type session struct {
	client   acl.Client
	version  uint64
	all, own *list.Element // in sessions.all and by

	// Order: mu is taken after sessions.mu, or without it: what is denied may be much, and
	// nobody else waits while it is gone through.
	mu     sync.Mutex
	denied []deniedPartition // guarded by mu
	over   bool              // guarded by mu; it is forgotten, and counts nothing
}

// deniedPartition is one that a share session asked for in vain.
type deniedPartition struct {
	id        [16]byte
	partition int32
	code      int16
}

// begin notes a session that c begins.
func (s *sessions) begin(key sessionKey, c acl.Client, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
	if s.of == nil {
		s.of, s.by = make(map[sessionKey]*session), make(map[acl.Client]*list.List)
	}
	if own := s.by[c]; own != nil && own.Len() >= clientSessionsMax {
		s.drop(own.Front().Value.(sessionKey))
	} else if len(s.of) >= sessionsMax {
		s.drop(s.all.Front().Value.(sessionKey))
	}
	own := s.by[c]
	if own == nil {
		own = list.New()
		s.by[c] = own
	}
	s.of[key] = &session{client: c, version: version, all: s.all.PushBack(key), own: own.PushBack(key)}
}

// holds reports whether c began a session under the rules of version.
func (s *sessions) holds(key sessionKey, c acl.Client, version uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.of[key]
	return is != nil && is.client == c && is.version == version
}

// end forgets a session.
func (s *sessions) end(key sessionKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
}

// drop: the caller holds mu.
func (s *sessions) drop(key sessionKey) {
	is := s.of[key]
	if is == nil {
		return
	}
	delete(s.of, key)
	s.all.Remove(is.all)
	own := s.by[is.client]
	if own.Remove(is.own); own.Len() == 0 {
		delete(s.by, is.client)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	s.denied.Add(-int64(len(is.denied)))
	is.denied, is.over = nil, true
}

// deny notes partitions that a session is denied, forgets those that it has given up,
// and returns all that it is denied.
func (s *sessions) deny(key sessionKey, more []deniedPartition, gone func(deniedPartition) bool) []deniedPartition {
	s.mu.Lock()
	is := s.of[key]
	s.mu.Unlock()
	if is == nil {
		return more
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	var now []deniedPartition
	has := make(map[deniedPartition]bool, len(is.denied)+len(more))
	for _, p := range append(is.denied, more...) {
		if !has[p] && !gone(p) {
			has[p] = true
			now = append(now, p)
		}
	}
	if is.over {
		return now
	}
	if added := int64(len(now) - len(is.denied)); s.denied.Add(added) > deniedMax {
		s.denied.Add(-int64(len(now)))
		is.denied = nil
	} else {
		is.denied = now
	}
	return now
}
