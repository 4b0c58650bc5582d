package kafka

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kring/acl"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAFetchSessionGoesOnOnlyForWhoBeganItUnderTheRulesOfThen(t *testing.T) {
	c := guarded(t, rulesOf(t, "allow User:* read topic:good"), answers(func(r APIRequest) {
		req := decoded(t, r).(*kmsg.FetchRequest)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		if resp.SessionID = req.SessionID; req.SessionEpoch == 0 {
			resp.SessionID = 77
		}
		r.Respond(resp)
	}))
	fetch := func(id, epoch int32, topics ...string) *kmsg.FetchResponse {
		req := kmsg.NewPtrFetchRequest()
		req.SessionID, req.SessionEpoch, req.ReplicaID = id, epoch, -1
		for _, name := range topics {
			f := kmsg.NewFetchRequestTopic()
			f.Topic, f.TopicID, f.Partitions = name, idOf(name), []kmsg.FetchRequestTopicPartition{kmsg.NewFetchRequestTopicPartition()}
			req.Topics = append(req.Topics, f)
		}
		return ask[*kmsg.FetchResponse](c, req, 13)
	}
	for i, k := range []struct {
		before func()
		id     int32
		epoch  int32
		topics []string
		code   int16
		denied int
	}{
		{nil, 77, 1, nil, 70, 0}, // nobody began it
		{nil, 0, 0, []string{"good"}, 0, 0},
		{nil, 77, 1, nil, 0, 0},
		{nil, 77, 2, []string{"bad"}, 70, 0},
		{nil, 77, 2, []string{"good"}, 0, 0},
		{func() { c.conn.SetPrincipal("User:thief") }, 77, 3, nil, 70, 0},
		{func() { c.conn.SetPrincipal(reqchan.PrincipalAnonymous) }, 77, 3, nil, 0, 0},
		{func() { c.handler.(*Filter).Authorizer = rulesOf(t, "allow User:* read topic:good") }, 77, 4, nil, 70, 0},
		{nil, 0, 0, []string{"good", "bad", "unknown"}, 0, 2}, // without a session
	} {
		if k.before != nil {
			k.before()
		}
		resp := fetch(k.id, k.epoch, k.topics...)
		if resp.ErrorCode != k.code || len(resp.Topics) != k.denied {
			t.Errorf("step %d: error %d, %+v", i, resp.ErrorCode, resp.Topics)
		}
	}
}

func TestWhatAShareSessionIsDeniedIsSaidInEachResponse(t *testing.T) {
	var saw []string
	c := guarded(t, rulesOf(t, "allow User:* read topic:good, group:g"), answers(func(r APIRequest) {
		req := decoded(t, r).(*kmsg.ShareFetchRequest)
		saw = nil
		for i := range req.Topics {
			saw = append(saw, strings.Trim(string(req.Topics[i].TopicID[:]), "\x00"))
		}
		r.Respond(req.ResponseKind())
	}))
	fetch := func(epoch int32, forget string, topics ...string) *kmsg.ShareFetchResponse {
		req := kmsg.NewPtrShareFetchRequest()
		req.GroupID, req.MemberID, req.ShareSessionEpoch = kmsg.StringPtr("g"), kmsg.StringPtr("m"), epoch
		for _, name := range topics {
			req.Topics = append(req.Topics, kmsg.ShareFetchRequestTopic{TopicID: idOf(name), Partitions: []kmsg.ShareFetchRequestTopicPartition{{}}})
		}
		if forget != "" {
			req.ForgottenTopicsData = append(req.ForgottenTopicsData, kmsg.ShareFetchRequestForgottenTopicsData{TopicID: idOf(forget), Partitions: []int32{0}})
		}
		return ask[*kmsg.ShareFetchResponse](c, req, 1)
	}
	for i, k := range []struct {
		epoch  int32
		forget string
		topics []string
		code   int16
		denied int
	}{
		{1, "", nil, 122, 0},
		{0, "", []string{"good", "bad", "unknown"}, 0, 2},
		{1, "", nil, 0, 2},
		{2, "bad", nil, 0, 1},
		{-1, "", nil, 0, 0},
		{3, "", nil, 122, 0},
	} {
		resp := fetch(k.epoch, k.forget, k.topics...)
		if resp.ErrorCode != k.code || len(resp.Topics) != k.denied || slices.Contains(saw, "bad") {
			t.Errorf("step %d: error %d, %+v; the handler saw %q", i, resp.ErrorCode, resp.Topics, saw)
		}
	}
}

// TestASessionIsRememberedInTheSameMemoryHoweverLongItsNamesAre: what a client calls its
// group and itself is no part of what is kept, and no two of them are taken for one.
func TestASessionIsRememberedInTheSameMemoryHoweverLongItsNamesAre(t *testing.T) {
	for i, of := 0, reflect.TypeFor[sessionKey](); i < of.NumField(); i++ {
		f := of.Field(i)
		if k := f.Type.Kind(); k != reflect.Int32 && k != reflect.Array {
			t.Errorf("%s is a %s, which may keep what a client has sent", f.Name, f.Type)
		}
	}
	keys := map[sessionKey]bool{}
	for _, of := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"1", "1"}, {"", "11"}, {"11", ""}} {
		keys[shareSession(of[0], of[1])] = true
	}
	if len(keys) != 7 || !keys[shareSession("a", "bc")] {
		t.Errorf("%d keys of 7 sessions", len(keys))
	}
}

// TestAShareSessionMayForgetAsMuchAsItIsDenied: each partition is looked up, and not searched
// for among all that the request gives up.
func TestAShareSessionMayForgetAsMuchAsItIsDenied(t *testing.T) {
	const many = 50_000
	var s sessions
	key, req := shareSession("g", "m"), kmsg.NewPtrShareFetchRequest()
	s.begin(key, acl.Client{}, 1)
	var denied []deniedPartition
	var gone []int32
	for p := range int32(many) {
		denied = append(denied, deniedPartition{idOf("bad"), p, 29})
		if p > 0 {
			gone = append(gone, p)
		}
	}
	if now := s.deny(key, denied, forgottenBy(req)); len(now) != many {
		t.Fatalf("%d of %d are denied", len(now), many)
	}
	req.ForgottenTopicsData = []kmsg.ShareFetchRequestForgottenTopicsData{{TopicID: idOf("good"), Partitions: []int32{0}}, {TopicID: idOf("bad"), Partitions: gone}}
	if now := s.deny(key, nil, forgottenBy(req)); len(now) != 1 || now[0] != denied[0] || s.denied.Load() != 1 {
		t.Errorf("%d are left, and %d counted", len(now), s.denied.Load())
	}
}

// TestAnExpressionAssignsNoTopicThatMayNotBeDescribed: a member subscribes by one to topics
// that no request names, also in the heartbeats after it.
func TestAnExpressionAssignsNoTopicThatMayNotBeDescribed(t *testing.T) {
	c := guarded(t, rulesOf(t, "allow User:* read topic:good, group:g"), answers(func(r APIRequest) {
		resp := decoded(t, r).ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{Topics: []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{
			{TopicID: idOf("bad"), Partitions: []int32{0}}, {TopicID: idOf("good"), Partitions: []int32{0, 1}}, {TopicID: idOf("gone"), Partitions: []int32{0}}}}
		r.Respond(resp)
	}))
	for _, regex := range []*string{kmsg.StringPtr(".*"), nil} {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.SubscribedTopicRegex = "g", "m", regex
		resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, req, 1)
		if resp.Assignment == nil || len(resp.Assignment.Topics) != 1 || resp.Assignment.Topics[0].TopicID != idOf("good") {
			t.Errorf("assigned: %+v", resp.Assignment)
		}
	}
}

// TestAClientsSessionsMakeWayForItsOwn: one with more sessions than are remembered loses its
// oldest, and others keep theirs; when there are too many of all, the oldest of all goes.
func TestAClientsSessionsMakeWayForItsOwn(t *testing.T) {
	var s sessions
	client := func(n int) acl.Client { return acl.Client{Principal: fmt.Sprint("User:", n)} }
	good := sessionKey{fetch: -1}
	s.begin(good, client(-1), 1)
	for i := range int32(clientSessionsMax + 5) {
		s.begin(sessionKey{fetch: i}, client(0), 1)
	}
	if !s.holds(good, client(-1), 1) || s.holds(sessionKey{fetch: 4}, client(0), 1) || !s.holds(sessionKey{fetch: 5}, client(0), 1) || len(s.of) != clientSessionsMax+1 {
		t.Errorf("%d are remembered", len(s.of))
	}
	for i := range int32(sessionsMax) {
		s.begin(sessionKey{fetch: 100_000 + i}, client(int(i)+1), 1)
	}
	if s.holds(good, client(-1), 1) || !s.holds(sessionKey{fetch: 100_000}, client(1), 1) || len(s.of) != sessionsMax {
		t.Errorf("%d are remembered", len(s.of))
	}
	for key := range s.of {
		s.end(key)
	}
	if len(s.of) != 0 || len(s.by) != 0 || s.all.Len() != 0 || s.denied.Load() != 0 {
		t.Errorf("%d, %d and %d are left", len(s.of), len(s.by), s.all.Len())
	}
}

// TestDeniedPartitionsAreGoneThroughBesideOthers: what one session is denied does not keep
// others waiting, also while it ends.
func TestDeniedPartitionsAreGoneThroughBesideOthers(t *testing.T) {
	var s sessions
	key, other := shareSession("g", "m"), shareSession("g", "n")
	s.begin(key, acl.Client{}, 1)
	s.begin(other, acl.Client{}, 1)
	now := s.deny(key, []deniedPartition{{idOf("bad"), 0, 29}}, func(deniedPartition) bool {
		s.deny(other, []deniedPartition{{idOf("bad"), 1, 29}}, func(deniedPartition) bool { return false })
		return false
	})
	if len(now) != 1 || s.denied.Load() != 2 {
		t.Errorf("%d are denied, %d counted", len(now), s.denied.Load())
	}
	s.end(key)
	s.end(other)
	if s.denied.Load() != 0 {
		t.Errorf("%d are counted of no session", s.denied.Load())
	}
}
