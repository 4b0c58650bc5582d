package contract

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// holding is a handler that keeps every request for the test to answer.
func holding(held chan<- kring.Request) kring.Handler {
	return kring.HandlerFunc(func(r kring.Request) { held <- r })
}

// Whatever was whole when the peer finished is answered, one after the other;
// what was not whole delays nothing.
//
// Kafka: SS-41, SS-42, SS-43, SS-44, SS-46, SS-47, SE-21, SE-23, SE-24.
func TestWholeRequestsOfAFinishedPeerAreAnsweredAndTheRestIsDropped(t *testing.T) {
	for _, whole := range []int{0, 1, 3} {
		for _, rest := range []string{"", "\x00\x00", "\x00\x00\x00\x09half"} {
			t.Run(fmt.Sprintf("%d whole and %d bytes", whole, len(rest)), func(t *testing.T) {
				servertest.Each(t, func(t *testing.T, cfg kring.Config) {
					held := make(chan kring.Request, whole+1)
					s := servertest.Start(t, cfg, holding(held))
					c := servertest.Dial(t, s)
					for i := range whole {
						c.Send(fmt.Sprint(i))
					}
					if _, err := io.WriteString(c, rest); err != nil {
						t.Fatal(err)
					}
					if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
						t.Fatal(err)
					}
					for i := range whole {
						r := <-held // only now the next is cut: one is in flight at a time
						r.Respond(r.Payload())
						if got := c.Receive(); got != fmt.Sprint(i) {
							t.Errorf("answer %q, want %d", got, i)
						}
					}
					c.AwaitClose()
				})
			})
		}
	}
}

// A peer that resets with a hundred requests outstanding costs its connection;
// an answer that comes too late goes nowhere, and its neighbour notices
// nothing.
//
// Kafka: SS-31, SS-37, SS-38, SS-39, SS-40, SS-45, SS-48, SE-03.
func TestAResetEndsItsConnectionAloneHoweverLateTheAnswers(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.PipelineMax = 4
		held := make(chan kring.Request, 8)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "neighbour" {
				r.Respond(r.Payload())
				return
			}
			held <- r
		}))
		neighbour := servertest.Dial(t, s)
		neighbour.Ask("neighbour", "neighbour")
		c := servertest.Dial(t, s)
		for i := range 100 {
			c.Send(fmt.Sprint(i))
		}
		late := []kring.Request{<-held, <-held, <-held, <-held}
		first := slices.IndexFunc(late, func(r kring.Request) bool { return string(r.Payload()) == "0" }) // handlers hold them in any order
		late[0], late[first] = late[first], late[0]
		late[0].Respond([]byte("in time"))
		if got := c.Receive(); got != "in time" {
			t.Errorf("answer %q", got)
		}
		c.Reset()
		large := []byte(strings.Repeat("x", 1<<20))
		for _, r := range late[1:] {
			r.Respond(large)
		}
		servertest.Eventually(t, "the connection is gone", func() bool {
			select {
			case r := <-held: // cut before the reset was seen
				r.Respond(large)
			default:
			}
			return s.Stats().Open == 1
		})
		neighbour.Ask("neighbour", "neighbour")
	})
}

// A peer that closed is gone with what was kept for it, and may come again.
//
// Kafka: SE-01.
func TestAClientThatLeftMayComeAgain(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		for range 3 {
			c := servertest.Dial(t, s)
			c.Ask("hello", "hello")
			_ = c.Close()
			servertest.Eventually(t, "the connection is gone", func() bool { return s.Stats().Open == 0 })
		}
	})
}

// Connections that begin and end before anybody looked are opened and closed
// once each.
//
// Kafka: SE-26.
func TestConnectionsThatEndAtOnceAreOpenedAndClosedOnceEach(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		const clients = 50
		for i := range clients {
			c := servertest.Dial(t, s)
			if i%2 == 0 {
				c.Reset()
			} else {
				_ = c.Close()
			}
		}
		last := servertest.Dial(t, s)
		last.Ask("here", "here")
		servertest.Eventually(t, "all but the last are gone", func() bool { return s.Stats().Open == 1 })
		_ = last.Close()
		servertest.Eventually(t, "every one was closed once", func() bool {
			total := s.Stats().Total
			var closed uint64
			for _, n := range total.Closed {
				closed += n
			}
			return s.Stats().Open == 0 && closed == total.Opened && closed > 0 && closed <= clients+1
		})
	})
}

// Shutting down ends every connection, whatever it was doing, and the
// listening socket.
//
// Kafka: SS-18, SE-14, SE-18, SE-33.
func TestShutdownEndsEveryConnectionWhateverItDoes(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		at := s.Addrs()[0].String()
		var clients []*servertest.Client
		for i := range 12 {
			c := servertest.Dial(t, s)
			switch i % 4 {
			case 0:
				c.Ask("asked", "asked")
			case 1:
				if _, err := io.WriteString(c, "\x00\x00\x00\x09half"); err != nil {
					t.Fatal(err)
				}
			case 2:
				go keepSending(c.Conn)
				go func() { _, _ = io.Copy(io.Discard, c) }() // who reads nothing is waited for
			} // the others were perhaps never looked at
			clients = append(clients, c)
		}
		servertest.Shutdown(t, s)
		for _, c := range clients {
			if _, err := io.Copy(io.Discard, c); err != nil && !ended(err) {
				t.Errorf("a connection did not end: %v", err)
			}
		}
		if c, err := net.Dial("tcp", at); err == nil {
			_ = c.Close()
			t.Error("somebody still listens")
		}
	})
}

// keepSending sends until the connection ends.
func keepSending(c net.Conn) {
	frame := servertest.Frame(make([]byte, 4096))
	for {
		if _, err := c.Write(frame); err != nil {
			return
		}
	}
}

// ended says that an error means that the connection is over, and not that
// nothing came in time.
func ended(err error) bool {
	timeout, is := err.(net.Error)
	return !is || !timeout.Timeout()
}

// A handler that fails without an answer closes its connection and no other;
// one that answers twice is found out, and sends one answer.
//
// Kafka: Q-12, SE-02, KafkaChannelTest.
func TestAHandlerThatFailsCostsItsOwnConnection(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			switch string(r.Payload()) {
			case "fail":
				panic("as asked")
			case "twice":
				r.Respond([]byte("once"))
				r.Respond([]byte("once"))
			default:
				r.Respond(r.Payload())
			}
		}))
		neighbour, failing, twice := servertest.Dial(t, s), servertest.Dial(t, s), servertest.Dial(t, s)
		neighbour.Ask("a", "a")
		failing.Send("fail")
		failing.AwaitClose()
		servertest.Eventually(t, "the panic is counted", func() bool {
			return s.Stats().Total.Closed[reqchan.HandlerPanicked] == 1
		})
		twice.Ask("twice", "once")
		twice.Ask("next", "next")
		neighbour.Ask("b", "b")
	})
}
