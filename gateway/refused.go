package gateway

import (
	"errors"
	"fmt"
	"net"
)

// refusal is an identity that a broker does not accept, though it is well: it has answered
// ApiVersions. Its connections back off by themselves. So the wrong password of one principal
// keeps nobody else from the broker.
//
// Owner: the node's lock.
type refusal struct {
	as       *Identity // whose fields were refused: others are tried at once
	failures int       // in a row
	retryAt  int64
	trying   bool // a connection has begun since
}

// refuses says that no connection by id may begin now.
func (n *node) refuses(id *Identity, now int64) bool {
	r := n.refused[id]
	return r != nil && r.as == id.latest() && now < r.retryAt
}

// hopeless says that no connection by id will open soon, for all that is known: the broker is away,
// or refuses id.
func (n *node) hopeless(id *Identity) bool {
	return n.away() || n.refuses(id, n.now()) && !n.refused[id].trying
}

// tries notes that a connection by id begins: one at a time, while the last was refused.
func (n *node) tries(id *Identity) {
	if r := n.refused[id]; r != nil {
		r.as, r.retryAt, r.trying = id.latest(), n.now()+int64(n.g.cfg.OpenTimeout), true
	}
}

// noteRefused is when the broker ended a connection of u's identity before it could be used.
func (n *node) noteRefused(u *uplink, err error) {
	id := u.lanes.pool.key.identity
	r := n.refused[id]
	if r == nil {
		r = &refusal{}
		n.refused[id] = r
	}
	r.failures++
	r.trying = false
	n.counts.OpenFailures++
	r.as, r.retryAt = id.latest(), n.now()+int64(n.backoff(r.failures))
	text := fmt.Sprintf("broker %d at %s does not accept the upstream credentials of %q: %v", n.id, u.at, r.as.Name, err)
	n.calls = append(n.calls, func() { n.g.warnAgain(text) })
	if !n.inUse() {
		n.down(err) // as far as anybody knows
	}
	if u.at == n.address { // Order: behind down, which names it
		n.nextBootstrap(r.failures, &r.retryAt)
	}
}

// inUse says that requests can go by a connection to n.
func (n *node) inUse() bool {
	for _, p := range n.pools {
		if p.inUse() {
			return true
		}
	}
	return false
}

// inUse says that requests can go by a connection of p.
func (p *pool) inUse() bool {
	for i := range p.lanes {
		for _, u := range p.lanes[i].links {
			if u.served && u.life < lifeClosing {
				return true
			}
		}
	}
	return false
}

// refusedIdentity says that u ended for its identity, and not because the broker is away: the
// broker has answered on it, or does not take its certificate.
func (u *uplink) refusedIdentity(err error) bool {
	if u.heard {
		return true
	}
	alert := (*net.OpError)(nil)
	return u.lanes.pool.key.identity.tls() != "" && errors.As(err, &alert) && alert.Op == "remote error" // of crypto/tls
}

// reached is when a broker answers: others may try, too.
func (n *node) reached() {
	if n.failures == 0 {
		return
	}
	n.failures, n.retryAt = 0, 0
	for _, p := range n.pools {
		p.serveAll()
	}
	n.serveOwn()
}

// forgetRefusals drops those that nobody has tried again for a while.
func (n *node) forgetRefusals(now int64) {
	for id, r := range n.refused {
		if now-r.retryAt > int64(n.g.cfg.BackoffMax) {
			delete(n.refused, id)
		}
	}
}
