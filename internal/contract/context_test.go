package contract

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// longPoll answers nothing until the context of the request ends, and then
// tells why it did. Everything else is echoed.
func longPoll(ended chan<- error, begun chan<- struct{}) kring.Handler {
	return kring.HandlerFunc(func(r kring.Request) {
		if string(r.Payload()) != "poll" {
			r.Respond(r.Payload())
			return
		}
		ctx := r.Context()
		go func() {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			r.NoResponse()
		}()
		begun <- struct{}{}
	})
}

// A long poll ends at once when nobody waits for it any more, however its
// client went, and when the server cuts it.
//
// Kafka: F-54.
func TestALongPollEndsWithItsClient(t *testing.T) {
	cut := func(t *testing.T, s *kring.Server, _ *servertest.Client) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx) // says that it did not wait
	}
	for _, end := range []struct {
		name string
		why  kring.CloseReason
		end  func(t *testing.T, s *kring.Server, c *servertest.Client)
	}{
		{"close", reqchan.PeerFinished, func(_ *testing.T, _ *kring.Server, c *servertest.Client) { _ = c.Close() }},
		{"half", reqchan.PeerFinished, func(t *testing.T, _ *kring.Server, c *servertest.Client) {
			if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Error(err)
			}
			c.AwaitClose()
		}},
		{"reset", reqchan.PeerReset, func(_ *testing.T, _ *kring.Server, c *servertest.Client) { c.Reset() }},
		{"cut", reqchan.ServerDraining, cut},
	} {
		t.Run(end.name, func(t *testing.T) {
			servertest.Each(t, func(t *testing.T, cfg kring.Config) {
				ended, begun := make(chan error, 1), make(chan struct{}, 1)
				s := servertest.Start(t, cfg, longPoll(ended, begun))
				c := servertest.Dial(t, s)
				c.Ask("still here", "still here")
				c.Send("poll")
				<-begun
				end.end(t, s, c)
				if got := <-ended; got != (reqchan.Gone{Why: end.why}) {
					t.Errorf("ended with %v, want %v", got, end.why)
				}
				servertest.Eventually(t, "the connection is closed", func() bool { return s.Stats().Open == 0 })
			})
		})
	}
}

// A client may send what it wants no answer for, and go: all of it is served,
// though the context of its requests has ended by then.
//
// Kafka: SS-09, F-51, Q-16.
func TestWhatAClientSentBeforeItWentIsServed(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		var mu sync.Mutex
		var served []string
		first := make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			name, ctx := string(r.Payload()), r.Context()
			go func() {
				if name == "0" {
					<-ctx.Done() // only now is it known that the client went
					close(first)
				}
				mu.Lock()
				served = append(served, name)
				mu.Unlock()
				r.NoResponse()
			}()
		}))
		c := servertest.Dial(t, s)
		var sent []string
		for i := range 10 {
			sent = append(sent, fmt.Sprint(i))
		}
		c.Send(sent...)
		_ = c.Close()
		<-first
		servertest.Eventually(t, "the connection is closed", func() bool { return s.Stats().Open == 0 })
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(served, sent) {
			t.Errorf("served %v, sent %v", served, sent)
		}
	})
}

// Who never asks for a context pays nothing for it, and who asks gets the same
// one for every request of a connection.
func TestAContextBelongsToItsConnection(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		contexts := make(chan context.Context, 3)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			contexts <- r.Context()
			r.Respond(r.Payload())
		}))
		one, other := servertest.Dial(t, s), servertest.Dial(t, s)
		one.Ask("a", "a")
		one.Ask("b", "b")
		other.Ask("c", "c")
		a, b, c := <-contexts, <-contexts, <-contexts
		if a != b || a == c {
			t.Error("contexts and connections are not one to one")
		}
		_ = one.Close()
		<-a.Done()
		if c.Err() != nil {
			t.Errorf("another connection's context ended: %v", c.Err())
		}
	})
}
