package record

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
)

// metadataOf is a response to Metadata, and its request.
func metadataOf(topics ...string) (request, response []byte) {
	q := kmsg.NewPtrMetadataRequest()
	q.Version = 12
	told := kmsg.NewPtrMetadataResponse()
	told.Version = 12
	for i, name := range topics {
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.TopicID = kmsg.StringPtr(name), [16]byte{1, byte(i + 1)}
		topic.Partitions = make([]kmsg.MetadataResponseTopicPartition, 2)
		told.Topics = append(told.Topics, topic)
	}
	return frame(q, "me"), told.AppendTo(kafka.AppendResponseHeader(nil, 3, 12, 7))
}

// TestAServerThatLiesAboutCountsDoesNotKeepTheRecordingBusy: what a gateway records comes from its upstream.
func TestAServerThatLiesAboutCountsDoesNotKeepTheRecordingBusy(t *testing.T) {
	request, response := metadataOf("orders")
	lie := append(response[:len(response)-1], 0xff, 0xff, 0xff, 0xff, 0x0f) // tags at its end
	r, err := New(new(sink), Config{})
	if err != nil {
		t.Fatal(err)
	}
	ask(r.Handler(kring.HandlerFunc(func(q kring.Request) { q.Respond(lie) })), conn, request)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestTopicsThatHadNoRoomAreNotedWithTheNextAnswer: clients ask for the same again and again, and what was
// lost the first time is not known.
func TestTopicsThatHadNoRoomAreNotedWithTheNextAnswer(t *testing.T) {
	to := &held{begun: make(chan struct{}), free: make(chan struct{})}
	r, err := New(to, Config{})
	if err != nil {
		t.Fatal(err)
	}
	<-to.begun // the goroutine waits for the file
	request, response := metadataOf("orders")
	h := r.Handler(kring.HandlerFunc(func(q kring.Request) { q.Respond(response) }))
	for len(r.queue) < cap(r.queue) {
		r.entry(&Entry{Kind: Lost}, 0)
	}
	ask(h, conn, request)
	lost := r.Stats().Lost
	if lost == 0 {
		t.Fatal("there was room: nothing was tested")
	}
	close(to.free)
	for r.held.Load() > 0 { // until all is written
		runtime.Gosched()
	}
	ask(h, conn, request)
	stop(t, r)
	if got := byKind(entries(t, to.b.Bytes())); len(got.topics) != 1 {
		t.Errorf("%d topics, want orders; %d entries were lost", len(got.topics), lost)
	}
}

// held is a file that takes nothing until it is free.
type held struct {
	sink
	begun, free chan struct{}
}

func (h *held) Write(b []byte) (int, error) {
	select {
	case <-h.begun:
	default:
		close(h.begun)
	}
	<-h.free
	return h.sink.Write(b)
}
