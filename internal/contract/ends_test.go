package contract

import (
	"fmt"
	"net"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// finish ends what the client sends; it still reads.
func finish(t *testing.T, c *servertest.Client) {
	t.Helper()
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// inState waits until the one connection of s is in a state.
func inState(t *testing.T, s *kring.Server, state processor.ConnState) {
	t.Helper()
	servertest.Eventually(t, "the connection is "+string(state), func() bool {
		conns := list(t, s)
		return len(conns) == 1 && conns[0].State == state
	})
}

// Kafka: SS-41, SS-42, SS-43, SS-44, SS-46, SS-47, SE-23, SE-24, F-51.
func TestWhatWasSentWholeBeforeThePeersEndIsServedAndNothingElse(t *testing.T) {
	const half = "\x00\x00\x00\x09half"
	for name, sent := range map[string]struct {
		whole int
		rest  string
	}{"nothing": {}, "half a request": {0, half}, "three": {3, ""}, "three and a half": {3, half}} {
		for _, noticed := range []bool{false, true} { // whether the end is known when the first is answered
			t.Run(fmt.Sprintf("%s, noticed %v", name, noticed), func(t *testing.T) {
				servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
					g := newGated()
					s := servertest.Start(t, cfg, g)
					c := servertest.Dial(t, s)
					for i := range sent.whole {
						c.Send(fmt.Sprint(i))
					}
					if _, err := c.Write([]byte(sent.rest)); err != nil {
						t.Fatal(err)
					}
					finish(t, c)
					if noticed && sent.whole > 0 {
						inState(t, s, processor.ConnPeerDone)
					}
					for i := range sent.whole {
						r := <-g.held
						r.Respond(append([]byte(nil), r.Payload()...))
						if got := c.Receive(); got != fmt.Sprint(i) {
							t.Errorf("answer %q to request %d", got, i)
						}
					}
					c.AwaitClose()
					servertest.Eventually(t, "it is counted", func() bool { return closedBy(s, reqchan.PeerFinished) == 1 })
					if n := s.Stats().Total.Requests; n != uint64(sent.whole) {
						t.Errorf("%d requests delivered of %d", n, sent.whole)
					}
				})
			})
		}
	}
}

// Kafka: SS-31, SS-45, SS-48.
func TestRequestsGoOnUntilAResponseCantBeSentAndThenTheConnectionIsGone(t *testing.T) {
	for name, leave := range map[string]func(c *servertest.Client){
		"reset": func(c *servertest.Client) { c.Reset() },
		"close": func(c *servertest.Client) { _ = c.Close() }, // a response then finds a reset
	} {
		t.Run(name, func(t *testing.T) {
			servertest.Each(t, func(t *testing.T, cfg kring.Config) {
				g, ended := newGated(), make(chan struct{})
				t.Cleanup(func() { close(ended) }) // behind the server's end: a handler may have one yet
				s := servertest.Start(t, cfg, g)
				c := servertest.Dial(t, s)
				for range 100 {
					c.Send("a request that wants a response")
				}
				first := <-g.held
				leave(c)
				first.Respond([]byte("to nobody"))
				go func() { // whoever comes yet
					for {
						select {
						case r := <-g.held:
							r.Respond([]byte("to nobody"))
						case <-ended:
							return
						}
					}
				}()
				servertest.Eventually(t, "the connection is gone", func() bool { return s.Stats().Open == 0 })
				servertest.Dial(t, s).Ask("now", "now")
			})
		})
	}
}

// Kafka: SS-37, SS-38, SS-39, SS-40.
func TestAResponseThatCantBeSentConcernsOnlyItsConnection(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, s *kring.Server, c *servertest.Client){
		"reset": func(_ *testing.T, _ *kring.Server, c *servertest.Client) { c.Reset() },
		"reset and noticed": func(t *testing.T, s *kring.Server, c *servertest.Client) {
			c.Reset()
			servertest.Eventually(t, "it is noticed", func() bool { return closedBy(s, reqchan.PeerReset) == 1 })
		},
		"closed": func(_ *testing.T, _ *kring.Server, c *servertest.Client) { _ = c.Close() },
		"closed and noticed": func(t *testing.T, s *kring.Server, c *servertest.Client) {
			_ = c.Close()
			servertest.Eventually(t, "it is noticed", func() bool {
				for _, conn := range list(t, s) {
					if conn.State == processor.ConnPeerDone {
						return true
					}
				}
				return false
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
				cfg.Processors.Count = 1
				g := newGated()
				s := servertest.Start(t, cfg, g)
				bad, good := servertest.Dial(t, s), servertest.Dial(t, s)
				bad.Send("bad")
				first := <-g.held
				good.Send("good")
				second := <-g.held
				leave(t, s, bad)
				first.Respond(make([]byte, 100_000))
				second.Respond([]byte("good"))
				if got := good.Receive(); got != "good" {
					t.Errorf("answer %q", got)
				}
				servertest.Eventually(t, "the other connection is gone", func() bool { return s.Stats().Open == 1 })
				good.Ask("now", "now")
			})
		})
	}
}

// Kafka: SS-51.
func TestAReceiveThatCantBeServedConcernsOnlyItsConnection(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Limits.FrameBytesMax = 1, 100
		s := servertest.Start(t, cfg, servertest.Echo)
		bad, good := servertest.Dial(t, s), servertest.Dial(t, s)
		bad.Send(string(make([]byte, 101)))
		good.Ask("good", "good")
		bad.AwaitClose()
		good.Ask("good", "good")
	})
}

// Kafka: SE-33.
func TestConnectionsThatCloseWhileOthersAreServedDisturbNobody(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			switch string(r.Payload()) {
			case "close":
				r.CloseConnection(reqchan.HandlerClosed)
			case "never":
				t.Error("a request was served after the close")
				r.NoResponse()
			default:
				r.Respond(r.Payload())
			}
		}))
		var clients []*servertest.Client
		for range 20 {
			clients = append(clients, servertest.Dial(t, s))
		}
		for i, c := range clients {
			if i%2 == 0 {
				c.Send("a", "close", "never")
			} else {
				c.Send("a", "b", "c")
			}
		}
		for i, c := range clients {
			wants := []string{"a", "b", "c"}
			if i%2 == 0 {
				wants = wants[:1]
			}
			for _, want := range wants {
				if got := c.Receive(); got != want {
					t.Errorf("answer %q, want %q", got, want)
				}
			}
			if i%2 == 0 {
				c.AwaitClose()
			}
		}
	})
}

// Kafka: SE-13, SS-50, SS-61.
func TestAMutedConnectionDeliversNothingAndGoesOnWithoutAnotherByte(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		g := newGated()
		s := servertest.Start(t, cfg, g)
		c := servertest.Dial(t, s)
		c.Send("one", "two", "six")
		first := <-g.held
		arrived(t, s, 3, 3)
		if conns := list(t, s); len(g.held) > 0 || conns[0].HeldBytes != 14 || conns[0].MuteState != "MUTED_AND_RESPONSE_PENDING" {
			t.Errorf("%d requests delivered; %+v", 1+len(g.held), conns)
		}
		first.Respond([]byte("1"))
		(<-g.held).Respond([]byte("2"))
		(<-g.held).Respond([]byte("3"))
		for _, want := range []string{"1", "2", "3"} {
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}
	})
}

// Kafka: SE-32.
func TestAnEmptyResponseIsSentAndTheNextRequestGoesOn(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { r.Respond(nil) }))
		c := servertest.Dial(t, s)
		c.Send("a", "b")
		if a, b := c.Receive(), c.Receive(); a != "" || b != "" {
			t.Errorf("answers %q, %q", a, b)
		}
	})
}
