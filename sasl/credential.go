package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"io"
)

// The iterations of SCRAM credentials: each costs the client CPU time, and whoever has the
// file, for each guess.
const (
	// SCRAMIterationsMin is Apache Kafka's least.
	SCRAMIterationsMin = 4096
	// SCRAMIterationsMax is Apache Kafka's most.
	SCRAMIterationsMax = 16384
	// SCRAMIterationsDefault is what new credentials have.
	SCRAMIterationsDefault = 8192
)

// Of passwords that PLAIN is checked by. Nothing but this server computes them, so there may
// be more iterations than SCRAM has: OWASP's advice of 2023 for PBKDF2 with SHA-512 is
// 210,000, about a tenth of a second. Users remembers what was right, so that a storm of
// good clients does not pay that each time.
const (
	passwordIterationsMin     = 10_000
	passwordIterationsMax     = 10_000_000
	passwordIterationsDefault = 210_000
)

const (
	saltBytes    = 24
	saltBytesMin = 8
	saltBytesMax = 128
)

// PasswordBytesMax bounds a password.
const PasswordBytesMax = 1024

// SCRAMCredential is what SCRAM checks a user by (RFC 5802): nobody can log in with it, but
// passwords can be guessed by it. It prints as [hidden].
type SCRAMCredential struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int
}

// Format prints [hidden], by any verb.
func (SCRAMCredential) Format(f fmt.State, _ rune) { hide(f) }

// MarshalText gives [hidden].
func (SCRAMCredential) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// PasswordCredential is what PLAIN checks a password by: PBKDF2 with HMAC-SHA-512. It prints
// as [hidden].
type PasswordCredential struct {
	Salt, Key  []byte
	Iterations int
}

// Format prints [hidden], by any verb.
func (PasswordCredential) Format(f fmt.State, _ rune) { hide(f) }

// MarshalText gives [hidden].
func (PasswordCredential) MarshalText() ([]byte, error) { return []byte(hidden), nil }

const hidden = "[hidden]"

func hide(w io.Writer) { _, _ = io.WriteString(w, hidden) } // a fmt.State: can't fail

func hashOf(mechanism string) func() hash.Hash {
	switch mechanism {
	case SCRAMSHA256:
		return sha256.New
	case SCRAMSHA512:
		return sha512.New
	}
	return nil
}

// NewSCRAMCredential derives a credential for SCRAM-SHA-256 or -512, with a new salt;
// iterations 0 means SCRAMIterationsDefault. The password is taken as it is, as Apache
// Kafka's clients do: without SASLprep. It costs milliseconds of CPU time.
func NewSCRAMCredential(mechanism string, password []byte, iterations int) (SCRAMCredential, error) {
	if iterations == 0 {
		iterations = SCRAMIterationsDefault
	}
	h := hashOf(mechanism)
	if h == nil {
		return SCRAMCredential{}, errNotSCRAM(mechanism)
	}
	if err := checkPassword(password); err != nil {
		return SCRAMCredential{}, err
	}
	salt := newSalt()
	salted, err := pbkdf2.Key(h, string(password), salt, iterations, h().Size())
	if err != nil {
		return SCRAMCredential{}, fmt.Errorf("sasl: derive a credential: %w", err)
	}
	defer clear(salted)
	return SCRAMCredentialOf(mechanism, salted, salt, iterations)
}

// SCRAMCredentialOf makes a credential of a salted password, as clients send it that change
// credentials (AlterUserScramCredentials).
func SCRAMCredentialOf(mechanism string, salted, salt []byte, iterations int) (SCRAMCredential, error) {
	h := hashOf(mechanism)
	if h == nil {
		return SCRAMCredential{}, errNotSCRAM(mechanism)
	}
	clientKey := mac(h, salted, "Client Key")
	defer clear(clientKey)
	stored := h()
	stored.Write(clientKey)
	c := SCRAMCredential{Salt: salt, StoredKey: stored.Sum(nil), ServerKey: mac(h, salted, "Server Key"), Iterations: iterations}
	return c, c.check(mechanism)
}

func errNotSCRAM(mechanism string) error {
	return fmt.Errorf("sasl: %q is no SCRAM mechanism; give %s or %s", mechanism, SCRAMSHA256, SCRAMSHA512)
}

func (c SCRAMCredential) check(mechanism string) error {
	h := hashOf(mechanism)
	switch {
	case h == nil:
		return errNotSCRAM(mechanism)
	case c.Iterations < SCRAMIterationsMin || c.Iterations > SCRAMIterationsMax:
		return fmt.Errorf("sasl: %s: %d iterations; choose %d to %d", mechanism, c.Iterations, SCRAMIterationsMin, SCRAMIterationsMax)
	case len(c.Salt) == 0 || len(c.Salt) > saltBytesMax:
		return fmt.Errorf("sasl: %s: a salt of %d bytes; give 1 to %d", mechanism, len(c.Salt), saltBytesMax)
	case len(c.StoredKey) != h().Size() || len(c.ServerKey) != h().Size():
		return fmt.Errorf("sasl: %s: keys of %d and %d bytes; each has %d", mechanism, len(c.StoredKey), len(c.ServerKey), h().Size())
	}
	return nil
}

// NewPasswordCredential derives what PLAIN checks a password by, with a new salt; iterations
// 0 means 210,000, which cost about a tenth of a second of CPU time.
func NewPasswordCredential(password []byte, iterations int) (PasswordCredential, error) {
	if err := checkPassword(password); err != nil {
		return PasswordCredential{}, err
	}
	if iterations == 0 {
		iterations = passwordIterationsDefault
	}
	c := PasswordCredential{Salt: newSalt(), Iterations: iterations}
	c.Key = c.derive(password)
	return c, c.check()
}

func (c PasswordCredential) derive(password []byte) []byte {
	key, err := pbkdf2.Key(sha512.New, string(password), c.Salt, c.Iterations, sha512.Size)
	if err != nil {
		return nil // the length is one that there is: it does not fail
	}
	return key
}

// holds says whether the password is right, in constant time.
func (c PasswordCredential) holds(password []byte) bool {
	key := c.derive(password)
	defer clear(key)
	return subtle.ConstantTimeCompare(key, c.Key) == 1
}

func (c PasswordCredential) check() error {
	switch {
	case c.Iterations < passwordIterationsMin || c.Iterations > passwordIterationsMax:
		return fmt.Errorf("sasl: PLAIN: %d iterations; choose %d to %d", c.Iterations, passwordIterationsMin, passwordIterationsMax)
	case len(c.Salt) < saltBytesMin || len(c.Salt) > saltBytesMax:
		return fmt.Errorf("sasl: PLAIN: a salt of %d bytes; give %d to %d", len(c.Salt), saltBytesMin, saltBytesMax)
	case len(c.Key) != sha512.Size:
		return fmt.Errorf("sasl: PLAIN: a key of %d bytes; it has %d", len(c.Key), sha512.Size)
	}
	return nil
}

func checkPassword(password []byte) error {
	switch {
	case len(password) == 0:
		return fmt.Errorf("sasl: the password is empty; give one")
	case len(password) > PasswordBytesMax:
		return fmt.Errorf("sasl: the password has %d bytes; give at most %d", len(password), PasswordBytesMax)
	}
	for _, b := range password {
		if b == 0 {
			return fmt.Errorf("sasl: the password has a NUL byte, which PLAIN can't send; leave it out")
		}
	}
	return nil
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	_, _ = io.WriteString(m, text) // a hash: can't fail
	return m.Sum(nil)
}

func newSalt() []byte {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails, since Go 1.24
	return salt
}
