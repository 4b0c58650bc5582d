package contract

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	kgosasl "github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/reqchan"
	"kring/sasl"
)

// guardedUsers are alice and bob, whose passwords are their names twice.
var guardedUsers = sync.OnceValues(func() (*sasl.Users, error) {
	dir, err := os.MkdirTemp("", "kring-sasl")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "users")
	err = sasl.EditUsers(path, func(l *sasl.UserList) error {
		for _, name := range []string{"alice", "bob", "a,b=c"} {
			u, err := l.Add(name)
			if err != nil {
				return err
			}
			cheap, err := sasl.NewPasswordCredential([]byte(name+name), 10_000)
			if err != nil {
				return err
			}
			u.Plain = &cheap
			if err := u.SetPassword([]byte(name+name), []string{sasl.SCRAMSHA256, sasl.SCRAMSHA512}, 4096); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sasl.OpenUsers(path)
})

// signedTokens are the mechanism OAUTHBEARER, and who signs tokens for it.
var signedTokens = sync.OnceValue(func() func(t *testing.T, user string) (sasl.Mechanism, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return func(t *testing.T, user string) (sasl.Mechanism, string) {
		t.Helper()
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, set, 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := sasl.OpenKeys(t.Context(), sasl.KeySetConfig{Source: path})
		if err != nil {
			t.Fatal(err)
		}
		m, err := sasl.NewOAuthBearer(sasl.OAuthConfig{Keys: keys, Issuer: "us", Audience: []string{"kring"}, Algorithms: []string{"ES256"}})
		if err != nil {
			t.Fatal(err)
		}
		with, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(with).Claims(map[string]any{"iss": "us", "aud": "kring", "sub": user, "exp": time.Now().Add(time.Hour).Unix()}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return m, token
	}
})

// guarded is a server whose clients must authenticate, with a clock of its own for sessions.
type guarded struct {
	*kring.Server
	sasl  *kafka.SASL
	clock atomic.Int64 // what is added to when the test began
	token string       // of alice, for OAUTHBEARER
}

const unauthenticatedBytes = 64 << 10

func startGuarded(t *testing.T, cfg kring.Config, of kafka.SASLConfig) *guarded {
	t.Helper()
	users, err := guardedUsers()
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{}
	bearer, token := signedTokens()(t, "alice")
	g.token = token
	of.Mechanisms = []sasl.Mechanism{sasl.NewPlain(users), bearer}
	for _, name := range []string{sasl.SCRAMSHA256, sasl.SCRAMSHA512} {
		m, err := sasl.NewSCRAM(name, users)
		if err != nil {
			t.Fatal(err)
		}
		of.Mechanisms = append(of.Mechanisms, m)
	}
	began := time.Now()
	of.Now = func() time.Time { return began.Add(time.Duration(g.clock.Load())) }
	if of.FailureDelay == 0 {
		of.FailureDelay = time.Millisecond
	}
	if g.sasl, err = kafka.NewSASL(of); err != nil {
		t.Fatal(err)
	}
	null, err := kafka.NewNull(kafka.NullConfig{})
	if err != nil {
		t.Fatal(err)
	}
	filter := kafka.NewFilter(null.Versions(), null)
	filter.SASL = map[string]*kafka.SASL{"SAFE": g.sasl}
	cfg.Listeners = []kring.ListenerConfig{{Name: "SAFE", Address: "127.0.0.1:0", Limits: kring.LimitsConfig{FrameBytesMaxUnauthenticated: unauthenticatedBytes}}}
	g.Server = servertest.Start(t, cfg, filter)
	return g
}

// principals are whom open connections are of.
func (g *guarded) principals(t *testing.T) (all []string) {
	for _, c := range list(t, g.Server) {
		all = append(all, c.Principal)
	}
	return all
}

// ping asks the server something with a client of franz-go.
func (g *guarded) ping(t *testing.T, m kgosasl.Mechanism) (*kgo.Client, error) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(g.Addrs()[0].String()), kgo.SASL(m), kgo.RequestRetries(0), kgo.RetryTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = c.Ping(ctx)
	return c, err
}

// Kafka: SaslAuthenticatorTest (testValidSaslPlainOverPlaintext, testValidSaslScramSha256,
// testValidSaslScramMechanisms, testValidSaslOauthBearerMechanism, testInvalidPasswordSaslPlain,
// testInvalidUsernameSaslPlain, testInvalidPasswordSaslScram, testUnknownUserSaslScram,
// testScramUsernameWithSpecialCharacters, testMultipleServerMechanisms, testInvalidMechanism).
func TestAClientOfFranzGoAuthenticatesByEveryMechanism(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		g := startGuarded(t, cfg, kafka.SASLConfig{})
		of := func(user, password string) []kgosasl.Mechanism {
			s := scram.Auth{User: user, Pass: password}
			return []kgosasl.Mechanism{plain.Auth{User: user, Pass: password}.AsMechanism(), s.AsSha256Mechanism(), s.AsSha512Mechanism()}
		}
		good := append(of("alice", "alicealice"), oauth.Auth{Token: g.token}.AsMechanism())
		good = append(good, of("a,b=c", "a,b=ca,b=c")...)
		for i, m := range good {
			c, err := g.ping(t, m)
			if err != nil {
				t.Errorf("%s: %v", m.Name(), err)
			}
			want := "User:alice"
			if i > 3 {
				want = "User:a,b=c"
			}
			if all := g.principals(t); !slices.Contains(all, want) || slices.Contains(all, reqchan.PrincipalAnonymous) {
				t.Errorf("%s: connections of %v", m.Name(), all)
			}
			c.Close()
			servertest.Eventually(t, "it is gone", func() bool { return g.Server.Stats().Open == 0 })
		}
		bad := append(of("alice", "wrong"), of("nobody", "alicealice")...)
		for _, m := range bad {
			if _, err := g.ping(t, m); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("%s: %v", m.Name(), err)
			}
		}
		// This client fails by what it is told in JSON, and goes without an answer to it.
		if _, err := g.ping(t, oauth.Auth{Token: g.token[:len(g.token)-4] + "AAAA"}.AsMechanism()); err == nil {
			t.Error("a token with another signature is taken")
		}
		servertest.Eventually(t, "all are counted", func() bool {
			st := g.sasl.Stats()
			return st.Succeeded == uint64(len(good)) && st.Failed == 6 && closedBy(g.Server, reqchan.AuthenticationFailed) == 6
		})
	})
}

// frames speaks with the server in requests.
type frames struct {
	*servertest.Client
	t *testing.T
}

func (g *guarded) dial(t *testing.T) frames { return frames{servertest.Dial(t, g.Server), t} }

func encoded(version int16, req kmsg.Request) string {
	req.SetVersion(version)
	b := header(req.Key(), version, "c", false)
	if req.IsFlexible() {
		b = append(b, 0)
	}
	return string(req.AppendTo(b))
}

func (f frames) response(req kmsg.Request) kmsg.Response {
	f.t.Helper()
	b := []byte(f.Receive())[4:]
	if req.IsFlexible() {
		b = b[1:]
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(b); err != nil {
		f.t.Fatal(err)
	}
	return resp
}

func handshakeOf(mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = mechanism
	return req
}

func tokenOf(token string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = []byte(token)
	return req
}

const alice = "\x00alice\x00alicealice"

// logIn authenticates alice by PLAIN.
func (f frames) logIn(version int16) *kmsg.SASLAuthenticateResponse {
	f.t.Helper()
	req := handshakeOf("PLAIN")
	f.Send(encoded(1, req))
	if resp := f.response(req).(*kmsg.SASLHandshakeResponse); resp.ErrorCode != 0 {
		f.t.Fatalf("the handshake: error %d", resp.ErrorCode)
	}
	token := tokenOf(alice)
	f.Send(encoded(version, token))
	resp := f.response(token).(*kmsg.SASLAuthenticateResponse)
	if resp.ErrorCode != 0 {
		f.t.Fatalf("the token: error %d", resp.ErrorCode)
	}
	return resp
}

// served demands that the client is.
func (f frames) served() {
	f.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	f.Send(encoded(9, req))
	f.response(req)
}

// A client may send all at once: handshake, token and what it wants. It is served in that
// order, or not at all.
//
// Kafka: SaslAuthenticatorTest (testDisallowedKafkaRequestsBeforeAuthentication), F-80.
func TestRequestsThatAreSentAheadWaitForAuthentication(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, pipeline := range []int{1, 8} {
			cfg.Limits.PipelineMax = pipeline
			g := startGuarded(t, cfg, kafka.SASLConfig{})
			handshake, good, bad, metadata := handshakeOf("PLAIN"), tokenOf(alice), tokenOf("\x00alice\x00wrong"), kmsg.NewPtrMetadataRequest()
			c := g.dial(t)
			c.Send(encoded(1, handshake), encoded(2, good), encoded(9, metadata), encoded(9, metadata))
			for _, req := range []kmsg.Request{handshake, good, metadata, metadata} {
				c.response(req)
			}
			c = g.dial(t)
			c.Send(encoded(1, handshake), encoded(2, bad), encoded(9, metadata), encoded(1, handshake), encoded(2, good))
			c.response(handshake)
			if resp := c.response(bad).(*kmsg.SASLAuthenticateResponse); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code {
				t.Errorf("error %d", resp.ErrorCode)
			}
			c.AwaitClose()
			c = g.dial(t)
			c.Send(encoded(9, metadata), encoded(1, handshake), encoded(2, good))
			c.AwaitClose()
			servertest.Eventually(t, "both are counted", func() bool {
				return closedBy(g.Server, reqchan.AuthenticationFailed) == 1 && closedBy(g.Server, reqchan.NotAuthenticated) == 1
			})
		}
	})
}

// Tokens come as they are after a handshake of version 0, an empty one as an empty frame.
//
// Kafka: SaslAuthenticatorTest (…HandshakeVersion0), F-80.
func TestRawTokensAuthenticate(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		g := startGuarded(t, cfg, kafka.SASLConfig{SessionMax: time.Minute})
		c := g.dial(t)
		begin := func(c frames, mechanism string) {
			req := handshakeOf(mechanism)
			c.Send(encoded(0, req))
			c.response(req)
		}
		begin(c, "PLAIN")
		c.Ask(alice, "")
		c.served()
		begin(c, "PLAIN") // again
		c.Ask(alice, "")
		c.served()
		g.clock.Add(int64(time.Minute) + 1)
		c.Send(encoded(9, kmsg.NewPtrMetadataRequest()))
		c.AwaitClose()
		for _, token := range []string{"", "\x00alice\x00wrong", encoded(9, kmsg.NewPtrMetadataRequest())} {
			c = g.dial(t)
			begin(c, "PLAIN")
			c.Send(token)
			c.AwaitClose()
		}
		c = g.dial(t)
		begin(c, "SCRAM-SHA-256")
		c.Send("n,,n=nobody,r=abc")
		if first := c.Receive(); len(first) < 20 || first[:5] != "r=abc" {
			t.Errorf("the false exchange begins %q", first)
		}
		servertest.Eventually(t, "all are counted", func() bool {
			return closedBy(g.Server, reqchan.AuthenticationFailed) == 3 && closedBy(g.Server, reqchan.SessionExpired) == 1
		})
	})
}

// Kafka: SaslAuthenticatorTest (testPacketSizeTooBig, testInvalidSaslPacket), Q-7.
func TestAStrangerSendsSmallFramesOnly(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		g := startGuarded(t, cfg, kafka.SASLConfig{})
		c := g.dial(t)
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], unauthenticatedBytes+1)
		if _, err := c.Write(size[:]); err != nil {
			t.Fatal(err)
		}
		c.AwaitClose()
		c = g.dial(t)
		c.logIn(2)
		large := kmsg.NewPtrMetadataRequest()
		for range unauthenticatedBytes / 8 {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr("the-same")
			large.Topics = append(large.Topics, topic)
		}
		c.Send(encoded(9, large))
		c.response(large)
		servertest.Eventually(t, "it is counted", func() bool { return closedBy(g.Server, reqchan.FrameTooBig) == 1 })
	})
}

// Kafka: SS-26, SS-27, F-23, F-24.
func TestASessionThatEndedClosesItsConnectionAtTheNextRequest(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		g := startGuarded(t, cfg, kafka.SASLConfig{SessionMax: time.Minute})
		c, idle := g.dial(t), g.dial(t)
		for version, want := range []int64{0, 60_000, 60_000} {
			if got := c.logIn(int16(version)); got.SessionLifetimeMillis != want {
				t.Errorf("version %d: a lifetime of %d ms", version, got.SessionLifetimeMillis)
			}
			c.served()
			g.clock.Add(int64(59 * time.Second))
		}
		idle.logIn(2)
		g.clock.Add(int64(2 * time.Second))
		c.Send(encoded(9, kmsg.NewPtrMetadataRequest()))
		c.AwaitClose()
		idle.served()
		g.clock.Add(int64(time.Hour))
		idle.logIn(2) // may come late
		idle.served()
		if st := g.sasl.Stats(); st.Succeeded != 2 || st.Reauthenticated != 3 || st.Expired != 1 {
			t.Errorf("%+v", st)
		}
		servertest.Eventually(t, "it is counted", func() bool { return closedBy(g.Server, reqchan.SessionExpired) == 1 })
	})
}

// A client that failed waits for the answer, and a server that shuts down does not.
//
// Kafka: F-56.
func TestAFailureIsToldAfterItsDelay(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		g := startGuarded(t, cfg, kafka.SASLConfig{FailureDelay: time.Hour, DelayedMax: 2})
		var waiting []frames
		for range 2 {
			c := g.dial(t)
			c.Send(encoded(1, handshakeOf("PLAIN")), encoded(2, tokenOf("\x00nobody\x00x")))
			c.response(handshakeOf("PLAIN"))
			waiting = append(waiting, c)
		}
		servertest.Eventually(t, "both wait", func() bool { return g.Server.Stats().Total.Parks == 2 })
		c := g.dial(t) // there is no place for a third
		c.Send(encoded(1, handshakeOf("PLAIN")), encoded(2, tokenOf("\x00nobody\x00x")))
		c.response(handshakeOf("PLAIN"))
		c.AwaitClose()
		c = g.dial(t)
		c.logIn(2) // and others are served
		c.served()
		_ = c.Close()
		servertest.Shutdown(t, g.Server)
		for _, c := range waiting {
			token := tokenOf("")
			token.SetVersion(2)
			if resp := c.response(token).(*kmsg.SASLAuthenticateResponse); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code {
				t.Errorf("error %d", resp.ErrorCode)
			}
			c.AwaitClose()
		}
	})
}
