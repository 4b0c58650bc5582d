package gateway

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// authenticate begins SASL, for the first time or again (KIP-368), with nothing under way.
func (u *uplink) authenticate() {
	id := u.lanes.pool.key.identity.latest()
	if u.as != nil && !u.as.sameUser(id) {
		u.close(errOtherUser)
		return
	}
	if u.life == lifeReady {
		u.node.opening++
		u.node.counts.Renewed++
	}
	u.life, u.renewAt, u.as = lifeAuthenticating, 0, id
	l, err := id.login()
	if err != nil {
		u.close(err)
		return
	}
	u.auth = l
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, id.Mechanism
	u.askOwn(req, func(payload []byte, err error) {
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.Version = 1
		if err == nil {
			err = readOwn(payload, resp)
		}
		if err == nil && resp.ErrorCode != 0 {
			err = fmt.Errorf("%w: mechanism %s: %w; it has %v", errAuthentication, id.Mechanism, kerr.ErrorForCode(resp.ErrorCode), resp.SupportedMechanisms)
		}
		u.step(nil, 0, err)
	})
}

// step goes on with the exchange. A token that takes a while is made beside: neither the
// processor that the answer came on nor the node waits for it. Who waits there ends with u, which
// tick ends.
func (u *uplink) step(challenge []byte, lifetime int64, err error) {
	l := u.auth
	switch {
	case u.life != lifeAuthenticating:
	case err != nil:
		u.close(err)
	case l.takesLong():
		challenge = bytes.Clone(challenge) // it lies in the frame
		ctx, end := context.WithCancel(context.Background())
		u.endLogin = end
		go func() {
			defer end()
			token, done, err := l.nextBeside(ctx, challenge)
			u.node.lock()
			defer u.node.unlock()
			u.stepped(token, done, lifetime, err)
			u.maybeRetire()
		}()
	default:
		token, done, err := l.next(challenge)
		u.stepped(token, done, lifetime, err)
	}
}

// stepped is when the next token is there, or the exchange is done.
func (u *uplink) stepped(token []byte, done bool, lifetime int64, err error) {
	switch {
	case u.life != lifeAuthenticating: // it was closed meanwhile
	case err != nil:
		u.close(err)
	case done:
		u.auth = nil
		u.session(lifetime)
		u.becomeReady()
	default:
		u.sendToken(token)
	}
}

func (u *uplink) sendToken(token []byte) {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version = u.node.versionOf(keySASLAuthenticate, 1)
	req.SASLAuthBytes = token
	u.askOwn(req, func(payload []byte, err error) {
		resp := kmsg.NewPtrSASLAuthenticateResponse()
		resp.Version = req.Version
		if err == nil {
			err = readOwn(payload, resp)
		}
		if err == nil && resp.ErrorCode != 0 {
			text := ""
			if resp.ErrorMessage != nil {
				text = *resp.ErrorMessage
			}
			err = fmt.Errorf("%w: %w: %.200q", errAuthentication, kerr.ErrorForCode(resp.ErrorCode), text)
		}
		u.step(resp.SASLAuthBytes, resp.SessionLifetimeMillis, err)
	})
}

// versionOf is the highest version of an API that the upstream itself has announced.
func (n *node) versionOf(key, most int16) int16 {
	if n.versions != nil {
		for _, k := range n.versions.upstream.ApiKeys {
			if k.ApiKey == key {
				return max(k.MinVersion, min(most, k.MaxVersion))
			}
		}
	}
	return most
}

// session notes when the broker's session ends: between 85 and 95 % of it u authenticates
// again, as soon as nothing is under way.
func (u *uplink) session(millis int64) {
	lifetime := time.Duration(min(millis, int64(sessionMost/time.Millisecond))) * time.Millisecond // more would overflow
	if lifetime <= 0 {
		u.renewAt = 0
		return
	}
	u.renewAt = u.node.now() + int64(lifetime)*85/100 + u.node.random.Int64N(int64(lifetime)/10+1)
	u.ends.Store(true)
}

// sessionMost bounds what a broker says. A token may be valid for years.
const sessionMost = 30 * 24 * time.Hour

// renewing says that u is to authenticate again: it takes no more requests, so that nothing
// is under way soon.
func (u *uplink) renewing() bool { return u.renewAt != 0 && u.node.now() >= u.renewAt }
