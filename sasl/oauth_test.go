package sasl

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signer signs tokens with one key.
type signer struct {
	t   testing.TB
	key *ecdsa.PrivateKey
	id  string
}

func newSigner(t testing.TB, id string) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, key, id}
}

func (s signer) sign(claims map[string]any) string {
	s.t.Helper()
	with, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := jwt.Signed(with).Claims(claims).Serialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// keySet is the JSON of signers' public keys.
func keySet(t testing.TB, of ...signer) []byte {
	var set jose.JSONWebKeySet
	for _, s := range of {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: "ES256", Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func keyFile(t testing.TB, text []byte) string {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openKeys(t testing.TB, cfg KeySetConfig) *KeySet {
	t.Helper()
	keys, err := OpenKeys(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Close)
	return keys
}

// at is when the tokens of the tests are judged.
var at = time.Unix(2_000_000_000, 0)

func claims(change map[string]any) map[string]any {
	all := map[string]any{"iss": "https://issuer.example", "aud": []string{"kring", "other"}, "sub": "alice", "exp": at.Add(time.Hour).Unix(), "iat": at.Unix()}
	for k, v := range change {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	return all
}

func oauthOf(t testing.TB, keys *KeySet) Mechanism {
	t.Helper()
	m, err := NewOAuthBearer(OAuthConfig{
		Keys: keys, Issuer: "https://issuer.example", Audience: []string{"kring"}, Algorithms: []string{"ES256"}, Now: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func bearer(token string) []byte { return []byte("n,,\x01auth=Bearer " + token + "\x01\x01") }

func TestOAuthBearerTakesTokensThatAreGoodEnoughOnly(t *testing.T) {
	good, evil := newSigner(t, "one"), newSigner(t, "one")
	m := oauthOf(t, openKeys(t, KeySetConfig{Source: keyFile(t, keySet(t, good))}))
	step, err := m.Begin().Next(t.Context(), bearer(good.sign(claims(nil))))
	if err != nil || !step.Done || step.Identity.User != "alice" || !step.Identity.Expires.Equal(at.Add(time.Hour)) || len(step.Answer) > 0 {
		t.Fatalf("a good token: %+v, %v", step, err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"alice"}`)) + "."
	whole := good.sign(claims(nil))
	for name, token := range map[string]string{
		"of another issuer":       good.sign(claims(map[string]any{"iss": "https://evil.example"})),
		"without an issuer":       good.sign(claims(map[string]any{"iss": nil})),
		"for another audience":    good.sign(claims(map[string]any{"aud": "other"})),
		"without an audience":     good.sign(claims(map[string]any{"aud": nil})),
		"that has expired":        good.sign(claims(map[string]any{"exp": at.Add(-31 * time.Second).Unix()})),
		"that never expires":      good.sign(claims(map[string]any{"exp": nil})),
		"that is not valid yet":   good.sign(claims(map[string]any{"nbf": at.Add(31 * time.Second).Unix()})),
		"of the future":           good.sign(claims(map[string]any{"iat": at.Add(31 * time.Second).Unix()})),
		"of nobody":               good.sign(claims(map[string]any{"sub": nil})),
		"of a number":             good.sign(claims(map[string]any{"sub": 7})),
		"of a name with a NUL":    good.sign(claims(map[string]any{"sub": "ali\x00ce"})),
		"signed by another":       evil.sign(claims(nil)),
		"by a key of another id":  newSigner(t, "two").sign(claims(nil)),
		"without an algorithm":    none,
		"that is changed":         whole[:len(whole)-8] + "AAAAAAAA",
		"that is no token at all": canary,
	} {
		x := m.Begin()
		step, err := x.Next(t.Context(), bearer(token))
		if err != nil || step.Done || string(step.Answer) != oauthFailed {
			t.Errorf("a token %s: %+v, %v", name, step, err)
			continue
		}
		_, err = x.Next(t.Context(), []byte{1})
		hides(t, err)
		if toldOf(err) != oauthFailed {
			t.Errorf("a token %s, at the end: %v", name, err)
		}
		x = m.Begin() // a good token does not follow a bad one
		_, _ = x.Next(t.Context(), bearer(token))
		if step, err := x.Next(t.Context(), bearer(whole)); err == nil {
			t.Errorf("a token %s, and then a good one: %+v", name, step)
		}
	}
}

func TestOAuthBearerMessages(t *testing.T) {
	good := newSigner(t, "one")
	m := oauthOf(t, openKeys(t, KeySetConfig{Source: keyFile(t, keySet(t, good))}))
	token := good.sign(claims(nil))
	for message, ok := range map[string]bool{
		"n,,\x01auth=Bearer " + token + "\x01\x01":                              true,
		"n,a=alice,\x01auth=bearer  " + token + "\x01\x01":                      true,
		"n,,\x01traceId=1 2\x01auth=Bearer " + token + "\x01\x01":               true,
		"n,a=bob,\x01auth=Bearer " + token + "\x01\x01":                         false,
		"y,,\x01auth=Bearer " + token + "\x01\x01":                              false,
		"n,,\x01auth=Bearer " + token + "\x01":                                  false,
		"n,,\x01auth=Basic " + token + "\x01\x01":                               false,
		"n,,\x01auth=Bearer \x01\x01":                                           false,
		"n,,\x01auth=Bearer " + token + "\x01auth=Bearer " + token + "\x01\x01": false,
		"n,,\x01key1=x\x01auth=Bearer " + token + "\x01\x01":                    false,
		"n,,\x01key=\x01auth=Bearer " + token + "\x01\x01":                      false,
		"n,a=,\x01auth=Bearer " + token + "\x01\x01":                            false,
		"n,a=a=b,\x01auth=Bearer " + token + "\x01\x01":                         false,
		"n,,\x01key=value\x01\x01":                                              false,
		"":                                                                      false, "n": false, "n,": false, "n,,": false, "n,,\x01": false, "n,,\x01\x01": false, "\x01": false,
		"n,,\x01auth=Bearer " + strings.Repeat("a", 70_000) + "\x01\x01": false,
	} {
		step, err := m.Begin().Next(t.Context(), []byte(message))
		if got := err == nil && step.Done; got != ok {
			t.Errorf("%.40q: %v, %v", message, step, err)
		}
	}
}

func TestOAuthBearerDemandsWhatMakesATokenOurs(t *testing.T) {
	err := OAuthConfig{Algorithms: []string{"none", "HS256", "RS256"}}.Validate()
	for _, want := range []string{"Keys is nil", "Issuer is empty", "Audience []", `"none"`, `"HS256"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %q is missing", err, want)
		}
	}
	if _, err := NewOAuthBearer(OAuthConfig{}); err == nil || !strings.Contains(err.Error(), "Algorithms is empty") {
		t.Errorf("%v", err)
	}
}

func TestAKeySetMustBePublicAndWhole(t *testing.T) {
	s := newSigner(t, "one")
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key, KeyID: "one"}}})
	if err != nil {
		t.Fatal(err)
	}
	keys := openKeys(t, KeySetConfig{Source: keyFile(t, keySet(t, s))})
	for name, text := range map[string]string{
		"private":    string(private),
		"symmetric":  `{"keys":[{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(canary)) + `","kid":"one"}]}`,
		"empty":      `{"keys":[]}`,
		"nothing":    ``,
		"unknown":    `{"keys":[{"kty":"XYZ"}]}`,
		"to encrypt": strings.Replace(string(keySet(t, s)), `"sig"`, `"enc"`, 1),
		"too large":  strings.Repeat(" ", keySetBytesMax) + string(keySet(t, s)),
	} {
		if err := os.WriteFile(keys.cfg.Source, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := keys.Reload()
		hides(t, err)
		if err == nil || !strings.Contains(err.Error(), keys.cfg.Source) || keys.find("one", "ES256") == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	two := newSigner(t, "two")
	if err := os.WriteFile(keys.cfg.Source, keySet(t, two), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.Reload(); err != nil || keys.find("one", "ES256") != nil || keys.find("two", "ES256") == nil || keys.find("", "ES256") == nil || keys.find("two", "RS256") != nil {
		t.Errorf("after a change: %v", err)
	}
	for _, source := range []string{"", "http://issuer.example/keys", "ftp://127.0.0.1/keys", filepath.Join(t.TempDir(), "none")} {
		if _, err := OpenKeys(t.Context(), KeySetConfig{Source: source}); err == nil {
			t.Errorf("%q is taken", source)
		}
	}
}

// TestAnUnknownKeyIsFetchedInTheBackgroundAtABoundedRate: clients bring what they like.
func TestAnUnknownKeyIsFetchedInTheBackgroundAtABoundedRate(t *testing.T) {
	one, two := newSigner(t, "one"), newSigner(t, "two")
	var now atomic.Pointer[[]byte]
	first := keySet(t, one)
	now.Store(&first)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := *now.Load(); len(text) > 0 {
			_, _ = w.Write(text)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	failed := make(chan error, 1)
	keys := openKeys(t, KeySetConfig{Source: server.URL + "/keys?password=" + canary, RefreshMin: time.Millisecond, Failed: func(err error) {
		select {
		case failed <- err:
		default:
		}
	}})
	m := oauthOf(t, keys)
	logsIn := func(s signer) bool {
		step, err := m.Begin().Next(t.Context(), bearer(s.sign(claims(nil))))
		return err == nil && step.Done
	}
	if !logsIn(one) || logsIn(two) {
		t.Fatal("the first key set is another")
	}
	both := keySet(t, one, two)
	now.Store(&both)
	await(t, "the new key is there", func() bool { return logsIn(two) })
	none := []byte{}
	now.Store(&none)
	logsIn(newSigner(t, "three"))
	err := <-failed
	hides(t, err)
	if !strings.Contains(err.Error(), "the server answers 500") || !logsIn(one) || !logsIn(two) {
		t.Errorf("after a failed fetch: %v", err)
	}
	// Its server is one of its own: the fetches of the other key set go on meanwhile.
	var again atomic.Int64
	slow := openKeys(t, KeySetConfig{Source: keyServer(t, first, &again), RefreshMin: time.Hour})
	for range 1000 {
		slow.find("unknown", "ES256")
		runtime.Gosched()
	}
	slow.Close()
	if n := again.Load() - 1; n > 0 {
		t.Errorf("%d fetches within RefreshMin", n)
	}
}

func keyServer(t *testing.T, text []byte, fetched *atomic.Int64) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// FuzzSASLExchange gives every mechanism what a client might send: nobody gets in who does
// not know the password, nothing panics, no error has a secret.
func FuzzSASLExchange(f *testing.F) {
	users := usersWith(f, "alice")
	s := newSigner(f, "one")
	keys, err := OpenKeys(context.Background(), KeySetConfig{Source: keyFile(f, keySet(f, s))})
	if err != nil {
		f.Fatal(err)
	}
	defer keys.Close()
	mechanisms := []Mechanism{NewPlain(cheapPasswords{users}), oauthOf(f, keys)}
	for _, name := range []string{SCRAMSHA256, SCRAMSHA512} {
		m, err := NewSCRAM(name, users)
		if err != nil {
			f.Fatal(err)
		}
		mechanisms = append(mechanisms, m)
	}
	f.Add(byte(0), []byte("\x00alice\x00wrong"), []byte{})
	f.Add(byte(0), []byte("a\x00alice\x00"), []byte{0})
	f.Add(byte(1), bearer("e30.e30.e30"), []byte{1})
	f.Add(byte(1), []byte("n,a=x=2C,\x01k=v\x01auth=Bearer x\x01\x01"), []byte{1})
	f.Add(byte(1), bearer(newSigner(f, "one").sign(claims(nil))), []byte{1})
	f.Add(byte(2), []byte("n,,n=alice,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add(byte(3), []byte("n,a=alice,n=al=2Cice,r=abc,tokenauth=true"), []byte("c=biws,x=y,r=abc,p="))
	f.Add(byte(3), []byte("p=tls-exporter,,n=alice,r=,"), []byte("c=,r=,p="))
	f.Fuzz(func(t *testing.T, which byte, first, second []byte) {
		x := mechanisms[int(which)%len(mechanisms)].Begin()
		for _, token := range [][]byte{first, second, first} {
			step, err := x.Next(t.Context(), token)
			if step.Done || err != nil && (step.Answer != nil || errors.Is(err, context.Canceled)) {
				t.Fatalf("%q: %+v, %v", token, step, err)
			}
			if err != nil {
				hides(t, err)
				if _, again := x.Next(t.Context(), token); again == nil {
					t.Fatalf("%q: it goes on after %v", token, err)
				}
				return
			}
		}
		t.Fatalf("%q, %q: it does not end", first, second)
	})
}

// cheapPasswords costs a fuzzer less.
type cheapPasswords struct{ *Users }

func (c cheapPasswords) CheckPassword(_ context.Context, user string, password []byte) (bool, error) {
	return user == "alice" && string(password) == canary+"alice", nil
}
