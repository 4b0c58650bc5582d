package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kring"
	"kring/internal/fairqueue"
	"kring/reqchan"
	"kring/sasl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// saslState is how far the authentication of a connection has come.
type saslState uint8

const (
	saslBegun     saslState = iota // ApiVersions or SaslHandshake comes next
	saslVersioned                  // SaslHandshake comes next
	saslTokens                     // tokens come
	saslBusy                       // a token is looked at, and nothing may come
	saslComplete                   // authenticated; SaslHandshake may begin anew
	saslOver                       // failed
)

// saslSession is the authentication of one connection, and of it again.
//
// Order: complete is stored when all that belongs to it was; requests look at it first,
// without mu.
type saslSession struct {
	complete atomic.Bool
	// expires is the instant when the session ends; 0: never.
	expires atomic.Int64

	mu        sync.Mutex
	state     saslState     // guarded by mu
	raw       bool          // guarded by mu; tokens come without a request around them (SaslHandshake 0)
	again     bool          // guarded by mu; it is not the first time
	mechanism int           // guarded by mu; index of SASLConfig.Mechanisms
	exchange  sasl.Exchange // guarded by mu, and by busy: of whoever looks at a token
	user      string        // guarded by mu; who it is, once it is complete
	proved    int           // guarded by mu; by which mechanism
	began     int64         // guarded by mu; when it last began again
	asked     int           // guarded by mu; how often for versions in one that is not served
}

// beginAgainMin is how often a client may authenticate again (KafkaChannel).
const beginAgainMin = int64(time.Second)

// mayBeginAgain begins anew, if there is a session that ends (KafkaChannel,
// maybeBeginServerReauthentication).
func (s *saslSession) mayBeginAgain(a *SASL) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := a.instant()
	if s.state != saslComplete || s.expires.Load() == 0 || s.began != 0 && now-s.began < beginAgainMin {
		return false
	}
	s.began, s.again, s.state = max(now, 1), true, saslVersioned
	s.complete.Store(false)
	return true
}

// expired says that the session has ended.
func (s *saslSession) expired(a *SASL) bool {
	at := s.expires.Load()
	return at != 0 && a.instant() > at
}

// step moves on from one of the states; false: it is in another one.
func (s *saslSession) step(to saslState, from ...saslState) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(from, s.state) {
		return false
	}
	s.state = to
	return true
}

// authenticate takes a request of a client that is not authenticated, or not any more. true:
// it is ApiVersions, and goes on.
func (d *Filter) authenticate(a *SASL, s *saslSession, r kring.Request) bool {
	s.mu.Lock()
	state, raw := s.state, s.raw
	s.mu.Unlock()
	if state == saslTokens && raw {
		d.token(a, s, r, Header{Key: -1}, r.Payload())
		return false
	}
	h, f := parseHeader(r.Payload())
	switch {
	case f != nil && h.Key == keyApiVersions && f.Reason == reqchan.UnsupportedVersion:
		// has a header: see below
	case f != nil:
		d.early(a, s, r, Header{Key: -1}, faultEarlyHeader)
		return false
	}
	switch {
	case h.Key == keyApiVersions && state == saslBegun:
		if d.versionsFor(r.Conn()).Supported(h.Key, h.Version) {
			return s.step(saslVersioned, saslBegun) || d.early(a, s, r, h, faultEarly)
		}
		return s.mayAskAgain() || d.early(a, s, r, h, faultEarly) // it is told which there are
	case h.Key == keySASLHandshake && (state == saslBegun || state == saslVersioned):
		d.handshake(a, s, r, h)
	case h.Key == keySASLAuthenticate && state == saslTokens:
		d.authenticateToken(a, s, r, h)
	default:
		return d.early(a, s, r, h, faultEarly)
	}
	return false
}

// versionAsksMax is how often a client may ask for ApiVersions in a version that is not
// served: clients that are told which there are ask in one of these (KIP-511).
const versionAsksMax = 3

func (s *saslSession) mayAskAgain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.asked <= versionAsksMax
}

// early ends a connection that asks for what it may not.
func (d *Filter) early(a *SASL, s *saslSession, r kring.Request, h Header, f *Fault) bool {
	s.step(saslOver, saslBegun, saslVersioned, saslTokens)
	a.counted.early.Add(1)
	d.refuseEarly(r, h, f)
	return false
}

// bodyOf is the body of a request that may come early; nil: it is refused.
func (d *Filter) bodyOf(a *SASL, s *saslSession, r kring.Request, h Header) kmsg.Request {
	body := r.Payload()[h.Size:]
	size, _, f := validate(h.Key, h.Version, body, ElementsMaxDefault)
	if f != nil {
		d.early(a, s, r, h, f)
		return nil
	}
	req, err := APIRequest{Header: h, Body: body[:size:size], Raw: r}.Decode()
	if err != nil {
		d.early(a, s, r, h, faultBodyShort)
		return nil
	}
	return req
}

// handshake takes the mechanism that a client chooses.
func (d *Filter) handshake(a *SASL, s *saslSession, r kring.Request, h Header) {
	req, _ := d.bodyOf(a, s, r, h).(*kmsg.SASLHandshakeRequest)
	if req == nil {
		return
	}
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	resp.SupportedMechanisms = a.names
	at := slices.Index(a.names, req.Mechanism)
	if at < 0 {
		s.step(saslOver, saslBegun, saslVersioned)
		resp.ErrorCode = codeUnsupportedSASLMechanism
		d.fail(a, s, r, h, resp, "a mechanism that is not offered")
		return
	}
	s.mu.Lock()
	s.mechanism, s.exchange = at, a.cfg.Mechanisms[at].Begin()
	s.raw, s.state = h.Version == 0, saslTokens
	s.mu.Unlock()
	APIRequest{Header: h, Raw: r}.Respond(resp)
}

// authenticateToken takes the token out of a SaslAuthenticate request.
func (d *Filter) authenticateToken(a *SASL, s *saslSession, r kring.Request, h Header) {
	req, _ := d.bodyOf(a, s, r, h).(*kmsg.SASLAuthenticateRequest)
	if req != nil {
		d.token(a, s, r, h, req.SASLAuthBytes)
	}
}

// token has a token looked at, on another goroutine: that may take long. It lies in the
// request, which is not answered until then.
func (d *Filter) token(a *SASL, s *saslSession, r kring.Request, h Header, token []byte) {
	if !s.step(saslBusy, saslTokens) {
		d.early(a, s, r, h, faultEarly)
		return
	}
	if d.lookQuickly(a, s, r, h, token) {
		return
	}
	refuse := func() { d.overloaded(a, s, r, h) }
	look := work{run: func() { d.look(a, s, r, h, token) }, drop: refuse, failed: func() { d.mechanismFailed(s, r) }}
	if !a.lines[s.mechanism].start(fairqueue.KeyOf(r.Conn().ClientAddr()), look) {
		refuse()
	}
}

// overloaded ends a connection that there is no room for in the line.
func (d *Filter) overloaded(a *SASL, s *saslSession, r kring.Request, h Header) {
	s.step(saslOver, saslBusy)
	a.counted.overloaded.Add(1)
	d.refuseEarly(r, h, faultOverload)
}

// lookQuickly looks at a token that can be judged here, if the mechanism says so: who is
// known does not stand in line with those who guess.
func (d *Filter) lookQuickly(a *SASL, s *saslSession, r kring.Request, h Header, token []byte) (done bool) {
	quick, ok := s.exchange.(sasl.QuickExchange)
	if !ok {
		return false
	}
	defer func() {
		if v := recover(); v != nil {
			d.mechanismFailed(s, r)
			done = true
		}
	}()
	step, ok := quick.NextQuickly(token)
	if !ok {
		return false
	}
	clear(token) // as in look
	d.stepped(a, s, r, h, step)
	return true
}

// look is what runs there.
func (d *Filter) look(a *SASL, s *saslSession, r kring.Request, h Header, token []byte) {
	if a.drained.Err() != nil {
		d.leaveDrained(s, r)
		return
	}
	if r.Conn().Ended() || r.Context().Err() != nil { // also who has sent its end: one by one they would hold up a drain
		r.CloseConnection(reqchan.AuthenticationFailed) // nobody waits for it
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.cfg.StepTimeout)
	defer cancel()
	defer context.AfterFunc(a.drained, cancel)()
	step, err := s.exchange.Next(ctx, token)
	clear(token) // a password would stay in memory that others get
	switch {
	case err != nil && a.drained.Err() != nil && ctx.Err() != nil: // which says nothing about the client
		d.leaveDrained(s, r)
	case err != nil:
		d.failToken(a, s, r, h, err)
	default:
		d.stepped(a, s, r, h, step)
	}
}

// leaveDrained ends a connection that nobody authenticates any more.
func (d *Filter) leaveDrained(s *saslSession, r kring.Request) {
	s.step(saslOver, saslBusy)
	r.CloseConnection(reqchan.ServerDraining)
}

// mechanismFailed ends a connection whose mechanism panicked, or ended its goroutine.
func (d *Filter) mechanismFailed(s *saslSession, r kring.Request) {
	s.step(saslOver, saslBusy)
	r.CloseConnection(reqchan.HandlerPanicked)
}

// stepped goes on after a good token.
func (d *Filter) stepped(a *SASL, s *saslSession, r kring.Request, h Header, step sasl.Step) {
	if step.Done {
		d.succeed(a, s, r, h, step)
		return
	}
	s.step(saslTokens, saslBusy)
	answerToken(r, h, step.Answer, 0)
}

// answerToken answers a token as it came: in a response, or as it is.
func answerToken(r kring.Request, h Header, answer []byte, lifetime time.Duration) {
	if h.Key < 0 {
		r.Respond(answer)
		return
	}
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.Version, resp.SASLAuthBytes, resp.SessionLifetimeMillis = h.Version, answer, int64(lifetime/time.Millisecond)
	APIRequest{Header: h, Raw: r}.Respond(resp)
}

// succeed makes the connection the client's that has proved who it is.
func (d *Filter) succeed(a *SASL, s *saslSession, r kring.Request, h Header, step sasl.Step) {
	who := step.Identity
	s.mu.Lock()
	before, again := s.user, s.again
	if again && before == who.User && s.proved == s.mechanism || !again {
		s.user, s.proved = who.User, s.mechanism
	}
	proved, mechanism, began := s.proved, s.mechanism, s.began
	s.mu.Unlock()
	switch {
	case proved != mechanism:
		d.failToken(a, s, r, h, &sasl.Failure{Reason: "another mechanism than the first time", Told: fmt.Sprintf(
			"SASL mechanism '%s' requested by client is not supported for re-authentication of mechanism '%s'", a.names[mechanism], a.names[proved])})
		return
	case again && before != who.User:
		d.failToken(a, s, r, h, &sasl.Failure{Reason: "another user than the first time", Told: fmt.Sprintf(
			"Cannot change principals during re-authentication from User.%s: User.%s", before, who.User)})
		return
	}
	lifetime := a.lifetime(who.Expires)
	expires := int64(0)
	if lifetime > 0 {
		expires = max(a.instant()+int64(lifetime), 1)
	}
	c := r.Conn()
	c.SetPrincipal("User:" + who.User)
	c.SetAuthenticated(true)
	s.expires.Store(expires)
	s.step(saslComplete, saslBusy)
	s.mu.Lock()
	s.exchange = nil // it is over, and held as long as the connection
	s.mu.Unlock()
	s.complete.Store(true)
	if again {
		a.counted.reauthenticated.Add(1)
		a.counted.tookAgain(time.Duration(a.instant() - began))
	} else {
		a.counted.succeeded.Add(1)
		if h.Key < 0 || h.Version < 1 { // Kafka: connectedClientSupportsReauthentication
			a.counted.noReauth.Add(1)
		}
	}
	answerToken(r, h, step.Answer, lifetime)
}

// sessionLastsMax is longer than any connection, and far from where instants overflow: a token
// may expire in the year 9999.
const sessionLastsMax = 100 * 365 * 24 * time.Hour

// lifetime is how long the session lasts that begins now: until the token expires, and
// SessionMax at most; 0: for ever. One whose token has expired just now ends at once.
func (a *SASL) lifetime(expires time.Time) time.Duration {
	longest := min(a.cfg.SessionMax, sessionLastsMax)
	if expires.IsZero() {
		return longest
	}
	left := min(max(expires.Sub(a.cfg.Now()), time.Millisecond), sessionLastsMax)
	if longest > 0 {
		left = min(left, longest)
	}
	return left
}

// failToken answers a token that was not good enough.
func (d *Filter) failToken(a *SASL, s *saslSession, r kring.Request, h Header, why error) {
	s.mu.Lock()
	s.state, s.exchange = saslOver, nil
	mechanism, again := a.names[s.mechanism], s.again
	s.mu.Unlock()
	what := "authentication"
	if again {
		what = "re-authentication"
	}
	told := "Authentication failed during " + what + " due to invalid credentials with SASL mechanism " + mechanism
	reason := "the mechanism failed" // nobody knows what is in the error
	if f := (*sasl.Failure)(nil); errors.As(why, &f) {
		reason = f.Reason
		if f.Told != "" {
			told = f.Told
		}
	}
	if h.Key < 0 {
		d.fail(a, s, r, h, nil, mechanism+": "+reason)
		return
	}
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.Version, resp.ErrorCode, resp.ErrorMessage = h.Version, codeSASLAuthenticationFailed, &told
	d.fail(a, s, r, h, resp, mechanism+": "+reason)
}

// fail ends a connection that has failed to authenticate, after the delay. With resp nil it
// is told nothing.
func (d *Filter) fail(a *SASL, s *saslSession, r kring.Request, h Header, resp kmsg.Response, reason string) {
	s.mu.Lock()
	again := s.again
	s.mu.Unlock()
	if again {
		a.counted.reauthFailed.Add(1)
	} else {
		a.counted.failed.Add(1)
	}
	h.ClientID = nil
	if d.Rejected != nil {
		d.Rejected(r.Conn(), h, &Fault{reqchan.AuthenticationFailed, "kafka: SASL: authentication failed: " + reason})
	}
	r.SetErrorCode(codeSASLAuthenticationFailed)
	var payload []byte
	if resp != nil {
		payload = resp.AppendTo(AppendResponseHeader(nil, h.Key, h.Version, h.CorrelationID))
	}
	delay, now := max(a.cfg.FailureDelay, 0), a.instant()
	if delay > 0 && !a.delays.take(now, now+int64(delay)) {
		a.counted.undelayed.Add(1)
		r.CloseConnection(reqchan.AuthenticationFailed)
		return
	}
	r.CloseConnectionAfter(reqchan.AuthenticationFailed, delay, payload)
}

// refuseState answers SaslHandshake and SaslAuthenticate of a client that is authenticated
// and may not do so again now. The connection goes on.
func (d *Filter) refuseState(r kring.Request) {
	h, f := parseHeader(r.Payload())
	if f == nil {
		_, _, f = validate(h.Key, h.Version, r.Payload()[h.Size:], ElementsMaxDefault)
	}
	if f != nil {
		d.refuseEarly(r, Header{Key: -1}, f)
		return
	}
	of := APIRequest{Header: h, Raw: r}
	if h.Key == keySASLHandshake {
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.Version, resp.ErrorCode = h.Version, codeIllegalSASLState
		of.Respond(resp)
		return
	}
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	told := "SaslAuthenticate request received after successful authentication"
	resp.Version, resp.ErrorCode, resp.ErrorMessage = h.Version, codeIllegalSASLState, &told
	of.Respond(resp)
}
