package testcerts

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// Issuer signs tokens for OAUTHBEARER.
type Issuer struct {
	key *rsa.PrivateKey
	kid string
}

// NewIssuer makes a key that is called kid.
func NewIssuer(kid string) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return &Issuer{key, kid}, err
}

// JWKS is the public key as a JSON key set.
func (i *Issuer) JWKS() ([]byte, error) {
	e := big.NewInt(int64(i.key.E)).Bytes()
	return json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": i.kid,
		"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(e),
	}}})
}

// Token is a signed token for a user, valid for d from a minute ago.
func (i *Issuer) Token(user, issuer, audience string, d time.Duration) (string, error) {
	from := time.Now().Add(-time.Minute)
	header, headerErr := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": i.kid})
	claims, claimsErr := json.Marshal(map[string]any{"sub": user, "iss": issuer, "aud": audience, "iat": from.Unix(), "exp": from.Add(d).Unix()})
	if headerErr != nil || claimsErr != nil {
		return "", fmt.Errorf("a token for %s: %v, %v", user, headerErr, claimsErr)
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}
