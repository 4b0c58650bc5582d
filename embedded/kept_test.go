package embedded

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/servertest"
)

const keptInTests = 256 << 10

// asks sends a request and gives its answer.
func asks[Resp kmsg.Response](t *testing.T, conn net.Conn, req kmsg.Request) Resp {
	t.Helper()
	resp := req.ResponseKind()
	roundTripOf(t, conn, req, resp)
	return resp.(Resp)
}

func commitOf(group, topic string, partition int32, metadata string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 7, group, -1
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, 1, &metadata
	of := kmsg.NewOffsetCommitRequestTopic()
	of.Topic = topic
	of.Partitions = append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	return req
}

func leftOffset(t *testing.T, conn net.Conn, req *kmsg.OffsetCommitRequest) int16 {
	t.Helper()
	return asks[*kmsg.OffsetCommitResponse](t, conn, req).Topics[0].Partitions[0].ErrorCode
}

// widen has more partitions in "full" than offsets with metadata fit into keptInTests.
func widen(t *testing.T, conn net.Conn) {
	t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	of := kmsg.NewCreatePartitionsRequestTopic()
	of.Topic, of.Count = "full", keptInTests/4000+2
	req.Topics, req.TimeoutMillis = append(req.Topics, of), 60_000
	if code := asks[*kmsg.CreatePartitionsResponse](t, conn, req).Topics[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
}

func joinOf(version int16, group string, bytes int) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.ProtocolType = version, group, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 1_800_000, 1_800_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", make([]byte, bytes)
	req.Protocols = append(req.Protocols, p)
	return req
}

// leftBehind are requests that leave something behind: the i-th of each leaves something
// new, of so many bytes at least. It gives the error of the answer.
var leftBehind = map[string]struct {
	bytes int
	leave func(t *testing.T, conn net.Conn, i int) int16
}{
	"offsets with metadata": {4000, func(t *testing.T, conn net.Conn, i int) int16 {
		return leftOffset(t, conn, commitOf("g", "full", int32(i), strings.Repeat("m", 4000)))
	}},
	"groups": {1000, func(t *testing.T, conn net.Conn, i int) int16 {
		return leftOffset(t, conn, commitOf(fmt.Sprint("g", i), "full", 0, ""))
	}},
	"members": {20_000, func(t *testing.T, conn net.Conn, i int) int16 {
		return asks[*kmsg.JoinGroupResponse](t, conn, joinOf(3, fmt.Sprint("g", i), 20_000)).ErrorCode
	}},
	"members with a name of their own": {20_000, func(t *testing.T, conn net.Conn, i int) int16 {
		req := joinOf(5, fmt.Sprint("g", i), 20_000)
		req.InstanceID = kmsg.StringPtr("one")
		return asks[*kmsg.JoinGroupResponse](t, conn, req).ErrorCode
	}},
	"members that never come again": {1000, func(t *testing.T, conn net.Conn, i int) int16 {
		return unlessItIsGivenAnID(asks[*kmsg.JoinGroupResponse](t, conn, joinOf(5, "g", 20_000)).ErrorCode)
	}},
	"members of many protocols that never come again": {100_000, func(t *testing.T, conn net.Conn, i int) int16 {
		req := joinOf(5, fmt.Sprint("g", i), 0)
		for len(req.Protocols) < 100 {
			p := kmsg.NewJoinGroupRequestProtocol()
			p.Name = fmt.Sprint(len(req.Protocols), strings.Repeat("p", 1000))
			req.Protocols = append(req.Protocols, p)
		}
		return unlessItIsGivenAnID(asks[*kmsg.JoinGroupResponse](t, conn, req).ErrorCode)
	}},
	"members of clients with long names": {60_000, func(t *testing.T, conn net.Conn, i int) int16 {
		named := kmsg.NewRequestFormatter(kmsg.FormatterClientID(strings.Repeat("c", 30_000)))
		if _, err := conn.Write(named.AppendRequest(nil, joinOf(5, "g", 0), 1)); err != nil {
			t.Fatal(err)
		}
		resp := kmsg.NewPtrJoinGroupResponse()
		resp.Version = 5
		if err := resp.ReadFrom(readFrame(t, conn)[4:]); err != nil {
			t.Fatal(err)
		}
		return unlessItIsGivenAnID(resp.ErrorCode)
	}},
	"assignments": {32_000, func(t *testing.T, conn net.Conn, i int) int16 {
		join := asks[*kmsg.JoinGroupResponse](t, conn, joinOf(3, fmt.Sprint("g", i), 0))
		if join.ErrorCode != 0 {
			return join.ErrorCode
		}
		return asks[*kmsg.SyncGroupResponse](t, conn, syncOf(fmt.Sprint("g", i), join, 500)).ErrorCode
	}},
	"members of KIP-848": {20_000, func(t *testing.T, conn net.Conn, i int) int16 {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.RebalanceTimeoutMillis = "g", 60_000
		if i%2 == 0 {
			req.Version, req.MemberID = 1, fmt.Sprint("member", i)
		}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for j := range 500 {
			req.SubscribedTopicNames = append(req.SubscribedTopicNames, fmt.Sprint("topic", j))
		}
		return asks[*kmsg.ConsumerGroupHeartbeatResponse](t, conn, req).ErrorCode
	}},
	"members with a regular expression": {2000, func(t *testing.T, conn net.Conn, i int) int16 {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis = 1, "g", fmt.Sprint("member", i), 60_000
		req.SubscribedTopicRegex, req.Topics = kmsg.StringPtr("(a{1,30}){1,30}"), []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		return asks[*kmsg.ConsumerGroupHeartbeatResponse](t, conn, req).ErrorCode
	}},
	"transactional ids": {20_000, func(t *testing.T, conn net.Conn, i int) int16 {
		return asks[*kmsg.InitProducerIDResponse](t, conn, producerOf(fmt.Sprint(i, strings.Repeat("x", 20_000)))).ErrorCode
	}},
	"offsets of a transaction": {4000, func(t *testing.T, conn net.Conn, i int) int16 {
		if i == 0 {
			p := asks[*kmsg.InitProducerIDResponse](t, conn, producerOf("txn"))
			add := kmsg.NewPtrAddOffsetsToTxnRequest()
			add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = "txn", p.ProducerID, p.ProducerEpoch, "g"
			if code := asks[*kmsg.AddOffsetsToTxnResponse](t, conn, add).ErrorCode; code != 0 {
				t.Fatal(kerr.ErrorForCode(code))
			}
		}
		p := asks[*kmsg.DescribeTransactionsResponse](t, conn, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"txn"}}).TransactionStates[0]
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = "txn", "g", p.ProducerID, p.ProducerEpoch
		at := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		at.Partition, at.Metadata = int32(i), kmsg.StringPtr(strings.Repeat("m", 4000))
		of := kmsg.NewTxnOffsetCommitRequestTopic()
		of.Topic = "full"
		of.Partitions = append(of.Partitions, at)
		req.Topics = append(req.Topics, of)
		return asks[*kmsg.TxnOffsetCommitResponse](t, conn, req).Topics[0].Partitions[0].ErrorCode
	}},
	"groups of a transaction": {40_000, func(t *testing.T, conn net.Conn, i int) int16 {
		if i == 0 {
			asks[*kmsg.InitProducerIDResponse](t, conn, producerOf("txn"))
		}
		p := asks[*kmsg.DescribeTransactionsResponse](t, conn, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"txn"}}).TransactionStates[0]
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.ProducerID, add.ProducerEpoch = "txn", p.ProducerID, p.ProducerEpoch
		add.Group = fmt.Sprint(i, strings.Repeat("g", 20_000))
		return asks[*kmsg.AddOffsetsToTxnResponse](t, conn, add).ErrorCode
	}},
	"users": {500, func(t *testing.T, conn net.Conn, i int) int16 {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = fmt.Sprint("user", i), 1, 4096, make([]byte, 4000), make([]byte, 32)
		req.Upsertions = append(req.Upsertions, u)
		return asks[*kmsg.AlterUserSCRAMCredentialsResponse](t, conn, req).Results[0].ErrorCode
	}},
}

// unlessItIsGivenAnID is 0 for the answer to the first join of a member.
func unlessItIsGivenAnID(code int16) int16 {
	if code == kerr.MemberIDRequired.Code {
		return 0
	}
	return code
}

// syncOf assigns one byte to each of so many members, of which the group has none.
func syncOf(group string, as *kmsg.JoinGroupResponse, members int) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.Generation, req.MemberID = 2, group, as.Generation, as.MemberID
	for i := range members {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = fmt.Sprint("member", i), []byte{1}
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func producerOf(txn string) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 2, &txn, 60_000
	return req
}

// Whatever clients leave behind, it has a bound, and beyond it they are refused; who was
// there before goes on. The engines take turns: a server for each of each would be many.
func TestWhatClientsLeaveBehindHasABound(t *testing.T) {
	engines := servertest.Engines()
	for i, what := range slices.Sorted(maps.Keys(leftBehind)) {
		engine := engines[i%len(engines)]
		t.Run(what+"/"+string(engine), func(t *testing.T) {
			leftBehindHasABound(t, engine, leftBehind[what].bytes, leftBehind[what].leave)
		})
	}
}

func leftBehindHasABound(t *testing.T, engine kring.Engine, bytes int, leave func(*testing.T, net.Conn, int) int16) {
	n := filledIn(t, engine, Config{KeptBytesMax: keptInTests}, 0, 1)
	conn := dial(t, n.addr)
	widen(t, conn)
	const there = "was there before"
	if code := leftOffset(t, conn, commitOf(there, "full", 0, "")); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	for i := 0; ; i++ {
		if code := leave(t, conn, i); code != 0 {
			if want := []int16{kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.PolicyViolation.Code}; i == 0 || !slices.Contains(want, code) {
				t.Fatalf("number %d is refused: %v", i, kerr.ErrorForCode(code))
			}
			break
		}
		if i*bytes > keptInTests {
			t.Fatalf("%d of them are kept, of %d bytes each at least: more than %d bytes", i, bytes, keptInTests)
		}
	}
	if used := n.usedByKept(); used < keptInTests/2 || used > keptInTests {
		t.Errorf("they are refused where %d bytes of %d are used", used, keptInTests)
	}
	if names := n.namesKept(); names*32 > keptInTests {
		t.Errorf("%d names are known", names)
	}
	if code := leftOffset(t, conn, commitOf(there, "full", 0, "")); code != 0 {
		t.Errorf("a group that was there can't go on: %v", kerr.ErrorForCode(code))
	}
}

// Whoever finds no room while kfake is asked already is refused: a goroutine that waited for
// that would be missing where everybody else is answered.
func TestNobodyWaitsWhileSomebodyAsksWhatIsKept(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: keptInTests}, 0, 1)
	k := &n.cluster.kept
	k.asking.Lock()
	defer k.asking.Unlock()
	answered := make(chan bool)
	go func() { answered <- n.cluster.keeps([]left{{name: txnName("t"), bytes: keptInTests + 1}}, nil) }()
	select {
	case kept := <-answered:
		if kept {
			t.Error("more is kept than there is room for")
		}
	case <-time.After(deadline):
		t.Fatal("it waits")
	}
}

// A fetch of so many partitions that it can't wait has its client wait.
func TestALargeFetchWithoutRecordsHasItsClientWait(t *testing.T) {
	n := filledIn(t, "", Config{}, 0, 1)
	conn := dial(t, n.addr)
	req := fetchSessionOf(0, noSession, 0, heavyElements)
	req.MaxWaitMillis, req.MinBytes = 7, 1
	if resp := asks[*kmsg.FetchResponse](t, conn, req); resp.ThrottleMillis != 7 {
		t.Errorf("the client is to wait for %d ms, which it wanted to wait for 7 ms", resp.ThrottleMillis)
	}
	req.MinBytes = 0
	if resp := asks[*kmsg.FetchResponse](t, conn, req); resp.ThrottleMillis != 0 {
		t.Errorf("a client that did not want to wait is to wait for %d ms", resp.ThrottleMillis)
	}
}

// A group that is added to a transaction again is not kept again, and the next transaction
// has to add it anew.
func TestAGroupIsAddedToATransactionOnce(t *testing.T) {
	n := filledIn(t, "", Config{}, 0, 1)
	conn := dial(t, n.addr)
	p := asks[*kmsg.InitProducerIDResponse](t, conn, producerOf("txn"))
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = "txn", p.ProducerID, p.ProducerEpoch, "g"
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = "txn", "g", p.ProducerID, p.ProducerEpoch
	of := kmsg.NewTxnOffsetCommitRequestTopic()
	of.Topic, of.Partitions = "full", []kmsg.TxnOffsetCommitRequestTopicPartition{kmsg.NewTxnOffsetCommitRequestTopicPartition()}
	commit.Topics = append(commit.Topics, of)
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "txn", p.ProducerID, p.ProducerEpoch, true
	for range 2 {
		if n.cluster.transactions.hasGroup("txn", p.ProducerEpoch, "g") {
			t.Error("a transaction begins with the last one's group")
		}
		for range 3 {
			if code := asks[*kmsg.AddOffsetsToTxnResponse](t, conn, add).ErrorCode; code != 0 {
				t.Fatal(kerr.ErrorForCode(code))
			}
			if !n.cluster.transactions.hasGroup("txn", p.ProducerEpoch, "g") {
				t.Error("nobody knows that the group was added")
			}
		}
		if code := asks[*kmsg.TxnOffsetCommitResponse](t, conn, commit).Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		if code := asks[*kmsg.EndTxnResponse](t, conn, end).ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	add.ProducerEpoch++
	if code := asks[*kmsg.AddOffsetsToTxnResponse](t, conn, add).ErrorCode; code == 0 {
		t.Error("an epoch that nobody has adds a group")
	}
}

func (n *node) namesKept() int {
	k := &n.cluster.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.has)
}

func (n *node) usedByKept() int64 {
	k := &n.cluster.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.used
}

// What went makes room for others.
func TestWhatWentMakesRoomForWhatClientsLeaveBehind(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: keptInTests}, 0, 1)
	conn := dial(t, n.addr)
	widen(t, conn)
	long := strings.Repeat("m", 4000)
	last := int32(0)
	for ; leftOffset(t, conn, commitOf("g", "full", last, long)) == 0; last++ {
		if last > keptInTests/4000 {
			t.Fatal("there is no bound")
		}
	}
	if last < keptInTests/4000/2 {
		t.Fatalf("offset %d is refused", last)
	}
	if code := leftOffset(t, conn, commitOf("g", "full", last-1, long)); code != 0 {
		t.Errorf("an offset that was there can't go on: %v", kerr.ErrorForCode(code))
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g"}
	if code := asks[*kmsg.DeleteGroupsResponse](t, conn, del).Groups[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	eventually(t, "there is room again", func() bool { return leftOffset(t, conn, commitOf("h", "full", 0, long)) == 0 })
}

// A restart knows what is there.
func TestWhatClientsLeftBehindIsCountedAfterARestart(t *testing.T) {
	cfg := Config{KeptBytesMax: keptInTests, DataDir: t.TempDir()}
	n := filledIn(t, "", cfg, 0, 1)
	conn := dial(t, n.addr)
	for i := range int32(keptInTests / 2 / 4000) {
		if code := leftOffset(t, conn, commitOf(fmt.Sprint("g", i), "full", 0, strings.Repeat("m", 4000))); code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	n.close()
	again := filledIn(t, "", cfg, 0, 1)
	k := &again.cluster.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.used < keptInTests/3 {
		t.Errorf("%d bytes are known of %d", k.used, keptInTests/2)
	}
}

// A regular expression that would take megabytes is refused.
func TestALongRegularExpressionIsRefused(t *testing.T) {
	n := filledIn(t, "", Config{}, 0, 1)
	conn := dial(t, n.addr)
	for re, code := range map[string]int16{
		"orders.*": 0, "(a|b{2,5})+[a-z0-9]{1,20}": 0,
		strings.Repeat("(a{1000})", 3000): kerr.InvalidRegularExpression.Code,
		`((\pL{1,30}){1,30})`:             kerr.InvalidRegularExpression.Code,
		strings.Repeat("a", 30_000):       kerr.InvalidRegularExpression.Code,
	} {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis = 1, "g", fmt.Sprint("member", code, len(re)), 60_000
		req.SubscribedTopicRegex, req.Topics = &re, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if got := asks[*kmsg.ConsumerGroupHeartbeatResponse](t, conn, req).ErrorCode; got != code {
			t.Errorf("%.40q: %v, want %v", re, kerr.ErrorForCode(got), kerr.ErrorForCode(code))
		}
	}
}

// fetchSessionOf is a fetch of partitions from first on, in a session.
func fetchSessionOf(id, epoch, first, partitions int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionID, req.SessionEpoch, req.MaxBytes = 11, id, epoch, 1
	of := kmsg.NewFetchRequestTopic()
	of.Topic = "nobody has it"
	for i := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition = first + i
		of.Partitions = append(of.Partitions, p)
	}
	req.Topics = append(req.Topics, of)
	return req
}

func (n *node) sessionEntries() (sessions, entries int) {
	f := &n.cluster.fetchRoom
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.of), f.entries
}

// The partitions of all fetch sessions have a bound: beyond it a fetch has no session.
func TestFetchSessionsHaveABound(t *testing.T) {
	onEngines(t, func(t *testing.T, engine kring.Engine) {
		n := filledIn(t, engine, Config{KeptBytesMax: keptInTests}, 0, 1)
		conn, other := dial(t, n.addr), dial(t, n.addr)
		const each = sessionEntriesMin / 4
		for i := range int32(6) {
			resp := asks[*kmsg.FetchResponse](t, conn, fetchSessionOf(0, 0, i*each, each))
			if got := resp.SessionID != 0; resp.ErrorCode != 0 || got != (i < 4) {
				t.Errorf("fetch %d: session %d, %v", i, resp.SessionID, kerr.ErrorForCode(resp.ErrorCode))
			}
		}
		if _, entries := n.sessionEntries(); entries != sessionEntriesMin {
			t.Errorf("the sessions have %d partitions", entries)
		}
		// Those of a client that went are ended when others need room.
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		var one *kmsg.FetchResponse
		eventually(t, "there is room for others", func() bool {
			one = asks[*kmsg.FetchResponse](t, other, fetchSessionOf(0, 0, 0, 10))
			return one.SessionID != 0
		})
		// One that grows too large is ended. What it names again is no growth.
		epoch := int32(1)
		for range 3 {
			if resp := asks[*kmsg.FetchResponse](t, other, fetchSessionOf(one.SessionID, epoch, 0, 10)); resp.ErrorCode != 0 {
				t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
			}
			epoch++
		}
		for i := int32(1); ; i++ {
			resp := asks[*kmsg.FetchResponse](t, other, fetchSessionOf(one.SessionID, epoch, i*each, each))
			epoch++
			if resp.ErrorCode == kerr.FetchSessionIDNotFound.Code {
				break
			}
			if resp.ErrorCode != 0 || i > 5 {
				t.Fatalf("request %d: %v", i, kerr.ErrorForCode(resp.ErrorCode))
			}
		}
		if sessions, entries := n.sessionEntries(); sessions != 0 || entries != 0 {
			t.Errorf("%d sessions with %d partitions are left", sessions, entries)
		}
		if resp := asks[*kmsg.FetchResponse](t, other, fetchSessionOf(one.SessionID, epoch, 0, 0)); resp.ErrorCode != kerr.FetchSessionIDNotFound.Code {
			t.Errorf("kfake still has it: %v", kerr.ErrorForCode(resp.ErrorCode))
		}
	})
}

// Answers that may be as long as all that clients left behind are made one at a time, as
// long as nobody knows how long they are; so are those to requests of many elements. Others
// pass by.
func TestLongListsAreMadeOneAtATime(t *testing.T) {
	onEngines(t, func(t *testing.T, engine kring.Engine) {
		n := filledIn(t, engine, Config{}, 0, 1)
		a := &n.cluster.answers
		many := kmsg.NewPtrFindCoordinatorRequest()
		many.Version, many.CoordinatorKeys = 4, make([]string, heavyElements+1)
		for what, c := range map[string]struct {
			turns chan struct{}
			req   kmsg.Request
		}{
			"lists": {a.lists, kmsg.NewPtrListGroupsRequest()}, "offsets": {a.lists, &kmsg.OffsetFetchRequest{Version: 7, Group: "g"}},
			"many elements": {a.heavy, many}, "a large fetch": {a.heavy, fetchSessionOf(0, -1, 0, heavyElements)},
		} {
			c.turns <- struct{}{}
			waits := dial(t, n.addr)
			if _, err := waits.Write(kmsg.NewRequestFormatter().AppendRequest(nil, c.req, 1)); err != nil {
				t.Fatal(err)
			}
			eventually(t, what+": it waits", func() bool { return n.sessionsRunning() == 1 })
			others := dial(t, n.addr)
			for range 3 { // whose sessions end some time after their answers
				asks[*kmsg.MetadataResponse](t, others, metadata(9, "full"))
				eventually(t, what+": it waits for its turn", func() bool { return n.sessionsRunning() == 1 })
			}
			<-c.turns
			readFrame(t, waits)
			eventually(t, what+": nobody is left", func() bool { return n.sessionsRunning() == 0 })
		}
	})
}

// Ids that are not transactional leave nothing behind.
func TestIdempotentProducersLeaveNothingBehind(t *testing.T) {
	n := filledIn(t, "", Config{}, 0, 1)
	conn := dial(t, n.addr)
	seen := make(map[int64]bool)
	for range 10 {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version = 2
		resp := asks[*kmsg.InitProducerIDResponse](t, conn, req)
		if resp.ErrorCode != 0 || resp.ProducerID < 0 || resp.ProducerEpoch != 0 || seen[resp.ProducerID] {
			t.Errorf("id %d, epoch %d, %v", resp.ProducerID, resp.ProducerEpoch, kerr.ErrorForCode(resp.ErrorCode))
		}
		seen[resp.ProducerID] = true
	}
	n.produceOne("full", "by an idempotent producer")
}
