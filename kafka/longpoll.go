package kafka

import (
	"math"
	"time"
)

const (
	keyJoinGroup  = 11
	keySyncGroup  = 14
	keyShareFetch = 78
	// fetchWaitFirst is the Fetch version from which on its maximal wait is its first field.
	fetchWaitFirst = 15
	// joinRebalanceFrom is the JoinGroup version that has a rebalance timeout.
	joinRebalanceFrom = 1
)

// excuseLongPoll says how long r asked to wait, if it is of an API that waits for what others
// do: then it is no slow request (kring.MeasureConfig.SlowRequest). Its body is valid.
func excuseLongPoll(r APIRequest) {
	switch r.Header.Key {
	case keyFetch, keyJoinGroup, keySyncGroup, keyShareFetch:
		r.Raw.AskedToWait(longPoll(r.Header, r.Body))
	}
}

// longPoll is how long a long poll asked to wait.
func longPoll(h Header, body []byte) time.Duration {
	b := reader{left: body}
	flexible := HeaderVersion(h.Key, h.Version) >= 2
	switch h.Key {
	case keyFetch:
		if h.Version < fetchWaitFirst {
			b.int32() // the replica
		}
	case keyJoinGroup: // it waits for the other members
		b.string(flexible)
		if h.Version >= joinRebalanceFrom {
			b.int32() // the session timeout
		}
	case keySyncGroup: // it waits for the leader, and says no time
		return math.MaxInt64
	case keyShareFetch:
		for range 2 { // the group, the member
			b.span(b.stringLen(flexible), true)
		}
		b.int32() // the epoch
	}
	return time.Duration(b.int32()) * time.Millisecond
}
