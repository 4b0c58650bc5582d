package embedded

import (
	"fmt"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/servertest"
)

const mib = 1 << 20

// filledWith is a node with little memory for responses and a topic of bytes, in batches.
func filledWith(t *testing.T, engine kring.Engine, bytes, batch int) *node {
	return filledIn(t, engine, Config{}, bytes, batch)
}

// filledIn is filledWith for a cluster with settings.
func filledIn(t *testing.T, engine kring.Engine, cfg Config, bytes, batch int) *node {
	sc := kring.Config{Engine: engine, Memory: kring.MemoryConfig{ResponseBytesMax: 16 * mib}}
	sc.Socket.SendBufferBytes = 64 << 10 // else the kernel takes most of what nobody reads
	cfg.Seed = []Topic{{"full", 1}, {"quiet", 1}}
	n := serveWith(t, cfg, sc)
	n.fill(bytes/batch, batch)
	return n
}

// onEngines runs a property on every engine.
func onEngines(t *testing.T, property func(t *testing.T, engine kring.Engine)) {
	for _, engine := range servertest.Engines() {
		t.Run(string(engine), func(t *testing.T) { property(t, engine) })
	}
}

// dispersed is how many polls had to go.
func (n *node) dispersed() int {
	c := &n.cluster.answers.crowds
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dispersed
}

// fill produces batches of one record each.
func (n *node) fill(batches, bytes int) {
	n.t.Helper()
	cl := n.client(kgo.ProducerBatchMaxBytes(int32(bytes)+1024), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range batches {
		if err := cl.ProduceSync(n.t.Context(), &kgo.Record{Topic: "full", Value: make([]byte, bytes)}).FirstErr(); err != nil {
			n.t.Fatal(err)
		}
	}
}

// fetchOf asks for all of a topic, and would wait for very much of it.
func fetchOf(topic string, version int16) *kmsg.FetchRequest {
	req := fetching(topic, 0)
	req.Version, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = version, 100*mib, 50*mib, 600_000
	req.Topics[0].Partitions[0].PartitionMaxBytes = 100 * mib
	return req
}

// answeredWith sends a Fetch and says how many bytes of records came back.
func answeredWith(t *testing.T, conn net.Conn, req *kmsg.FetchRequest) int {
	t.Helper()
	resp := kmsg.NewPtrFetchResponse()
	roundTripOf(t, conn, req, resp)
	return len(resp.Topics[0].Partitions[0].RecordBatches)
}

// A Fetch is answered with no more than there is room for, however much it asks for and
// is willing to wait for; one whose client is behind gets more than one that may have to
// wait.
func TestAFetchIsAnsweredWithNoMoreThanThereIsRoomFor(t *testing.T) {
	onEngines(t, aFetchIsAnsweredWithNoMoreThanThereIsRoomFor)
}

func aFetchIsAnsweredWithNoMoreThanThereIsRoomFor(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 8*mib, 64<<10)
	for _, version := range []int16{4, 11, 12} { // up to those that go by name
		conn := dial(t, n.addr)
		const room = 12 * mib / 16
		for range 3 {
			if got := answeredWith(t, conn, fetchOf("full", version)); got > room || got < room/2 {
				t.Errorf("v%d: %d bytes of records, there is room for %d", version, got, room)
			}
		}
	}
	eventually(t, "all of it is given back", func() bool { return n.server.Stats().Responses.Used < mib })
}

// The first batch comes whole, however little room there is (KIP-74).
func TestABatchThatIsLargerThanTheRoomComesWhole(t *testing.T) {
	onEngines(t, aBatchThatIsLargerThanTheRoomComesWhole)
}

func aBatchThatIsLargerThanTheRoomComesWhole(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 1800<<10, 900<<10)
	conn := dial(t, n.addr)
	for range 3 {
		if got := answeredWith(t, conn, fetchOf("full", 11)); got < 900<<10 || got > 1000<<10 {
			t.Errorf("%d bytes of records", got)
		}
	}
}

// A Fetch that waits for records holds nothing of what responses may take.
func TestAFetchThatWaitsHoldsNoRoom(t *testing.T) { onEngines(t, aFetchThatWaitsHoldsNoRoom) }

func aFetchThatWaitsHoldsNoRoom(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 2*mib, 64<<10)
	const many = 100
	for range many {
		if _, err := dial(t, n.addr).Write(longFetch("quiet")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all of them wait for records, and none for room", func() bool {
		st := n.server.Stats().Responses
		return n.sessionsRunning() == many && st.Waiting == 0 && st.Used < mib
	})
	if got := answeredWith(t, dial(t, n.addr), fetchOf("full", 11)); got == 0 {
		t.Error("nobody else is served")
	}
}

// What is produced is the answer to all who wait for it at once: they fetch it as there is
// room, and get it.
func TestFetchesThatWaitGoOneAfterTheOtherWhenMuchIsProduced(t *testing.T) {
	onEngines(t, fetchesThatWaitGoOneAfterTheOtherWhenMuchIsProduced)
}

func fetchesThatWaitGoOneAfterTheOtherWhenMuchIsProduced(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	const many = 40
	got := make(chan int, many)
	for i := range many {
		req := fetchOf("full", 11)
		req.SessionEpoch = []int32{-1, 0}[i%2] // none, or a new one
		req.MinBytes = 1
		conn := dial(t, n.addr)
		go func() {
			bytes := 0
			for bytes == 0 { // it may be told that nothing has come yet
				bytes = answeredWith(t, conn, req)
			}
			got <- bytes
		}()
	}
	eventually(t, "all of them wait for records, and none for room", func() bool {
		st := n.server.Stats().Responses
		return n.sessionsRunning() == many && st.Waiting == 0 && st.Used < mib
	})
	n.fill(1, 900<<10)
	for range many {
		if bytes := <-got; bytes < 900<<10 {
			t.Errorf("%d bytes of records", bytes)
		}
	}
	if n.dispersed() < many {
		t.Error("all of them were answered at once")
	}
}

// Who waits for room and is left by its client is not served: as many as wait would be
// too much at once.
func TestWhoLeavesTheLineForRoomIsNotServed(t *testing.T) {
	onEngines(t, whoLeavesTheLineForRoomIsNotServed)
}

func whoLeavesTheLineForRoomIsNotServed(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	back := n.turnsTaken()
	const many = 20
	var conns []net.Conn
	for range many {
		conn := dial(t, n.addr)
		if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, metadata(4, "new"), 1)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	eventually(t, "all of them wait", func() bool { return n.sessionsRunning() == many })
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, "all of them are gone", func() bool { return n.sessionsRunning() == 0 })
	back()
	if n.cluster.topicInfo("new") != nil {
		t.Error("one of them was served")
	}
}

// TestWhatAClientSendsBeforeItClosesIsServed also where it has to wait for its turn: who
// commits and closes has committed.
func TestWhatAClientSendsBeforeItClosesIsServed(t *testing.T) {
	onEngines(t, whatAClientSendsBeforeItClosesIsServed)
}

func whatAClientSendsBeforeItClosesIsServed(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	commit := func(group string) []byte {
		req, topic, partition := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
		req.Version, req.Group, req.Generation = 2, group, -1
		topic.Topic, partition.Offset = "full", 7
		topic.Partitions = append(topic.Partitions, partition)
		req.Topics = append(req.Topics, topic)
		return kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	}
	const many = 20
	for what, taken := range map[string]bool{"turns are free": false, "turns are taken": true} {
		back := func() {}
		if taken {
			back = n.turnsTaken()
		}
		for i := range many {
			conn := dial(t, n.addr)
			if _, err := conn.Write(commit(fmt.Sprint(what, i))); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		}
		if taken {
			eventually(t, "all of them wait", func() bool { return n.sessionsRunning() == many })
		}
		back()
		for i := range many {
			eventually(t, what+": a commit is there", func() bool {
				return answer[*kmsg.DescribeGroupsResponse](t, n.cluster, 0, &kmsg.DescribeGroupsRequest{Groups: []string{fmt.Sprint(what, i)}}).Groups[0].State != "Dead"
			})
		}
	}
}

// turnsTaken has nobody make an answer until it is given back.
func (n *node) turnsTaken() (back func()) {
	a := &n.cluster.answers
	all := []chan struct{}{a.making, a.unknown, a.lists, a.heavy}
	for _, turns := range all {
		for range cap(turns) {
			turns <- struct{}{}
		}
	}
	return func() {
		for _, turns := range all {
			for range cap(turns) {
				<-turns
			}
		}
	}
}

// A request of many elements takes much when it is decoded, however short it is.
func TestARequestOfManyElementsWaitsForRoom(t *testing.T) {
	onEngines(t, aRequestOfManyElementsWaitsForRoom)
}

func aRequestOfManyElementsWaitsForRoom(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	back := n.turnsTaken()
	const many = 10_000
	req, fetch := producing(nil, "full", nil), fetchOf("full", 12)
	req.Version, req.Topics, fetch.Topics = 9, make([]kmsg.ProduceRequestTopic, many), make([]kmsg.FetchRequestTopic, many)
	fetch.MaxWaitMillis = 0 // kfake waits for topics that it does not know
	for i, req := range []kmsg.Request{req, fetch} {
		conn := dial(t, n.addr)
		if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it holds what it will take", func() bool {
			return n.server.Stats().Responses.Used >= int64(i+1)*many*elementBytes
		})
	}
	back()
	eventually(t, "all of it is given back", func() bool {
		st := n.server.Stats().Responses
		return st.Used < mib && n.sessionsRunning() == 0
	})
}

// As long as nobody knows how large the answers of an API are, a few are made at once, and
// whoever waited goes by what is known then.
func TestAnswersOfUnknownSizeAreMadeAFewAtATime(t *testing.T) {
	onEngines(t, answersOfUnknownSizeAreMadeAFewAtATime)
}

func answersOfUnknownSizeAreMadeAFewAtATime(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 1)
	back := n.turnsTaken()
	const many = makingMax + 4
	for range many {
		if _, err := dial(t, n.addr).Write(kmsg.NewRequestFormatter().AppendRequest(nil, metadata(4), 1)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all of them wait for their turn", func() bool { return n.sessionsRunning() == many })
	n.cluster.answers.last[kmsg.Metadata][0].Store(mib)
	back()
	eventually(t, "they are answered, and waited for room", func() bool {
		st := n.server.Stats().Responses
		return n.sessionsRunning() == 0 && st.Waited > 0 && st.Used < mib
	})
}

// Clients that leave while they wait for room, or without reading, leave nothing behind.
func TestClientsThatLeaveWithoutReadingLeaveNothingBehind(t *testing.T) {
	onEngines(t, clientsThatLeaveWithoutReadingLeaveNothingBehind)
}

func clientsThatLeaveWithoutReadingLeaveNothingBehind(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 8*mib, 900<<10)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, fetchOf("full", 11), 1)
	var conns []net.Conn
	for range 40 {
		conn := dial(t, n.addr)
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	eventually(t, "somebody has to wait", func() bool { return n.server.Stats().Responses.Waited > 0 })
	if used, most := n.server.Stats().Responses.Used, int64(16*mib+makingMax*mib); used > most {
		t.Errorf("%d bytes of responses", used) // who was let in before it was known how large batches are goes on
	}
	roundTripOf(t, dial(t, n.addr), metadata(4, "full"), kmsg.NewPtrMetadataResponse())
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, "all of it is given back", func() bool {
		st := n.server.Stats().Responses
		return st.Used < mib && st.Waiting == 0 && n.sessionsRunning() == 0
	})
}

// A member of a share group gets no more records than there is room for, once their size
// is known; kfake counts records only.
func TestAShareFetchIsAnsweredWithNoMoreThanThereIsRoomFor(t *testing.T) {
	onEngines(t, aShareFetchIsAnsweredWithNoMoreThanThereIsRoomFor)
}

func aShareFetchIsAnsweredWithNoMoreThanThereIsRoomFor(t *testing.T, engine kring.Engine) {
	n := filledWith(t, engine, 0, 200<<10)
	conn := dial(t, n.addr)
	beat := kmsg.NewPtrShareGroupHeartbeatRequest()
	beat.Version, beat.GroupID, beat.MemberID, beat.SubscribedTopicNames = 1, "shared", "member", []string{"full"}
	joined := kmsg.NewPtrShareGroupHeartbeatResponse()
	if roundTripOf(t, conn, beat, joined); joined.ErrorCode != 0 {
		t.Fatalf("ShareGroupHeartbeat: error %d", joined.ErrorCode)
	}
	fetch := func(epoch int32) (bytes int) {
		req, resp := shareFetching(n.cluster, "full", 0), kmsg.NewPtrShareFetchResponse()
		req.Version, req.ShareSessionEpoch, req.MaxBytes, req.MaxRecords = 1, epoch, 100*mib, 500
		if roundTripOf(t, conn, req, resp); resp.ErrorCode != 0 {
			t.Fatalf("ShareFetch %d: error %d", epoch, resp.ErrorCode)
		}
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				bytes += len(p.Records)
			}
		}
		return bytes
	}
	fetch(0) // the group begins here
	n.fill(40, 200<<10)
	fetch(1)
	const room = 12 * mib / 16
	for epoch := range int32(3) {
		if got := fetch(epoch + 2); got == 0 || got > room {
			t.Errorf("%d bytes of records, there is room for %d", got, room)
		}
	}
}
