package replay

import (
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// TestAnAnswerThatIsThereCountsHoweverLateItIsLookedAt: a process that was stopped finds it in the socket, and
// the time for it has passed.
func TestAnAnswerThatIsThereCountsHoweverLateItIsLookedAt(t *testing.T) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	conn, err := net.Dial("tcp", in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	body := kafka.AppendResponseHeader(nil, int16(kmsg.ListGroups), 0, 1)
	body = kmsg.NewPtrListGroupsResponse().AppendTo(body)
	if _, err := peer.Write(append([]byte{0, 0, 0, byte(len(body))}, body...)); err != nil {
		t.Fatal(err)
	}
	l := &link{Conn: conn, waiting: make(chan waits, 2), broken: make(chan struct{}), idle: make(chan struct{}, 1), done: make(chan struct{})}
	stopped := time.Now().Add(-time.Hour)
	l.waiting <- waits{key: int16(kmsg.ListGroups), correlation: 1, due: stopped, sent: stopped}
	l.waiting <- waits{key: int16(kmsg.ListGroups), correlation: 2, due: stopped, sent: stopped} // of which there is no answer
	close(l.waiting)
	r := &run{cfg: &Config{Timeout: 10 * time.Millisecond}, report: newCounts(), target: &target{logs: map[part][2]int64{}}}
	l.receive(r)
	_ = conn.Close()
	a := r.report.apis[int16(kmsg.ListGroups)]
	if a.Answered != 1 || a.Unanswered[tooLate] != 1 {
		t.Errorf("%d answered, %v", a.Answered, a.Unanswered)
	}
}
