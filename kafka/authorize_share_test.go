package kafka

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sharers are clients of a Filter before a handler with the share sessions of a group, which are
// by member, and begin only without acknowledgements, as Apache Kafka's.
type sharers struct {
	*client
	t    *testing.T
	of   map[string][][16]byte // the topics of a member's session
	held func()                // runs before the answer
}

func newSharers(t *testing.T) *sharers {
	s := &sharers{t: t, of: map[string][][16]byte{}, held: func() {}}
	s.client = guarded(t, rulesOf(t, "allow User:* read group:g", "allow User:victim read topic:bad", "allow User:* read topic:good"), answers(s.serve))
	return s
}

func (s *sharers) serve(r APIRequest) {
	req := decoded(s.t, r).(*kmsg.ShareFetchRequest)
	resp, member := req.ResponseKind().(*kmsg.ShareFetchResponse), *req.MemberID
	if req.ShareSessionEpoch == 0 {
		var topics [][16]byte
		for i := range req.Topics {
			topics = append(topics, req.Topics[i].TopicID)
			for j := range req.Topics[i].Partitions {
				if len(req.Topics[i].Partitions[j].AcknowledgementBatches) > 0 {
					resp.ErrorCode = 42
					r.Respond(resp)
					return
				}
			}
		}
		s.of[member] = topics
	}
	held := s.held
	s.held = func() {}
	held()
	for _, id := range s.of[member] {
		resp.Topics = append(resp.Topics, kmsg.ShareFetchResponseTopic{TopicID: id, Partitions: []kmsg.ShareFetchResponseTopicPartition{{
			Records: []byte("records of " + strings.Trim(string(id[:]), "\x00")), AcquiredRecords: []kmsg.ShareFetchResponseTopicPartitionAcquiredRecord{{LastOffset: 1}}}}})
	}
	r.Respond(resp)
}

// fetch returns the error and the records that a user is answered with.
func (s *sharers) fetch(user string, epoch int32, acknowledges bool, topics ...string) (code int16, records string) {
	s.t.Helper()
	s.conn.SetPrincipal("User:" + user)
	req := kmsg.NewPtrShareFetchRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = kmsg.StringPtr("g"), kmsg.StringPtr("m"), epoch
	for _, name := range topics {
		p := kmsg.ShareFetchRequestTopicPartition{}
		if acknowledges {
			p.AcknowledgementBatches = []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{{LastOffset: 1, AcknowledgeTypes: []int8{1}}}
		}
		req.Topics = append(req.Topics, kmsg.ShareFetchRequestTopic{TopicID: idOf(name), Partitions: []kmsg.ShareFetchRequestTopicPartition{p}})
	}
	resp := ask[*kmsg.ShareFetchResponse](s.client, req, 1)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			records += string(p.Records)
		}
	}
	return resp.ErrorCode, records
}

// TestARefusedShareFetchTakesNobodysSession: one that the handler refuses begins no session, and
// the one of that name goes on for who has it.
func TestARefusedShareFetchTakesNobodysSession(t *testing.T) {
	s := newSharers(t)
	if code, got := s.fetch("victim", 0, false, "bad"); code != 0 || got != "records of bad" {
		t.Fatalf("error %d, %q", code, got)
	}
	if code, _ := s.fetch("thief", 0, true, "good"); code != 42 {
		t.Fatalf("a session begins with acknowledgements: error %d", code)
	}
	if code, got := s.fetch("thief", 1, false); code != codeShareSessionNotFound || got != "" {
		t.Errorf("the thief goes on with the session: error %d, %q", code, got)
	}
	if code, got := s.fetch("victim", 1, false); code != 0 || got != "records of bad" {
		t.Errorf("its owner does not go on: error %d, %q", code, got)
	}
	if code, _ := s.fetch("thief", -1, false); code != 0 {
		t.Fatalf("error %d", code)
	}
	if code, _ := s.fetch("victim", 2, false); code != codeShareSessionNotFound {
		t.Errorf("a session that has ended goes on: error %d", code)
	}
}

// TestAShareSessionShowsNoTopicThatTheClientMayNotRead: also where the handler has two clients'
// requests in another order than their answers.
func TestAShareSessionShowsNoTopicThatTheClientMayNotRead(t *testing.T) {
	s := newSharers(t)
	s.held = func() { s.of["m"] = [][16]byte{idOf("bad"), idOf("good"), idOf("deleted")} } // the victim's, begun meanwhile
	if code, got := s.fetch("thief", 0, false, "good"); code != 0 || got != "records of good" {
		t.Errorf("as it begins: error %d, %q", code, got)
	}
	if code, got := s.fetch("thief", 1, false); code != 0 || got != "records of good" {
		t.Errorf("as it goes on: error %d, %q", code, got)
	}
}
