package kafka

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/reqchan"
	"kring/sasl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// toy is a mechanism that takes "user NAME" and, if there is a question, "answer". "expires
// NAME" gives an identity that ends.
type toy struct {
	name    string
	asks    bool
	expires time.Time
	gate    chan struct{} // nil: open
	panics  string
	exits   bool
	known   string // a token that is known to be good
}

func (m *toy) Name() string         { return m.name }
func (m *toy) Begin() sasl.Exchange { return &toyExchange{m: m} }

type toyExchange struct {
	m    *toy
	user string
}

func (x *toyExchange) NextQuickly(token []byte) (sasl.Step, bool) {
	if x.m.known == "" || string(token) != x.m.known {
		return sasl.Step{}, false
	}
	if x.m.panics != "" {
		panic(x.m.panics)
	}
	return sasl.Step{Done: true, Identity: sasl.Identity{User: "known"}}, true
}

func (x *toyExchange) Next(_ context.Context, token []byte) (sasl.Step, error) {
	if x.m.gate != nil {
		<-x.m.gate
	}
	if x.m.panics != "" {
		panic(x.m.panics)
	}
	if x.m.exits {
		runtime.Goexit()
	}
	user, ok := strings.CutPrefix(string(token), "user ")
	switch {
	case x.user != "" && string(token) == "answer":
		return sasl.Step{Done: true, Identity: sasl.Identity{User: x.user, Expires: x.m.expires}}, nil
	case !ok && string(token) == "told":
		return sasl.Step{}, &sasl.Failure{Told: "as it is told", Reason: "a reason"}
	case !ok:
		return sasl.Step{}, errors.New("not to be shown")
	case x.m.asks:
		x.user = user
		return sasl.Step{Answer: []byte("question")}, nil
	}
	return sasl.Step{Done: true, Identity: sasl.Identity{User: user, Expires: x.m.expires}, Answer: []byte("welcome")}, nil
}

// saslFilter is a Filter with SASL, a client in front of it, and a clock.
type saslFilter struct {
	*client
	sasl   *SASL
	filter *Filter
	hear   *recorder
	now    atomic.Int64

	mu   sync.Mutex
	said []string // guarded by mu; why requests were refused
}

func filterWithSASL(t *testing.T, cfg SASLConfig) *saslFilter {
	t.Helper()
	g := &saslFilter{hear: &recorder{}}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Unix(1_000_000, g.now.Load()) }
	}
	if cfg.Mechanisms == nil {
		cfg.Mechanisms = []sasl.Mechanism{&toy{name: "TOY"}, &toy{name: "ASK", asks: true}}
	}
	var err error
	if g.sasl, err = NewSASL(cfg); err != nil {
		t.Fatal(err)
	}
	v, err := NewVersions(VersionRange{3, 0, 12}, VersionRange{18, 0, 3})
	if err != nil {
		t.Fatal(err)
	}
	g.filter = NewFilter(v, g.hear)
	g.filter.SASL = map[string]*SASL{"SAFE": g.sasl}
	g.filter.Rejected = func(_ *reqchan.Conn, h Header, why *Fault) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(h.ClientID) > 0 && why.Reason != reqchan.SessionExpired {
			t.Errorf("the client id %q of a stranger is shown", h.ClientID)
		}
		g.said = append(g.said, why.Error())
	}
	g.client = newClient(t, g.filter)
	g.connect()
	return g
}

// connect begins anew.
func (g *saslFilter) connect() { g.conn = &reqchan.Conn{Listener: "SAFE"} }

func (g *saslFilter) handshake(version int16, mechanism string) *kmsg.SASLHandshakeResponse {
	g.t.Helper()
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = mechanism
	return ask[*kmsg.SASLHandshakeResponse](g.client, req, version)
}

func (g *saslFilter) token(version int16, token string) *kmsg.SASLAuthenticateResponse {
	g.t.Helper()
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = []byte(token)
	return ask[*kmsg.SASLAuthenticateResponse](g.client, req, version)
}

// closes demands that payload closes the connection, at once and without a word.
func (g *saslFilter) closes(why reqchan.CloseReason, payload []byte) {
	g.t.Helper()
	if kind, response, got := g.send(payload); kind != reqchan.AnswerClose || got != why || response != nil {
		g.t.Errorf("%x: %v, %v, %x; want a close for %v", payload, kind, got, response, why)
	}
}

// fails demands the error of a token, with the end of the connection after the delay.
func (g *saslFilter) fails(version int16, token, told string) {
	g.t.Helper()
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = version, []byte(token)
	kind, response, why := g.send(framePayload(req, 4711, "test"))
	if kind != reqchan.AnswerClose || why != reqchan.AuthenticationFailed || response == nil || g.request.CloseAt() == 0 {
		g.t.Fatalf("%v, %v, %x", kind, why, response)
	}
	resp := decodeResponse[*kmsg.SASLAuthenticateResponse](g.t, response[reqchan.SizeBytes:], req)
	if resp.ErrorCode != 58 || resp.ErrorMessage == nil || *resp.ErrorMessage != told {
		g.t.Errorf("error %d, %v; want %q", resp.ErrorCode, resp.ErrorMessage, told)
	}
}

func metadataFrame(version int16) []byte {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = version
	return framePayload(req, 1, "secret-in-the-wrong-place")
}

func versionsRequest(version int16, name string) []byte {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, name, "1"
	return framePayload(req, 4711, "test")
}

// served demands that the client is served now, as user.
func (g *saslFilter) served(user string) {
	g.t.Helper()
	before := len(g.hear.calls)
	if kind, _, why := g.send(metadataFrame(9)); kind != reqchan.AnswerNoResponse || len(g.hear.calls) != before+1 {
		g.t.Errorf("Metadata: %v, %v", kind, why)
	}
	if g.conn.Principal() != "User:"+user || !g.conn.Authenticated() {
		g.t.Errorf("it is %s", g.conn.Principal())
	}
}

func (g *saslFilter) logIn(user string) {
	g.t.Helper()
	g.handshake(1, "TOY")
	g.token(2, "user "+user)
	g.served(user)
}

// Kafka: SaslAuthenticatorTest, F-80.
func TestAClientAuthenticatesInEveryVersion(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{})
	for version := range int16(3) {
		for _, withVersions := range []bool{true, false} {
			g.connect()
			if withVersions {
				kind, response, _ := g.send(versionsRequest(3, "client"))
				resp := kmsg.NewPtrApiVersionsResponse()
				resp.Version = 3
				if err := resp.ReadFrom(response[4:]); err != nil || kind != reqchan.AnswerSend {
					t.Fatal(err)
				}
				if got := rangesOf(resp); !slices.Equal(got, []VersionRange{{3, 0, 12}, {17, 0, 1}, {18, 0, 3}, {36, 0, 2}}) {
					t.Errorf("announces %v", got)
				}
			}
			if h := g.handshake(1, "ASK"); h.ErrorCode != 0 || !slices.Equal(h.SupportedMechanisms, []string{"TOY", "ASK"}) {
				t.Errorf("handshake: %+v", h)
			}
			if r := g.token(version, "user alice"); r.ErrorCode != 0 || string(r.SASLAuthBytes) != "question" || g.conn.Authenticated() {
				t.Errorf("first token: %+v", r)
			}
			if r := g.token(version, "answer"); r.ErrorCode != 0 || len(r.SASLAuthBytes) != 0 || r.SessionLifetimeMillis != 0 {
				t.Errorf("second token: %+v", r)
			}
			g.served("alice")
			// KafkaApis: both are refused from now on, and the connection goes on.
			if h := g.handshake(1, "ASK"); h.ErrorCode != 34 || len(h.SupportedMechanisms) != 0 {
				t.Errorf("a second handshake: %+v", h)
			}
			if r := g.token(version, "user bob"); r.ErrorCode != 34 {
				t.Errorf("a token behind: %+v", r)
			}
			g.served("alice")
		}
	}
	if st := g.sasl.Stats(); st.Succeeded != 6 || st.NoReauth != 2 || st.Failed+st.Early != 0 {
		t.Errorf("%+v", st)
	}
}

func TestAClientAuthenticatesByRawTokens(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{})
	for _, mechanism := range []string{"ASK", "TOY"} {
		g.connect()
		if h := g.handshake(0, mechanism); h.ErrorCode != 0 {
			t.Fatalf("%+v", h)
		}
		kind, answer, _ := g.send([]byte("user alice"))
		if mechanism == "ASK" {
			if kind != reqchan.AnswerSend || string(answer) != "question" {
				t.Fatalf("%v, %q", kind, answer)
			}
			kind, answer, _ = g.send([]byte("answer"))
			if kind != reqchan.AnswerSend || len(answer) != 0 { // an empty frame: Kafka sends one
				t.Fatalf("%v, %q", kind, answer)
			}
		} else if string(answer) != "welcome" {
			t.Fatalf("%v, %q", kind, answer)
		}
		g.served("alice")
	}
	g.connect()
	g.handshake(0, "TOY")
	kind, response, why := g.send(nil) // an empty token is one
	if kind != reqchan.AnswerClose || why != reqchan.AuthenticationFailed || response != nil || g.request.CloseAt() == 0 {
		t.Errorf("a bad raw token: %v, %v, %x", kind, why, response)
	}
}

// Kafka: SaslAuthenticatorTest, F-80.
func TestWhatComesBeforeAuthenticationClosesTheConnection(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{})
	token := kmsg.NewPtrSASLAuthenticateRequest()
	token.Version, token.SASLAuthBytes = 2, []byte("user alice")
	early := reqchan.NotAuthenticated
	g.closes(early, metadataFrame(9))
	g.closes(early, metadataFrame(9)) // and again: it is over
	for name, payload := range map[string][]byte{
		"a token without a handshake":  framePayload(token, 1, ""),
		"nothing":                      nil,
		"no request":                   []byte("GET / HTTP/1.1\r\n"),
		"an API that there is not":     rawHeader(500, 0, 0),
		"a handshake of version 2":     rawHeader(17, 2, 0, 0, 0xff, 0xff),
		"a token of version 3":         rawHeader(36, 3, 0, 0),
		"SCRAM users":                  rawHeader(51, 0, 0, 0),
		"an ancient client's token":    {0x60, 0x82, 1, 2, 3, 4, 5, 6, 7, 8},
		"Produce of a version unknown": rawHeader(0, 99, 0, 0),
	} {
		g.connect()
		g.closes(early, payload)
		g.closes(early, versionsRequest(3, "client"))
		if t.Failed() {
			t.Fatal(name)
		}
	}
	g.connect()
	g.closes(reqchan.BodyMalformed, rawHeader(17, 1, 0, 9, 'x'))

	g.connect() // ApiVersions once; of an unknown version, or a bad name, it is answered and may come again
	for range 2 {
		if kind, _, _ := g.send(rawHeader(18, 99, 0, 0)); kind != reqchan.AnswerSend {
			t.Fatal("an unknown version of ApiVersions is not answered")
		}
	}
	if kind, _, _ := g.send(versionsRequest(3, "client")); kind != reqchan.AnswerSend {
		t.Fatal("ApiVersions is not answered")
	}
	g.closes(early, versionsRequest(3, "client"))

	for _, payload := range [][]byte{metadataFrame(9), versionsRequest(3, "client"), rawHeader(17, 1, 0, 0, 0, 3, 'T', 'O', 'Y')} {
		g.connect() // between handshake and token nothing else may come
		g.handshake(1, "TOY")
		g.closes(early, payload)
		g.closes(early, framePayload(token, 1, ""))
	}
	if len(g.hear.calls) != 0 {
		t.Errorf("%d requests reached the handler", len(g.hear.calls))
	}
	if st := g.sasl.Stats(); st.Early < 20 || st.Succeeded != 0 {
		t.Errorf("%+v", st)
	}
}

// A client that has not authenticated is answered a few times only.
func TestAStrangerAsksForVersionsAFewTimes(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{})
	req := kmsg.NewPtrApiVersionsRequest()
	req.SetVersion(99)
	for range versionAsksMax {
		if kind, _, why := g.send(framePayload(req, 1, "")); kind != reqchan.AnswerSend {
			t.Fatalf("%v, %v", kind, why)
		}
	}
	g.closes(reqchan.NotAuthenticated, framePayload(req, 1, ""))
}

func TestOtherListenersAreOpen(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{})
	g.conn = &reqchan.Conn{Listener: "OPEN"}
	if kind, _, why := g.send(metadataFrame(9)); kind != reqchan.AnswerNoResponse {
		t.Errorf("%v, %v", kind, why)
	}
	g.closes(reqchan.UnknownAPI, rawHeader(17, 1, 0, 0, 0, 3, 'T', 'O', 'Y'))
	_, response, _ := g.send(rawHeader(18, 99, 0, 0))
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(response[4:]); err != nil || len(resp.ApiKeys) != 2 {
		t.Errorf("%v, %v", resp.ApiKeys, err)
	}
}

func TestFailuresAreToldAsKafkaDoes(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{FailureDelay: time.Minute, DelayedMax: 3})
	for version := range int16(3) {
		g.connect()
		g.handshake(1, "ASK")
		if version == 2 {
			g.fails(version, "told", "as it is told")
			continue
		}
		g.fails(version, "user", "Authentication failed during authentication due to invalid credentials with SASL mechanism ASK")
	}
	g.connect() // the fourth finds no place to wait
	g.handshake(1, "ASK")
	token := kmsg.NewPtrSASLAuthenticateRequest()
	token.Version, token.SASLAuthBytes = 1, []byte("bad")
	g.closes(reqchan.AuthenticationFailed, framePayload(token, 4711, ""))
	if g.conn.Authenticated() || g.conn.Principal() != reqchan.PrincipalAnonymous {
		t.Error("it is authenticated")
	}
	g.now.Add(int64(time.Minute))
	g.connect()
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, "GSSAPI"
	kind, response, why := g.send(framePayload(req, 4711, "test"))
	if kind != reqchan.AnswerClose || why != reqchan.AuthenticationFailed {
		t.Fatalf("%v, %v", kind, why)
	}
	resp := decodeResponse[*kmsg.SASLHandshakeResponse](t, response[reqchan.SizeBytes:], req)
	if resp.ErrorCode != 33 || !slices.Equal(resp.SupportedMechanisms, []string{"TOY", "ASK"}) {
		t.Errorf("%+v", resp)
	}
	if st := g.sasl.Stats(); st.Failed != 5 || st.Undelayed != 1 {
		t.Errorf("%+v", st)
	}
	for _, said := range g.said {
		if strings.Contains(said, "not to be shown") || !strings.Contains(said, "authentication failed") {
			t.Errorf("said %q", said)
		}
	}
}

// Kafka: SS-26, SS-27, F-23, F-24.
func TestASessionEndsUnlessTheClientAuthenticatesAgain(t *testing.T) {
	for _, raw := range []bool{false, true} {
		g := filterWithSASL(t, SASLConfig{SessionMax: 10 * time.Second})
		begin := func(user string) {
			if raw {
				g.handshake(0, "TOY")
				g.send([]byte("user " + user))
			} else {
				g.handshake(1, "TOY")
				if r := g.token(1, "user "+user); r.SessionLifetimeMillis != 10_000 {
					t.Errorf("a lifetime of %d ms", r.SessionLifetimeMillis)
				}
			}
			g.served(user)
		}
		begin("alice")
		g.now.Add(int64(9 * time.Second))
		begin("alice") // again
		g.now.Add(int64(10 * time.Second))
		g.served("alice") // at the instant it has not ended yet
		g.now.Add(1)
		begin("alice") // a handshake may come after the end
		g.now.Add(int64(500 * time.Millisecond))
		if h := g.handshake(1, "TOY"); h.ErrorCode != 34 { // more than once a second
			t.Errorf("again at once: %+v", h)
		}
		g.served("alice")
		g.now.Add(int64(10 * time.Second))
		g.closes(reqchan.SessionExpired, metadataFrame(9))
		if st := g.sasl.Stats(); st.Succeeded != 1 || st.Reauthenticated != 2 || st.ReauthLatency.Count != 2 || st.Expired != 1 {
			t.Errorf("%+v", st)
		}
	}
}

func TestOnlyTheSameUserByTheSameMechanismAuthenticatesAgain(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{SessionMax: 10 * time.Second})
	g.logIn("alice")
	g.handshake(1, "TOY")
	g.fails(1, "user bob", "Cannot change principals during re-authentication from User.alice: User.bob")
	g.connect()
	g.logIn("alice")
	g.handshake(1, "ASK")
	g.token(1, "user alice")
	g.fails(1, "answer", "SASL mechanism 'ASK' requested by client is not supported for re-authentication of mechanism 'TOY'")
	g.connect()
	g.logIn("alice")
	g.handshake(1, "TOY")
	g.fails(1, "bad", "Authentication failed during re-authentication due to invalid credentials with SASL mechanism TOY")
	g.connect()
	g.logIn("alice")
	g.handshake(1, "TOY")
	g.closes(reqchan.NotAuthenticated, metadataFrame(9)) // nothing else in between
	if st := g.sasl.Stats(); st.Succeeded != 4 || st.ReauthFailed != 3 || st.Reauthenticated != 0 {
		t.Errorf("%+v", st)
	}
}

// TestATokenThatExpiresEndsItsSession: KAFKA-13848, with and without SessionMax.
func TestATokenThatExpiresEndsItsSession(t *testing.T) {
	for _, k := range []struct{ max, left, want time.Duration }{
		{0, time.Hour, time.Hour}, {time.Minute, time.Hour, time.Minute}, {time.Hour, time.Minute, time.Minute}, {0, -time.Second, time.Millisecond},
	} {
		g := filterWithSASL(t, SASLConfig{SessionMax: k.max, Mechanisms: []sasl.Mechanism{&toy{name: "TOY", expires: time.Unix(1_000_000, 0).Add(k.left)}}})
		g.handshake(1, "TOY")
		if r := g.token(2, "user alice"); r.SessionLifetimeMillis != k.want.Milliseconds() {
			t.Errorf("%+v: %d ms", k, r.SessionLifetimeMillis)
		}
		g.served("alice")
		g.now.Add(int64(k.want) + 1)
		g.closes(reqchan.SessionExpired, metadataFrame(9))
	}
}

func TestHowManyAuthenticateIsBounded(t *testing.T) {
	gate := make(chan struct{})
	g := filterWithSASL(t, SASLConfig{Mechanisms: []sasl.Mechanism{&toy{name: "TOY", gate: gate}, &toy{name: "ASK", asks: true}}, RunningMax: 1, WaitingMax: 2})
	var waiting []*client
	for range 3 {
		c := newClient(t, g.filter)
		c.conn = &reqchan.Conn{Listener: "SAFE"}
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Mechanism = "TOY"
		c.send(framePayload(req, 1, ""))
		if c.start([]byte("user alice")) {
			t.Fatal("answered on the handler's goroutine")
		}
		waiting = append(waiting, c)
	}
	g.handshake(0, "TOY")
	g.closes(reqchan.AuthenticationOverload, []byte("user alice"))
	g.connect()
	g.handshake(0, "ASK") // has a line of its own
	if _, answer, _ := g.send([]byte("user alice")); string(answer) != "question" {
		t.Errorf("%q", answer)
	}
	if st := g.sasl.Stats(); st.Waiting != 2 || st.Overloaded != 1 {
		t.Errorf("%+v", st)
	}
	reqchan.ConnGone(waiting[1].conn, reqchan.PeerFinished) // whose answer nobody waits for either
	reqchan.EndConn(waiting[2].conn, reqchan.PeerReset)
	close(gate)
	for i, c := range waiting {
		c.await()
		if want := i < 1; c.conn.Authenticated() != want {
			t.Errorf("client %d: authenticated %v", i, !want)
		}
	}
}

// from begins the authentication of another client, by TOY and raw tokens.
func (g *saslFilter) from(addr string) *client {
	g.t.Helper()
	c := newClient(g.t, g.filter)
	c.conn = &reqchan.Conn{Listener: "SAFE", Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)}
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = "TOY"
	c.send(framePayload(req, 1, ""))
	return c
}

// Who is known to be good does not stand in line with those who guess, and among these each
// address has its turn.
func TestAFloodOfGuessesKeepsNobodyOut(t *testing.T) {
	gate := make(chan struct{})
	g := filterWithSASL(t, SASLConfig{Mechanisms: []sasl.Mechanism{&toy{name: "TOY", gate: gate, known: "known"}}, RunningMax: 1, WaitingMax: 4})
	var flood []*client
	for range 5 {
		c := g.from("10.0.0.9")
		if c.start([]byte("a guess")) {
			t.Fatal("a guess is answered at once")
		}
		flood = append(flood, c)
	}
	if kind, _, why := g.from("10.0.0.9").send([]byte("a guess")); kind != reqchan.AnswerClose || why != reqchan.AuthenticationOverload {
		t.Errorf("one more guess: %v, %v", kind, why)
	}
	if c := g.from("10.0.0.9"); !c.start([]byte("known")) || !c.conn.Authenticated() {
		t.Error("who is known stands in line")
	}
	good := g.from("10.0.0.1")
	if good.start([]byte("user alice")) {
		t.Fatal("a new client is not let in line, or answered at once")
	}
	flood[4].await() // the youngest made way
	if _, _, why := flood[4].request.Answer(); why != reqchan.AuthenticationOverload {
		t.Errorf("who made way: %v", why)
	}
	gate <- struct{}{} // the first of the flood, which runs; the second was in line before
	gate <- struct{}{}
	gate <- struct{}{}
	good.await()
	if !good.conn.Authenticated() || g.sasl.Stats().Waiting > 2 {
		t.Errorf("the new client waited for all of the flood: %+v", g.sasl.Stats())
	}
	close(gate)
	for _, c := range flood[:4] {
		c.await()
	}
}

// A mechanism that ends its goroutine closes its connection, and keeps nobody waiting.
func TestAMechanismThatEndsItsGoroutineClosesItsConnectionOnly(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{Mechanisms: []sasl.Mechanism{&toy{name: "TOY", exits: true}}, RunningMax: 1})
	for range 3 {
		g.connect()
		g.handshake(0, "TOY")
		g.closes(reqchan.HandlerPanicked, []byte("user alice"))
	}
}

func TestAMechanismThatPanicsClosesItsConnectionOnly(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{Mechanisms: []sasl.Mechanism{&toy{name: "TOY", panics: "with a password"}}})
	for range 3 {
		g.connect()
		g.handshake(0, "TOY")
		g.closes(reqchan.HandlerPanicked, []byte("user alice"))
	}
	g = filterWithSASL(t, SASLConfig{Mechanisms: []sasl.Mechanism{&toy{name: "TOY", panics: "with a password", known: "known"}}})
	g.handshake(0, "TOY")
	g.closes(reqchan.HandlerPanicked, []byte("known"))
}

func TestATokenDoesNotStayInMemory(t *testing.T) {
	g := filterWithSASL(t, SASLConfig{})
	g.handshake(1, "ASK")
	g.token(2, "user canary-alice")
	if strings.Contains(string(g.frame[:cap(g.frame)]), "canary-alice") {
		t.Error("it is in the request's memory, which others get")
	}
}

func TestSASLConfigReportsEveryFault(t *testing.T) {
	err := SASLConfig{SessionMax: -1, DelayedMax: -1, RunningMax: -1, WaitingMax: -1, StepTimeout: -1}.Validate()
	for _, want := range []string{"Mechanisms is empty", "SessionMax", "DelayedMax", "RunningMax", "WaitingMax", "StepTimeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %q is missing", err, want)
		}
	}
	if err := (SASLConfig{Mechanisms: []sasl.Mechanism{&toy{name: "A"}, &toy{name: "A"}}}).Validate(); err == nil {
		t.Error("a mechanism twice")
	}
}
