package kafka

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"kring/acl"
)

const (
	// sessionsMax is how many fetch and share sessions are remembered, ten times as many
	// as Apache Kafka keeps. With more, all of them begin anew.
	sessionsMax = 10_000
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
	of     map[sessionKey]*session // guarded by mu
	denied int                     // guarded by mu; of all sessions
}

// sessionKey has no memory of its own: clients choose the names of groups and members, and
// 10,000 long ones would be much.
type sessionKey struct {
	fetch int32
	share [sha256.Size]byte
}

// shareSession is the key of the share session of a member of a group.
func shareSession(group, member string) sessionKey {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%d %s%s", len(group), group, member) // a hash: can't fail
	return sessionKey{share: [sha256.Size]byte(sum.Sum(nil))}
}

// session is who began one, and under which rules.
type session struct {
	client  acl.Client
	version uint64
	denied  []deniedPartition
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
	if s.of == nil || len(s.of) >= sessionsMax {
		s.of, s.denied = make(map[sessionKey]*session), 0
	}
	s.of[key] = &session{client: c, version: version}
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
	if is := s.of[key]; is != nil {
		s.denied -= len(is.denied)
		delete(s.of, key)
	}
}

// deny notes partitions that a session is denied, forgets those that it has given up,
// and returns all that it is denied.
func (s *sessions) deny(key sessionKey, more []deniedPartition, gone func(deniedPartition) bool) []deniedPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.of[key]
	if is == nil {
		return more
	}
	var now []deniedPartition
	has := make(map[deniedPartition]bool, len(is.denied)+len(more))
	for _, p := range append(is.denied, more...) {
		if !has[p] && !gone(p) {
			has[p] = true
			now = append(now, p)
		}
	}
	s.denied -= len(is.denied)
	is.denied = now
	if s.denied+len(now) > deniedMax {
		is.denied = nil
	}
	s.denied += len(is.denied)
	return now
}
