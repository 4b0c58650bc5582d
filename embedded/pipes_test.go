package embedded

import (
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// Clients that are idle keep a bounded number of connections to the cluster, and are
// served when they come back.
func TestIdleClientsKeepFewConnectionsToTheCluster(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"orders", 1}}})
	var conns []*reqchan.Conn
	for range pipesKept + 100 {
		conn := &reqchan.Conn{}
		c.ConnOpened(conn)
		defer c.ConnClosed(conn, reqchan.PeerFinished)
		conns = append(conns, conn)
	}
	for range 2 {
		for _, conn := range conns {
			req := kmsg.NewPtrListGroupsRequest()
			r := newRequest(t, conn, 0, req)
			c.Handle(r.Request())
			if !r.HandleReturned() {
				r.await()
			}
			if kind, _, _ := r.Answer(); kind != reqchan.AnswerSend {
				t.Fatalf("answered with %v", kind)
			}
		}
		for c.sessions.alive.Load() > 0 { // those that have just answered
			runtime.Gosched()
		}
		if n := c.sessions.pipes.Load(); n > pipesKept {
			t.Errorf("%d connections to the cluster for %d idle clients", n, len(conns))
		}
	}
}
