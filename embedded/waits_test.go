package embedded

import (
	"fmt"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
)

// send puts a request on a connection, and does not wait for the answer.
func send(t *testing.T, conn net.Conn, req kmsg.Request) {
	t.Helper()
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
}

// waiting waits until so many polls wait for records, and none for room.
func (n *node) waiting(many int) {
	n.t.Helper()
	eventually(n.t, "all of them wait for records, and none for room", func() bool {
		st := n.server.Stats().Responses
		c := &n.cluster.answers.crowds
		c.mu.Lock()
		polls := make(map[*poll]struct{})
		for _, of := range c.of {
			for p := range of.polls {
				polls[p] = struct{}{}
			}
		}
		c.mu.Unlock()
		return len(polls) == many && st.Waiting == 0 && st.Used < mib
	})
}

// TestWhoWaitsForAnotherTopicStays when much is produced: it is not woken.
func TestWhoWaitsForAnotherTopicStays(t *testing.T) {
	onEngines(t, whoWaitsForAnotherTopicStays)
}

func whoWaitsForAnotherTopicStays(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	const many = 40
	for range many {
		opening, opened := fetchOf("quiet", 11), kmsg.NewPtrFetchResponse()
		opening.SessionEpoch, opening.MaxWaitMillis, opening.MinBytes = 0, 0, 0
		conn := dial(t, n.addr)
		if roundTripOf(t, conn, opening, opened); opened.SessionID == 0 {
			t.Fatal("no fetch session was made")
		}
		next := fetchOf("quiet", 11)
		next.Topics, next.SessionID, next.SessionEpoch = nil, opened.SessionID, 1 // goes on with the topics that were named
		send(t, conn, next)
	}
	n.waiting(many)
	n.fill(2, 900<<10)
	if got := n.dispersed(); got != 0 {
		t.Errorf("%d of them had to go", got)
	}
	n.waiting(many)
}

// Many small batches wake those who wait for many bytes, together: they are as much as one
// large batch.
func TestManySmallBatchesAreCountedForThoseWhoWait(t *testing.T) {
	onEngines(t, manySmallBatchesAreCountedForThoseWhoWait)
}

func manySmallBatchesAreCountedForThoseWhoWait(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	const many = 60
	for range many {
		req := fetchOf("full", 11)
		req.MinBytes = 300 << 10
		send(t, dial(t, n.addr), req)
	}
	n.waiting(many)
	n.fill(20, 8<<10) // 60 x 160 KiB x 4 is more than half of 16 MiB
	if got := n.dispersed(); got < many {
		t.Errorf("%d of %d had to go", got, many)
	}
}

// TestTheEndOfATransactionIsCountedForThoseWhoWait for committed records: it may bring
// them more than was produced since they came.
func TestTheEndOfATransactionIsCountedForThoseWhoWait(t *testing.T) {
	onEngines(t, theEndOfATransactionIsCountedForThoseWhoWait)
}

func theEndOfATransactionIsCountedForThoseWhoWait(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	cl := n.client(kgo.TransactionalID("id"), kgo.ProducerBatchMaxBytes(mib), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "full", Value: make([]byte, 900<<10)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	const many = 40
	for range many {
		req := fetchOf("full", 11)
		req.MinBytes, req.IsolationLevel = 1, readCommitted
		send(t, dial(t, n.addr), req)
	}
	n.waiting(many)
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := n.dispersed(); got < many {
		t.Errorf("%d of %d had to go", got, many)
	}
}

// TestMembersOfShareGroupsAreCountedAmongThoseWhoWait, and those that had to go begin anew.
func TestMembersOfShareGroupsAreCountedAmongThoseWhoWait(t *testing.T) {
	onEngines(t, membersOfShareGroupsAreCountedAmongThoseWhoWait)
}

func membersOfShareGroupsAreCountedAmongThoseWhoWait(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	const many = 10
	fetching := func(i int) *kmsg.ShareFetchRequest {
		req := shareFetching(n.cluster, "full", 0)
		req.Version, req.GroupID, req.MaxBytes, req.MaxRecords = 1, kmsg.StringPtr(fmt.Sprint("shared", i)), 100*mib, 500
		return req
	}
	answers := make(chan int16, many)
	for i := range many {
		conn := dial(t, n.addr)
		beat, joined := kmsg.NewPtrShareGroupHeartbeatRequest(), kmsg.NewPtrShareGroupHeartbeatResponse()
		beat.Version, beat.GroupID, beat.MemberID, beat.SubscribedTopicNames = 1, fmt.Sprint("shared", i), "member", []string{"full"}
		if roundTripOf(t, conn, beat, joined); joined.ErrorCode != 0 {
			t.Fatalf("ShareGroupHeartbeat: error %d", joined.ErrorCode)
		}
		req := fetching(i)
		req.MaxWaitMillis = 600_000
		go func() {
			resp := kmsg.NewPtrShareFetchResponse()
			roundTripOf(t, conn, req, resp)
			answers <- resp.ErrorCode
		}()
	}
	n.waiting(many)
	n.fill(1, 900<<10)
	if got := n.dispersed(); got < many {
		t.Errorf("%d of %d had to go", got, many)
	}
	for range many {
		if code := <-answers; code != kerr.ShareSessionNotFound.Code {
			t.Errorf("one was answered with error %d", code)
		}
	}
}

// TestPollsBeyondTheirBoundAreAnsweredWithWhatThereIs, and come again after a while.
func TestPollsBeyondTheirBoundAreAnsweredWithWhatThereIs(t *testing.T) {
	onEngines(t, pollsBeyondTheirBoundAreAnsweredWithWhatThereIs)
}

func pollsBeyondTheirBoundAreAnsweredWithWhatThereIs(t *testing.T, engine kring.Engine) {
	n := filledIn(t, engine, Config{WaitsMax: waitsMaxLeast}, 64<<10, 64<<10)
	const most, more = waitsMaxLeast - waitsMaxLeast/joinsPart, 20
	for range most {
		send(t, dial(t, n.addr), fetchOf("quiet", 11))
	}
	n.waiting(most)
	for range more {
		resp := kmsg.NewPtrFetchResponse()
		roundTripOf(t, dial(t, n.addr), fetchOf("quiet", 11), resp)
		if resp.ThrottleMillis != int32(mutedMax.Milliseconds()) {
			t.Errorf("a client is to wait for %d ms", resp.ThrottleMillis)
		}
		full := kmsg.NewPtrFetchResponse()
		roundTripOf(t, dial(t, n.addr), fetchOf("full", 11), full)
		if got := len(full.Topics[0].Partitions[0].RecordBatches); got < 64<<10 || full.ThrottleMillis != 0 {
			t.Errorf("%d bytes of records, and to wait for %d ms", got, full.ThrottleMillis)
		}
	}
	n.waiting(most)
}

// TestJoinsBeyondTheirBoundAreToComeAgain, and don't stand behind polls.
func TestJoinsBeyondTheirBoundAreToComeAgain(t *testing.T) {
	onEngines(t, joinsBeyondTheirBoundAreToComeAgain)
}

func joinsBeyondTheirBoundAreToComeAgain(t *testing.T, engine kring.Engine) {
	n := filledIn(t, engine, Config{WaitsMax: waitsMaxLeast}, 0, 1)
	join := func(i int) *kmsg.JoinGroupRequest {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.ProtocolType = 2, fmt.Sprint("group", i), "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 1_800_000, 1_800_000 // however long the others take
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		return req
	}
	const most = waitsMaxLeast / joinsPart
	for i := range most { // the second member of each group waits for the first
		first := kmsg.NewPtrJoinGroupResponse()
		if roundTripOf(t, dial(t, n.addr), join(i), first); first.ErrorCode != 0 {
			t.Fatalf("JoinGroup: error %d", first.ErrorCode)
		}
		send(t, dial(t, n.addr), join(i))
	}
	eventually(t, "all places are taken", func() bool { return n.cluster.joining.taken.Load() == most })
	resp := kmsg.NewPtrJoinGroupResponse()
	if roundTripOf(t, dial(t, n.addr), join(most), resp); resp.ErrorCode != kerr.CoordinatorLoadInProgress.Code {
		t.Errorf("answered with error %d", resp.ErrorCode)
	}
}

// TestRequestsInLineForATurnHaveNoGoroutine: clients have as many of them as they like.
func TestRequestsInLineForATurnHaveNoGoroutine(t *testing.T) {
	onEngines(t, requestsInLineForATurnHaveNoGoroutine)
}

func requestsInLineForATurnHaveNoGoroutine(t *testing.T, engine kring.Engine) {
	n := filledIn(t, engine, Config{WaitsMax: waitsMaxLeast}, 0, 1)
	back := n.turnsTaken()
	const many = 3 * runsLeast
	var conns []net.Conn
	for range many {
		conn := dial(t, n.addr)
		send(t, conn, metadata(4))
		conns = append(conns, conn)
	}
	runs := &n.cluster.runs
	eventually(t, "a few are answered, and the others stand in line", func() bool {
		runs.mu.Lock()
		defer runs.mu.Unlock()
		return runs.free[0] == 0 && len(runs.line[0]) == many-runsLeast
	})
	for _, conn := range conns[many/2:] {
		_ = conn.Close() // some leave
	}
	back()
	for _, conn := range conns[:many/2] {
		roundTripOf(t, conn, metadata(4), kmsg.NewPtrMetadataResponse())
	}
	eventually(t, "all places are free", func() bool {
		runs.mu.Lock()
		defer runs.mu.Unlock()
		return runs.free == [2]int{runsLeast, runsLeast} && n.sessionsRunning() == 0
	})
}
