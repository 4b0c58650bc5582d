package processor_test

import (
	"net"
	"sync/atomic"
	"testing"

	"kring/reqchan"
)

// A processor that comes back from a long request finds a burst of new
// connections and a request of a client that it has: the client must not wait
// for all of them (KIP-402).
//
// Kafka: SS-56, F-06, Q-5.
func TestABurstOfNewConnectionsDoesNotStarveThoseThatAreHere(t *testing.T) {
	const burst = 200
	var opened, before atomic.Int64
	busy, goOn := make(chan struct{}), make(chan struct{})
	s := newStage(t, stageConfig{inline: true, opened: func() { opened.Add(1) }, handle: func(r reqchan.Request) {
		if string(r.Payload()) == "long" {
			close(busy)
			<-goOn
		}
		if string(r.Payload()) == "short" {
			before.Store(opened.Load())
		}
		r.Respond(r.Payload())
	}})
	long, short := s.dial(), s.dial()
	say(t, short, "here", true)
	say(t, long, "long", false)
	<-busy
	say(t, short, "short", false)
	crowd := make([]net.Conn, burst)
	for i := range crowd {
		crowd[i] = s.dial()
	}
	eventually(t, "the crowd was accepted", func() bool { return s.admission.Open() == burst+2 })
	close(goOn)
	if _, err := readFrame(short); err != nil {
		t.Fatal(err)
	}
	if n := before.Load(); n > burst/2 {
		t.Errorf("%d of %d new connections came before the request of one that was here", n, burst)
	}
	eventually(t, "the crowd was adopted", func() bool { return opened.Load() == burst+2 })
	for _, c := range append(crowd, long, short) {
		_ = c.Close()
	}
	s.stop(deadline)
}

// say sends a payload, and reads its answer if it is asked to.
func say(t *testing.T, c net.Conn, payload string, answered bool) {
	t.Helper()
	if _, err := c.Write(append([]byte{0, 0, 0, byte(len(payload))}, payload...)); err != nil {
		t.Fatal(err)
	}
	if answered {
		if _, err := readFrame(c); err != nil {
			t.Fatal(err)
		}
	}
}
