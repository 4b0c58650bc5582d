package sasl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// OAuthConfig says which tokens OAUTHBEARER takes.
type OAuthConfig struct {
	// Keys verify the tokens' signatures. Required.
	Keys *KeySet
	// Issuer is the iss that a token must have [sasl.oauthbearer.expected.issuer]. Required.
	Issuer string
	// Audience: a token's aud must have one of these [sasl.oauthbearer.expected.audience].
	// Required.
	Audience []string
	// Algorithms that a token may be signed by, such as RS256. Required: a token's own word
	// is not taken for it. Algorithms without a private key (none, HS256) are refused.
	Algorithms []string
	// UserClaim is the claim that has the user's name
	// [sasl.oauthbearer.sub.claim.name]; empty means sub.
	UserClaim string
	// ClockSkew is how much the clock of who signed may differ
	// [sasl.oauthbearer.clock.skew.seconds]; 0 means 30 seconds, negative none.
	ClockSkew time.Duration
	// Now is the time that tokens are judged by; nil means time.Now.
	Now func() time.Time
}

const clockSkewDefault = 30 * time.Second

// OAuthAlgorithms are those that OAuthConfig may name.
var OAuthAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Validate reports every fault at once.
func (c OAuthConfig) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("sasl: "+format, args...))
		}
	}
	fault(c.Keys == nil, "Keys is nil: give the key set that tokens are signed by")
	fault(c.Issuer == "", "Issuer is empty: give the iss of the tokens, or any issuer's would do")
	fault(len(c.Audience) == 0 || slices.Contains(c.Audience, ""), "Audience %q: give the aud of tokens for this server, or tokens for other services would do", c.Audience)
	fault(len(c.Algorithms) == 0, "Algorithms is empty: give those that tokens are signed by, of %q", OAuthAlgorithms)
	for _, a := range c.Algorithms {
		fault(!slices.Contains(OAuthAlgorithms, a), "Algorithms has %q: choose of %q", a, OAuthAlgorithms)
	}
	return errors.Join(faults...)
}

// NewOAuthBearer makes the mechanism OAUTHBEARER (RFC 7628, KIP-255) for signed tokens.
func NewOAuthBearer(c OAuthConfig) (Mechanism, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.UserClaim == "" {
		c.UserClaim = "sub"
	}
	if c.ClockSkew == 0 {
		c.ClockSkew = clockSkewDefault
	}
	c.ClockSkew = max(c.ClockSkew, 0)
	if c.Now == nil {
		c.Now = time.Now
	}
	o := &oauth{OAuthConfig: c}
	for _, a := range c.Algorithms {
		o.algorithms = append(o.algorithms, jose.SignatureAlgorithm(a))
	}
	return o, nil
}

type oauth struct {
	OAuthConfig
	algorithms []jose.SignatureAlgorithm
}

func (*oauth) Name() string      { return OAuthBearer }
func (o *oauth) Begin() Exchange { return &oauthExchange{oauth: o} }

type oauthExchange struct {
	oauth  *oauth
	failed *Failure // told in JSON; the client's next token ends the exchange with it
	over   bool
}

// oauthFailed is what a client is told of a token that is not good enough (RFC 7628, 3.2.2).
const oauthFailed = `{"status":"invalid_token"}`

// controlA is a client's answer to a failure that it was told.
const controlA = 0x01

// Next takes the client's token. A failure is told in JSON first; the client answers with a
// byte of 0x01, and then the exchange fails.
func (e *oauthExchange) Next(_ context.Context, token []byte) (Step, error) {
	switch {
	case e.over:
		return Step{}, errOver
	case e.failed != nil:
		e.over = true
		if bytes.Equal(token, []byte{controlA}) {
			return Step{}, e.failed
		}
		return Step{}, &Failure{Reason: "a second OAUTHBEARER token after one that failed"}
	case len(token) > bearerTokenBytesMax:
		e.over = true
		return Step{}, errTokenBytes
	}
	bearer, authzid, ok := parseBearer(string(token))
	if !ok {
		e.over = true
		return Step{}, &Failure{Reason: "a token that is none of OAUTHBEARER"}
	}
	who, why := e.oauth.verify(bearer)
	if why == "" && authzid != "" && authzid != who.User {
		e.over = true
		return Step{}, errOtherUser
	}
	if why != "" {
		e.failed = &Failure{Told: oauthFailed, Reason: "OAUTHBEARER: " + why}
		return Step{Answer: []byte(oauthFailed)}, nil
	}
	e.over = true
	return Step{Done: true, Identity: who}, nil
}

// verify says who a token is of, or why it is not good enough: without any part of it.
func (o *oauth) verify(bearer string) (Identity, string) {
	token, err := jwt.ParseSigned(bearer, o.algorithms)
	if err != nil || len(token.Headers) != 1 {
		return Identity{}, "no token that is signed by an algorithm of those allowed"
	}
	key := o.Keys.find(token.Headers[0].KeyID, token.Headers[0].Algorithm)
	if key == nil {
		return Identity{}, "the key that signed the token is not in the key set; it is fetched again"
	}
	var claims jwt.Claims
	var all map[string]any
	if err := token.Claims(key, &claims, &all); err != nil {
		return Identity{}, "the signature is wrong, or the claims are no JSON object"
	}
	user, _ := all[o.UserClaim].(string)
	switch {
	case claims.Expiry == nil:
		return Identity{}, "a token without exp"
	case checkUserName(user) != nil:
		return Identity{}, "the claim with the user's name is missing, or is no name"
	}
	expected := jwt.Expected{Issuer: o.Issuer, AnyAudience: o.Audience, Time: o.Now()}
	if err := claims.ValidateWithLeeway(expected, o.ClockSkew); err != nil {
		return Identity{}, faultOfClaims(err)
	}
	return Identity{User: user, Expires: claims.Expiry.Time()}, ""
}

func faultOfClaims(err error) string {
	for _, f := range []struct {
		of   error
		says string
	}{
		{jwt.ErrExpired, "the token has expired"}, {jwt.ErrNotValidYet, "the token is not valid yet (nbf)"},
		{jwt.ErrIssuedInTheFuture, "the token was issued in the future (iat)"},
		{jwt.ErrInvalidIssuer, "the token is of another issuer"}, {jwt.ErrInvalidAudience, "the token is for another audience"},
	} {
		if errors.Is(err, f.of) {
			return f.says
		}
	}
	return "the claims are not those that are demanded"
}

// parseBearer reads n,[a=authzid],^Aauth=Bearer TOKEN^A[key=value^A...]^A. Extensions must
// have the right form, and are not used.
func parseBearer(message string) (token, authzid string, ok bool) {
	rest, ok := strings.CutPrefix(message, "n,")
	if !ok {
		return "", "", false
	}
	name, rest, ok := strings.Cut(rest, ",")
	if !ok || !strings.HasPrefix(rest, "\x01") || !strings.HasSuffix(rest, "\x01\x01") {
		return "", "", false
	}
	if name != "" {
		name, ok = strings.CutPrefix(name, "a=")
		if !ok || name == "" || strings.ContainsAny(name, "=") && !escaped(name) {
			return "", "", false
		}
		authzid = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
	}
	for pair := range strings.SplitSeq(strings.TrimSuffix(rest[1:], "\x01\x01"), "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || !letters(key) || !printable(value) {
			return "", "", false
		}
		if key != "auth" {
			continue
		}
		scheme, bearer, ok := strings.Cut(value, " ")
		if !ok || token != "" || !strings.EqualFold(scheme, "bearer") {
			return "", "", false
		}
		token = strings.TrimLeft(bearer, " ")
	}
	return token, authzid, token != ""
}

// escaped says that each = of a name begins =2C or =3D.
func escaped(name string) bool {
	rest := strings.NewReplacer("=2C", "", "=3D", "").Replace(name)
	return !strings.Contains(rest, "=")
}

func letters(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') })
}

func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 0x20 || r > 0x7e) && r != '\t' && r != '\r' && r != '\n'
	})
}

// parseKeys reads a JSON key set. Keys that OAUTHBEARER has no use for are passed over.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("it is no JSON key set (RFC 7517)")
	}
	var keys []jose.JSONWebKey
	for i, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err != nil {
			continue // of a kind that go-jose does not know
		}
		switch {
		case !key.IsPublic():
			return nil, fmt.Errorf("key %d is not public: whoever reads a key set must not be able to sign; leave it out", i+1)
		case key.Valid() && (key.Use == "" || key.Use == "sig"):
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no public key to verify signatures with")
	}
	return keys, nil
}
