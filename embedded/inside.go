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

// ask puts a request to kfake, whose version must be set.
func (i *inside) ask(req kmsg.Request) (kmsg.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return nil, net.ErrClosed
	}
	if i.session == nil {
		// Before Advertise a session does not connect by itself.
		pipe, err := i.cluster.dial(netip.AddrPort{})
		if err != nil {
			return nil, err
		}
		i.session = newSession(i.cluster, &reqchan.Conn{})
		i.session.pipe = pipe
	}
	resp, err := i.session.ask(req)
	if err != nil {
		i.session.end()
		i.session = nil
	}
	return resp, err
}

// close ends the connection, once nothing asks any more.
func (i *inside) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	if i.session != nil {
		i.session.end()
		i.session = nil
	}
}
