package embedded

import (
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/reqchan"
)

// parked is a request that waits in a cluster.
func parked(t *testing.T, c *Cluster, req kmsg.Request) (answer func() kmsg.Response) {
	t.Helper()
	conn := &reqchan.Conn{}
	c.ConnOpened(conn)
	t.Cleanup(func() { c.ConnClosed(conn, reqchan.PeerFinished) })
	r := newRequest(t, conn, 0, req)
	c.Handle(r.Request())
	if r.HandleReturned() {
		t.Fatalf("%T did not wait", req)
	}
	return func() kmsg.Response {
		t.Helper()
		kind, response := r.await()
		if kind != reqchan.AnswerSend {
			t.Fatalf("%T: answered with %v", req, kind)
		}
		resp := req.ResponseKind()
		body := response[reqchan.SizeBytes+correlationBytes:]
		if resp.IsFlexible() {
			body = body[1:]
		}
		if err := resp.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		return resp
	}
}

func fetching(topic string, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 11, 600_000, 1, 1<<20
	in := kmsg.NewFetchRequestTopic()
	in.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 1<<20, -1
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	return req
}

// What waits when the cluster is drained is answered as if its time were over.
func TestDrainAnswersWhatWaits(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"quiet", 1}}})
	if got := code(t, c, storing(t, "quiet", "only")); got != 0 {
		t.Fatalf("error %d", got)
	}
	whole := fetching("quiet", 1)
	whole.SessionID, whole.SessionEpoch = 0, -1
	fetched := parked(t, c, whole)

	// A member that does not come again keeps the next from joining.
	first := joining()
	first.SessionTimeoutMillis, first.RebalanceTimeoutMillis = 290_000, 290_000
	if got := code(t, c, first); got != 0 {
		t.Fatalf("error %d", got)
	}
	joined := parked(t, c, first)

	c.Drain()
	c.Drain()
	resp := fetched().(*kmsg.FetchResponse)
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || resp.Topics[0].Partitions[0].ErrorCode != 0 ||
		resp.Topics[0].Partitions[0].HighWatermark != 1 || len(resp.Topics[0].Partitions[0].RecordBatches) != 0 {
		t.Errorf("a fetch was answered with %+v", resp)
	}
	if got := joined().(*kmsg.JoinGroupResponse).ErrorCode; got != kerr.CoordinatorNotAvailable.Code {
		t.Errorf("a join was answered with error %d", got)
	}
	// Nothing waits from now on, and what there is, is still served.
	if resp := atOnce(t, c, fetching("quiet", 1)).(*kmsg.FetchResponse); resp.ErrorCode != 0 {
		t.Errorf("a later fetch: error %d", resp.ErrorCode)
	}
	whole = fetching("quiet", 0)
	whole.SessionEpoch = -1
	if resp := atOnce(t, c, whole).(*kmsg.FetchResponse); len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Error("a later fetch found no record")
	}
}

func atOnce(t *testing.T, c *Cluster, req kmsg.Request) kmsg.Response {
	t.Helper()
	_, resp := ask(t, c, req)
	return resp
}

// A fetch session's fetch is told that nothing has changed.
func TestDrainKeepsAFetchSession(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"quiet", 1}}})
	opening := fetching("quiet", 0)
	opening.SessionEpoch, opening.MaxWaitMillis = 0, 0
	_, resp := ask(t, c, opening)
	id := resp.(*kmsg.FetchResponse).SessionID
	if id == 0 {
		t.Fatal("no fetch session was made")
	}
	next := fetching("quiet", 0)
	next.SessionID, next.SessionEpoch, next.Topics = id, 1, nil
	answer := parked(t, c, next)
	c.Drain()
	if got := answer().(*kmsg.FetchResponse); got.SessionID != id || got.ErrorCode != 0 || len(got.Topics) != 0 {
		t.Errorf("answered with %+v", got)
	}
}

// A drain begins nothing that stands in a line: for memory, for a turn, or for a goroutine. What
// has begun is answered.
func TestADrainBeginsNothingThatStandsInALine(t *testing.T) {
	onEngines(t, aDrainBeginsNothingThatStandsInALine)
}

func aDrainBeginsNothingThatStandsInALine(t *testing.T, engine kring.Engine) {
	n := filledIn(t, engine, Config{WaitsMax: waitsMaxLeast}, 0, 1)
	waits := dial(t, n.addr)
	if _, err := waits.Write(longFetch("quiet")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has begun", func() bool { return n.cluster.polling.taken.Load() == 1 })
	back := n.turnsTaken()
	var conns []net.Conn
	send := func(req kmsg.Request) {
		conn := dial(t, n.addr)
		if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	heavy := metadata(4)
	for range heavyElements + 1 {
		heavy.Topics = append(heavy.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr("new")})
	}
	behind := fetchOf("full", 11)
	behind.MaxWaitMillis = 0
	for _, req := range []kmsg.Request{heavy, kmsg.NewPtrListGroupsRequest(), behind} {
		send(req)
	}
	for range 3 * runsLeast {
		send(metadata(4, "new"))
	}
	runs := &n.cluster.runs
	eventually(t, "all of them stand in a line", func() bool {
		runs.mu.Lock()
		defer runs.mu.Unlock()
		return runs.free[0] == 0 && len(runs.line[0]) > 2*runsLeast && n.sessionsRunning() == len(conns)+1
	})
	n.cluster.linesStay = 0
	n.cluster.Drain()
	readFrame(t, waits)
	for _, conn := range conns {
		if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
			t.Fatalf("%d bytes and %v, want the end of the connection", len(got), err)
		}
	}
	back()
	eventually(t, "all are counted", func() bool { return n.server.Stats().Total.Closed[reqchan.ServerDraining] == uint64(len(conns)) })
	if n.cluster.topicInfo("new") != nil {
		t.Error("one of them was served")
	}
}
