package kafka

import (
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestALongPollSaysHowLongItAskedToWait in every version, and nothing else does.
func TestALongPollSaysHowLongItAskedToWait(t *testing.T) {
	const ms = 12_345
	group := "a group"
	for _, c := range []struct {
		req  kmsg.Request
		from int16 // the version from which on the wait is in it
		want time.Duration
	}{
		{&kmsg.FetchRequest{ReplicaID: 7, MaxWaitMillis: ms, MinBytes: 9}, 0, ms * time.Millisecond},
		{&kmsg.JoinGroupRequest{Group: group, SessionTimeoutMillis: 5, RebalanceTimeoutMillis: ms}, 1, ms * time.Millisecond},
		{&kmsg.JoinGroupRequest{Group: group, SessionTimeoutMillis: ms, RebalanceTimeoutMillis: 5}, -1, ms * time.Millisecond},
		{&kmsg.SyncGroupRequest{Group: group}, 0, math.MaxInt64},
		{&kmsg.ShareFetchRequest{GroupID: &group, MemberID: &group, ShareSessionEpoch: 3, MaxWaitMillis: ms}, 0, ms * time.Millisecond},
		{&kmsg.ShareFetchRequest{MaxWaitMillis: ms}, 0, ms * time.Millisecond},
	} {
		for version := int16(0); version <= c.req.MaxVersion(); version++ {
			if c.from < 0 != (version == 0) && c.from != 0 { // -1: version 0 alone
				continue
			}
			c.req.SetVersion(version)
			h := Header{Key: c.req.Key(), Version: version}
			if got := longPoll(h, c.req.AppendTo(nil)); got != c.want {
				t.Errorf("%s version %d: %v, want %v", kmsg.NameForKey(h.Key), version, got, c.want)
			}
		}
	}
}
