package gateway

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestARefusedIdentityKeepsNobodyElseFromTheBroker: the password of one principal is wrong. Its
// connections are tried again more and more rarely; everybody else has theirs at once.
func TestARefusedIdentityKeepsNobodyElseFromTheBroker(t *testing.T) {
	bob := &Identity{Name: "bob", Mechanism: "PLAIN", User: "bob", Password: "old"}
	alice := &Identity{Name: "alice", Mechanism: "PLAIN", User: "alice", Password: "good"}
	downs, warnings := 0, 0
	s := ready(t, func(c *Config) {
		c.Connections = 1
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			switch {
			case conn == nil:
				return &noIdentity
			case conn.Principal() == "User:bob":
				return bob
			}
			return alice
		}
		c.Events.BrokerDown = func(int32, kafka.Address, error) { downs++ }
		c.Events.Warning = func(string) { warnings++ }
	})
	s.change = func(_ *stageLink, req kmsg.Request, resp kmsg.Response) {
		if a, is := req.(*kmsg.SASLAuthenticateRequest); is && bytes.HasSuffix(a.SASLAuthBytes, []byte("old")) {
			resp.(*kmsg.SASLAuthenticateResponse).ErrorCode = 58
		}
	}
	ask := func(user string) *stageRequest {
		c := s.client("a")
		c.conn.SetPrincipal("User:" + user)
		r := c.give(describe(fmt.Sprint(c.number, "/1")))
		s.run()
		return r
	}
	answered := func(when string, r *stageRequest) {
		t.Helper()
		if !r.job.Answered() {
			t.Fatalf("%s: there is no answer", when)
		}
		r.job.Free()
	}
	before := s.dials
	var waiting []*stageRequest
	for range 60 {
		if waiting = append(waiting, ask("bob")); s.g.allNodes() == nil {
			t.Fatal("no broker")
		}
		s.tick(time.Second)
	}
	if dials := s.dials - before; dials < 3 || dials > 30 {
		t.Errorf("bob was tried %d times in a minute", dials)
	}
	if warnings == 0 {
		t.Error("nobody is told")
	}
	answered("alice, at once", ask("alice"))
	down := downs
	for range 30 {
		waiting = append(waiting, ask("bob"))
		s.tick(time.Second)
	}
	if downs != down {
		t.Error("the broker counts as down though alice uses it")
	}
	bob.Renew(&Identity{Name: "bob", Mechanism: "PLAIN", User: "bob", Password: "new"})
	answered("bob with the new password, at once", ask("bob"))
	s.tick(time.Minute)
	for _, r := range waiting {
		answered("bob", r)
	}
}

// TestTheBootstrapAddressThatRefusesIsTheOneThatIsNamed, and not the next one, which is tried once:
// several connections to the first that end together are one reason to go on.
func TestTheBootstrapAddressThatRefusesIsTheOneThatIsNamed(t *testing.T) {
	who := &Identity{Name: "gateway", Mechanism: "PLAIN", User: "gateway", Password: "p"}
	var down []kafka.Address
	var why []error
	s := newStage(t, func(c *Config) {
		c.Bootstrap = []kafka.Address{{Host: "one", Port: 1}, {Host: "two", Port: 1}}
		c.IdentityOf = func(*kring.Conn) *Identity { return who }
		c.Events.BrokerDown = func(_ int32, at kafka.Address, err error) { down, why = append(down, at), append(why, err) }
	})
	s.tick(0)
	c := s.client("")
	c.ask(1)
	if len(s.links) != 2 || s.links[0].to.Address != s.links[1].to.Address {
		t.Fatalf("%d connections, want two to one address", len(s.links))
	}
	first := s.links[0].to.Address
	s.change = func(l *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if a, is := resp.(*kmsg.SASLAuthenticateResponse); is && l.to.Address == first {
			a.ErrorCode = 58
		}
	}
	begun := append([]*stageLink(nil), s.links...)
	for _, l := range begun { // both go where they went before the first ends
		l.open()
	}
	for range 10 {
		for _, l := range begun {
			l.leave(9)
			l.answer()
		}
	}
	for _, l := range begun {
		l.end(io.EOF, false)
	}
	if at := s.g.node(NoNode).address; at == first {
		t.Errorf("%v is to be tried again, and the other never was", at)
	}
	if len(down) != 1 || down[0] != first || !strings.Contains(why[0].Error(), first.String()) {
		t.Errorf("%v is said to be down for %v, and %v refuses", down, why, first)
	}
	s.tick(time.Second)
	s.run()
	if c.closed || c.seen != 1 {
		t.Errorf("closed: %t, the broker at the other address got %d requests", c.closed, c.seen)
	}
	s.finish()
}

// TestAProducerWithoutAnswersIsClosedWhenItsIdentityIsRefused, and not after Config.WaitTimeout: the
// broker itself would close it, and others use the broker. While its identity is tried it waits.
func TestAProducerWithoutAnswersIsClosedWhenItsIdentityIsRefused(t *testing.T) {
	bob := &Identity{Name: "bob", Mechanism: "PLAIN", User: "bob", Password: "old"}
	alice := &Identity{Name: "alice", Mechanism: "PLAIN", User: "alice", Password: "good"}
	s := ready(t, func(c *Config) {
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			switch {
			case conn == nil:
				return &noIdentity
			case conn.Principal() == "User:bob":
				return bob
			}
			return alice
		}
	})
	s.change = func(_ *stageLink, req kmsg.Request, resp kmsg.Response) {
		if a, is := req.(*kmsg.SASLAuthenticateRequest); is && bytes.HasSuffix(a.SASLAuthBytes, []byte("old")) {
			resp.(*kmsg.SASLAuthenticateResponse).ErrorCode = 58
		}
	}
	produce := func(user string) *stageClient {
		c := s.client("a")
		c.conn.SetPrincipal("User:" + user)
		c.ask(2)
		return c
	}
	other := produce("alice")
	s.run()
	waits := produce("bob") // for the answer to its credentials
	if waits.closed {
		t.Error("it is closed before the broker has said anything")
	}
	s.run()
	if !waits.closed {
		t.Error("its credentials were refused, and it is not closed")
	}
	if c := produce("bob"); !c.closed {
		t.Error("the next one is not closed while its identity backs off")
	}
	bob.Renew(&Identity{Name: "bob", Mechanism: "PLAIN", User: "bob", Password: "new"})
	first, second := produce("bob"), produce("bob")
	if other.leave(); first.closed || second.closed {
		t.Error("one is closed whose credentials are being tried")
	}
	s.run()
	for _, c := range []*stageClient{other, first, second} {
		if c.closed || c.seen != 1 {
			t.Errorf("client %d: closed %t, the broker got %d requests", c.number, c.closed, c.seen)
		}
	}
	s.finish()
}
