package contract

import (
	"context"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// Shutdown closes the listening sockets and every client's, whether it was idle,
// in the middle of a frame or had never sent anything.
//
// Kafka: SS-18, F-72.
func TestShutdownClosesEverySocket(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "OTHER", Address: "127.0.0.1:0"})
		s := servertest.Start(t, cfg, servertest.Echo)
		var clients []*servertest.Client
		for _, a := range s.Addrs() {
			silent, idle, halfway := servertest.DialTo(t, a.String()), servertest.DialTo(t, a.String()), servertest.DialTo(t, a.String())
			idle.Ask("hello", "hello")
			if _, err := halfway.Write([]byte{0, 0, 1, 0, 'x'}); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, silent, idle, halfway)
		}
		addrs := s.Addrs()
		servertest.Shutdown(t, s)
		for _, c := range clients {
			c.AwaitClose()
		}
		for _, a := range addrs {
			if !refused(a.String()) {
				t.Errorf("%s is still open", a)
			}
		}
	})
}

// hurried is a context that leaves no time by its word, and all of it in fact: peers have the
// least patience, and a slow machine has all that the test has.
type hurried struct{ context.Context }

func (hurried) Deadline() (time.Time, bool) { return time.Now(), true }

// TestShutdownDoesNotWaitForPeersThatDoNotRead: not for all of its time; and who has an answer
// that it reads later gets that.
//
// Kafka: SS-18.
func TestShutdownDoesNotWaitForPeersThatDoNotRead(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		t.Parallel() // it takes more than a second
		const many = 5
		cfg.Socket.SendBufferBytes = 64 << 10
		taken, large := make(chan struct{}), makes(4*mib)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "mine" {
				close(taken)
			}
			large.Handle(r)
		}))
		served := servertest.Dial(t, s)
		unread(t, s, many)
		served.Send("mine")
		<-taken
		ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
		defer cancel()
		if err := s.Shutdown(hurried{ctx}); err != nil {
			t.Errorf("it waited for them: %v", err)
		}
		if got := served.Receive(); got != "mine" {
			t.Errorf("answer %q", got)
		}
		if n := closedBy(s, reqchan.ServerDraining); n != many+1 {
			t.Errorf("%d connections closed by draining", n)
		}
	})
}

// TestShutdownBeginsNothingThatWaitsForRoom: each of those who wait would be answered only when
// somebody else was closed for not reading.
func TestShutdownBeginsNothingThatWaitsForRoom(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		t.Parallel() // it takes four seconds
		const many = 60
		s := servertest.Start(t, shortOfMemory(cfg), makes(mib))
		unread(t, s, many)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("it waited for them: %v", err)
		}
		if n := closedBy(s, reqchan.ServerDraining) + closedBy(s, reqchan.WriteTimeout); n != many { // the latter while others wait
			t.Errorf("closed: %v", s.Stats().ClosedBy())
		}
	})
}
