package embedded

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/queue"
	"kring/internal/slab"
	"kring/reqchan"
)

// request is a Request whose processor is the test.
type request struct {
	*reqchan.Job
	t    *testing.T
	home *reqchan.ResponseQueue
	came chan struct{}
}

func newRequest(t *testing.T, conn *reqchan.Conn, seq uint64, req kmsg.Request) *request {
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, int32(seq))
	r := &request{t: t, came: make(chan struct{}, 1)}
	wakeFlag := queue.NewWakeFlag(func() { r.came <- struct{}{} })
	wakeFlag.BeforeSleep()
	r.home = reqchan.NewResponseQueue(wakeFlag)
	r.Job = reqchan.NewJob(conn, frame)
	r.Seq = seq
	r.Begin(r.home, new(slab.Pool))
	return r
}

// await waits for the answer of a request whose HandleReturned was false.
func (r *request) await() (reqchan.AnswerKind, []byte) {
	r.t.Helper()
	select {
	case <-r.came:
	case <-time.After(deadline):
		r.t.Fatal("no answer")
	}
	if got := r.home.Take(); got != r.Job {
		r.t.Fatalf("request %p came home, want %p", got, r.Job)
	}
	kind, response, _ := r.Answer()
	return kind, response
}

// Several handlers bring the requests of a pipelined connection in any order,
// at the same time; the cluster sees them in the order of the connection.
func TestPipelinedRequestsAreHandledInTheirOrder(t *testing.T) {
	const n = 2000
	var o order
	var next uint64
	handle := func(r reqchan.Request) {
		if seq, ok := r.Seq(); seq != next || !ok {
			t.Errorf("request %d, want %d", seq, next)
		}
		next++
	}
	seqs := make(chan uint64, n)
	const window = 16 // the processor's PipelineMax
	for at := 0; at < n; at += window {
		for _, i := range rand.Perm(window) {
			seqs <- uint64(at + i)
		}
	}
	close(seqs)
	var handlers sync.WaitGroup
	for range 4 {
		handlers.Go(func() {
			for seq := range seqs {
				r := reqchan.NewJob(nil, nil)
				r.Seq = seq
				r.Begin(nil, nil)
				o.take(r.Request(), handle)
			}
		})
	}
	handlers.Wait()
	if next != n || len(o.early) != 0 {
		t.Errorf("%d of %d handled, %d still wait", next, n, len(o.early))
	}
}

func TestRequestThatWaitsForItsTurnIsAnsweredAtTheEnd(t *testing.T) {
	var o order
	conn := &reqchan.Conn{}
	r := newRequest(t, conn, 5, metadata(8))
	o.take(r.Request(), func(reqchan.Request) { t.Error("handled before its turn") })
	if r.HandleReturned() {
		t.Fatal("answered before its turn")
	}
	o.end()
	if kind, _ := r.await(); kind != reqchan.AnswerClose {
		t.Errorf("answer %v, want the connection closed", kind)
	}
	late := newRequest(t, conn, 0, metadata(8))
	o.take(late.Request(), func(reqchan.Request) { t.Error("handled after the end") })
	if !late.HandleReturned() {
		t.Error("a request after the end was not answered")
	}
}

// A session that ends at any moment answers every request exactly once
// (Respond and CloseConnection panic at a second answer).
func TestEveryRequestIsAnsweredOnceWhenItsConnectionEnds(t *testing.T) {
	c, err := Open(Config{Seed: []Topic{{"quiet", 1}}, PipelineMax: 8})
	if err != nil {
		t.Fatal(err)
	}
	c.Advertise("localhost", 9092)
	for round := range 200 {
		conn := &reqchan.Conn{ID: reqchan.ConnID{Index: uint64(round)}}
		c.ConnOpened(conn)
		var requests []*request
		for seq := range uint64(8) {
			requests = append(requests, newRequest(t, conn, seq, metadata(8, "quiet")))
		}
		var both sync.WaitGroup
		both.Go(func() {
			for _, r := range requests {
				c.Handle(r.Request())
			}
		})
		both.Go(func() {
			if round%2 == 0 {
				c.ConnClosed(conn, reqchan.PeerReset)
			}
		})
		both.Wait()
		for _, r := range requests {
			if !r.HandleReturned() {
				r.await()
			}
		}
		c.ConnClosed(conn, reqchan.PeerFinished)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A Fetch that waits in the cluster is given up when its client goes, and what
// the client sent behind it is still served.
//
// Kafka: SS-09, F-51.
func TestAFetchEndsWhenItsClientGoes(t *testing.T) {
	c, err := Open(Config{Seed: []Topic{{"quiet", 1}}, PipelineMax: 8})
	if err != nil {
		t.Fatal(err)
	}
	c.Advertise("localhost", 9092)
	conn := &reqchan.Conn{}
	c.ConnOpened(conn)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes = 11, int32(time.Hour/time.Millisecond), 1, 1<<20
	topic, partition := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, partition.PartitionMaxBytes = "quiet", 1<<20
	topic.Partitions = append(topic.Partitions, partition)
	fetch.Topics = append(fetch.Topics, topic)
	poll := newRequest(t, conn, 0, fetch)
	c.Handle(poll.Request())
	if poll.HandleReturned() {
		t.Fatal("the Fetch does not wait")
	}
	behind := newRequest(t, conn, 1, metadata(8, "quiet"))
	c.Handle(behind.Request())
	if behind.HandleReturned() {
		t.Fatal("the request behind the Fetch did not wait")
	}
	reqchan.ConnGone(conn, reqchan.PeerFinished)
	if kind, _ := poll.await(); kind != reqchan.AnswerNoResponse {
		t.Errorf("the Fetch was answered with %v", kind)
	}
	if kind, _ := behind.await(); kind != reqchan.AnswerSend {
		t.Errorf("the request behind it was answered with %v", kind)
	}
	c.ConnClosed(conn, reqchan.PeerFinished)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
