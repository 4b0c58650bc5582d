package conn

import (
	"bytes"
	"strings"
	"testing"

	"kring/reqchan"
)

func TestARequestGoesToTheHandlersAndItsAnswerLeaves(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	defer l.end()
	l.wants("at first", "receive")
	f := testFrame("hello")
	l.receive(f[:3], true)
	l.receive(f[3:], true)
	if len(l.request) != 1 || string(l.request[0].Payload()) != "hello" {
		t.Fatalf("%d requests", len(l.request))
	}
	l.answer(echo)
	l.flush()
	l.wants("answered", "send 9")
	if !bytes.Equal(l.sending, f) {
		t.Fatalf("%q is sent", l.sending)
	}
	l.sent(4)
	l.wants("sent in part", "send 5")
	l.sent(5)
	l.wants("sent")
	if left := l.conn.Residue(); left != "" {
		t.Error("at rest it", left)
	}
}

func TestABigFrameIsReceivedWhereItWillLive(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	defer l.end()
	l.wants("at first", "receive")
	f := testFrame(strings.Repeat("x", 100_000))
	l.receive(f[:1000], true)
	l.wants("its size is known", "cancel")
	l.receiveEnds(-125)
	l.wants("nothing stands", "receive into 99004")
	at := &l.into[0]
	l.fill(f[1000:])
	if len(l.request) != 1 || !bytes.Equal(l.request[0].Frame, f) || &l.request[0].Frame[1000] != at {
		t.Fatalf("%d requests; the request does not lie where it was received", len(l.request))
	}
	l.wants("sizes come alone then", "receive into 4")
	l.answer(func(r reqchan.Request) { r.NoResponse() })
	l.wants("answered")
}

// Kafka: SS-52.
func TestAnIllegalStepOfTheMuteStateClosesItsConnectionOnly(t *testing.T) {
	for _, inFlight := range []bool{false, true} {
		l := newTestLoop(t, Settings{}, nil)
		if inFlight {
			l.receive(testFrame("slow"), true)
			l.conn.mute = muted // it can't be, with a request in flight
			l.answer(echo)
		} else {
			l.conn.mute = noState
			l.receive(testFrame("next"), true)
		}
		l.flush()
		l.wants("in flight or not", "receive", "shutdown")
		l.receiveEnds(0)
		l.wants("shut down", "close")
		if l.conn.Closed(); l.why != reqchan.MuteStateIllegal {
			t.Errorf("closed for %v", l.why)
		}
		l.end()
	}
}
