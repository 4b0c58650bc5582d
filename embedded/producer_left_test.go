package embedded

import (
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaves has a client go that sent a Produce, while kfake has it and has not answered it.
func (n *node) leaves(t *testing.T, req *kmsg.ProduceRequest) {
	t.Helper()
	reached, release := make(chan struct{}), make(chan struct{})
	released := sync.OnceFunc(func() { close(release) })
	t.Cleanup(released)
	once := false // kfake asks one at a time
	n.cluster.kfake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if !once {
			once = true
			close(reached)
			<-release
		}
		return nil, nil, false // kfake answers
	})
	open := func() int {
		n.cluster.sessions.Lock()
		defer n.cluster.sessions.Unlock()
		return len(n.cluster.sessions.open)
	}
	before := open()
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	<-reached
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // a reset, which is seen at once
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client has gone", func() bool { return open() <= before })
	released()
	eventually(t, "its request is over", func() bool { return n.sessionsRunning() == 0 })
}

// Producers whose clients left before they were answered are known as the others are, so that they
// are forgotten and make room.
func TestProducersWhoseClientsLeftAreForgotten(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests}, 0, 1)
	mustCreate(t, n.cluster, "another")
	step, conn := n.stepClock(), dial(t, n.addr)
	left := 0
	for ; n.cluster.producers.left() >= producerBytes+producerWindowBytes; left++ {
		id, epoch := newProducer(t, conn)
		req := producing(nil, "full", batchOf(id, epoch, 0, false))
		req.Version = 9
		n.leaves(t, req)
	}
	eventually(t, "all of their batches are stored", func() bool { return n.cluster.partitionInfo("full", 0).HighWatermark == int64(left) })
	step(producerIdle)
	for i := range left / 2 {
		id, epoch := newProducer(t, conn)
		if code, _ := idempotent(t, conn, "another", id, epoch, 0); code != 0 {
			t.Fatalf("new producer %d finds no room after %d whose clients left: %v", i, left, kerr.ErrorForCode(code))
		}
	}
	if end := n.cluster.partitionInfo("full", 0).HighWatermark; end != int64(left) {
		t.Errorf("%d batches are stored, which nobody sent", end-int64(left))
	}
}

// What kfake was not shown because the client left holds no room; what it was shown does.
func TestWhatALeavingClientsRequestDidNotReachHoldsNoRoom(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests}, 0, 1)
	mustCreate(t, n.cluster, "another")
	id := func(topic string) [16]byte { return n.cluster.topicInfo(topic).TopicID }
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = produceNamesIDs, -1, 1000
	req.Topics = append(req.Topics, batchFor("", id("full"), batchOf(7, 0, 0, false)), batchFor("", id("another"), batchOf(7, 0, 0, false)))
	n.leaves(t, req)
	stored := make(map[string]bool)
	for _, topic := range []string{"full", "another"} {
		known, has, _ := n.cluster.producers.wrote(7, 0, topic, 0)
		if stored[topic] = n.cluster.partitionInfo(topic, 0).HighWatermark > 0; known != stored[topic] || has != stored[topic] {
			t.Errorf("%s: stored %v, known %v, known to be stored %v", topic, stored[topic], known, has)
		}
	}
	if !stored["full"] || stored["another"] {
		t.Errorf("kfake was shown %v", stored)
	}
	if used := n.producersUsed(); used != producerBytes+producerWindowBytes {
		t.Errorf("%d bytes are used", used)
	}
}
