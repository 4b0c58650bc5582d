package embedded

import (
	"net"
	"net/netip"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// inside is our own connection to kfake, for what no client asks. Any goroutine
// may use it.
type inside struct {
	cluster *Cluster

	mu      sync.Mutex
	session *session // guarded by mu; nil until it is needed
	over    bool     // guarded by mu
}

// ownSession is one that no client has, on a pipe to kfake: before Advertise a
// session does not connect by itself. The caller ends it.
func ownSession(c *Cluster, pipe net.Conn) *session {
	s := newSession(c, &reqchan.Conn{})
	s.pipe = pipe
	return s
}

// ask puts a request to kfake, whose version must be set.
func (i *inside) ask(req kmsg.Request) (kmsg.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return nil, net.ErrClosed
	}
	if i.session == nil {
		pipe, err := i.cluster.dial(netip.AddrPort{})
		if err != nil {
			return nil, err
		}
		i.session = ownSession(i.cluster, pipe)
	}
	resp, err := i.session.ask(req)
	if err != nil {
		i.session.end()
		i.session = nil
	}
	return resp, err
}

// again connects anew, because kfake does.
func (i *inside) again() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.session != nil {
		i.session.end()
		i.session = nil
	}
}

// close ends the connection, once nothing asks any more.
func (i *inside) close() {
	i.mu.Lock()
	i.over = true
	i.mu.Unlock()
	i.again()
}
