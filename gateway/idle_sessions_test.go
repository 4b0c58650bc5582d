package gateway

import (
	"io"
	"testing"
	"time"

	"kring"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAConnectionThatNobodyUsesEndsHoweverOftenItAuthenticates: a broker's sessions may be shorter
// than it may be idle, and its client has left for good. Connections are counted once.
func TestAConnectionThatNobodyUsesEndsHoweverOftenItAuthenticates(t *testing.T) {
	who := map[string]*Identity{"a": {Mechanism: "PLAIN", User: "a", Password: "p"}, "ab": {Mechanism: "PLAIN", User: "b", Password: "p"}}
	s := newStage(t, func(c *Config) {
		c.IdleTimeout = 9 * time.Minute
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			if conn == nil {
				return who["a"]
			}
			return who[conn.Listener]
		}
	})
	s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if a, is := resp.(*kmsg.SASLAuthenticateResponse); is {
			a.SessionLifetimeMillis = 60_000
		}
	}
	pass := func(d time.Duration) {
		for ; d > 0; d -= 5 * time.Second {
			s.tick(5 * time.Second)
			s.run()
		}
	}
	pass(5 * time.Second)
	c := s.client("ab")
	r := c.give(describe("0/1"))
	s.run()
	if _, ok := c.await(r); !ok {
		t.Fatal("it was closed")
	}
	c.leave()
	of := func(who *Identity) (n int) {
		for _, l := range s.links {
			if l.u.lanes.pool.key.identity == who {
				n++
			}
		}
		return n
	}
	pass(5 * time.Minute)
	if of(who["ab"]) != 1 {
		t.Fatalf("%d connections after 5 minutes", of(who["ab"]))
	}
	pass(5 * time.Minute)
	if n := of(who["ab"]); n != 0 {
		t.Errorf("%d connections after 10 minutes, of which it may be idle for 9", n)
	}
	var opened, renewed uint64
	for _, n := range s.g.Stats() {
		opened, renewed = opened+n.Counts.Opened, renewed+n.Counts.Renewed
	}
	if renewed < 5 || opened > uint64(s.dials) {
		t.Errorf("%d connections were opened, and %d are counted, with %d times that they authenticated again", s.dials, opened, renewed)
	}
}

// TestAClientThatLeftIsNotCut: its connection had ended before the upstream's.
func TestAClientThatLeftIsNotCut(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		s := ready(t, nil)
		c := s.client("a")
		r := c.give(describe("0/1"))
		s.run()
		if _, ok := c.await(r); !ok {
			t.Fatal("it was closed")
		}
		c.give(describe("0/2"))
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.open()
			l.leave(9)
		}
		if leaves {
			c.leave()
		}
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.end(io.ErrUnexpectedEOF, false)
		}
		s.look()
		cut := uint64(0)
		for _, n := range s.g.Stats() {
			cut += n.Counts.Cut
		}
		if leaves && cut != 0 || !leaves && cut != 1 {
			t.Errorf("leaves: %v, and %d clients are said to be cut", leaves, cut)
		}
	}
}
