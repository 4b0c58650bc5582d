package tlsconf

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Files says what a Source is made from. It needs a certificate: Certificates, KeyStore
// or both.
type Files struct {
	// Certificates of the server. A client gets the first whose names include the one it
	// asks for (SNI), else the first of all.
	Certificates []Pair
	// KeyStore is a PKCS#12 or PEM file with one private key and its certificate chain
	// [ssl.keystore.location].
	KeyStore Store
	// ClientCA is PEM with the certificates of the authorities whose client certificates
	// are accepted [ssl.truststore.certificates].
	ClientCA Input
	// TrustStore is a file with such certificates: PKCS#12 as keytool -importcert writes it,
	// or PEM [ssl.truststore.location].
	TrustStore Store
	// ClientAuth says whether clients are asked for a certificate [ssl.client.auth].
	// Default: None.
	ClientAuth ClientAuth
	// PrincipalRules map the subject of a client certificate to a user name, in the form
	// of Kafka's ssl.principal.mapping.rules. Default: DEFAULT, the whole subject.
	PrincipalRules string
	// MinVersion and MaxVersion are TLSv1.2 or TLSv1.3 [ssl.enabled.protocols]. Default:
	// TLSv1.2 and TLSv1.3.
	MinVersion, MaxVersion string
	// CipherSuites are the IANA names of those that may be used [ssl.cipher.suites].
	// Default: those of crypto/tls. Those of TLS 1.3 are used all or not at all.
	CipherSuites []string
	// ALPN are the application protocols that are agreed to (RFC 7301), best first, at most
	// 100 of 1 to 255 bytes. A client that offers only others is refused by the alert
	// no_application_protocol; one that offers none goes on without. Kafka's clients offer
	// none, and its broker ignores what is offered, as is done here by default.
	ALPN []string
	// TicketRotation is the age at which the key of session tickets is replaced. Tickets
	// of the key before are accepted for as long again. Default: 12 h. Negative: no
	// tickets, so no session is resumed.
	TicketRotation time.Duration
}

// Pair is a certificate chain, leaf first, and its private key.
type Pair struct {
	// Cert is PEM with the chain.
	Cert Input
	// Key is PEM with the private key. Unset: it is in Cert too.
	Key Input
	// Password decrypts a key that is "ENCRYPTED PRIVATE KEY", which is PKCS#8 with PBES2
	// [ssl.key.password].
	Password Input
}

// Store is a PKCS#12 or PEM file. What it is is seen from what it holds, as Java does.
type Store struct {
	File string
	// Password of PKCS#12 [ssl.keystore.password, ssl.truststore.password].
	Password Input
	// KeyPassword of an encrypted key in PEM [ssl.key.password]. The key in a PKCS#12 file
	// has the password of the file.
	KeyPassword Input
}

// isPEM says that the file holds PEM.
func (s Store) isPEM() bool {
	text, err := readFile(s.File)
	return err == nil && IsPEM(string(text))
}

// Paths are the files that are read, without repetition.
func (f *Files) Paths() (paths []string) {
	add := func(names ...string) {
		for _, n := range names {
			if n != "" && !slices.Contains(paths, n) {
				paths = append(paths, n)
			}
		}
	}
	for _, p := range f.Certificates {
		add(p.Cert.File, p.Key.File, p.Password.File)
	}
	for _, s := range []Store{f.KeyStore, f.TrustStore} {
		add(s.File, s.Password.File, s.KeyPassword.File)
	}
	add(f.ClientCA.File)
	return paths
}

// Input is text that stands in a file or is given itself. A password in a file ends before
// a final line break.
type Input struct {
	File   string
	Inline Secret
}

// set says that it is given.
func (i Input) set() bool { return i.File != "" || i.Inline.set() }

// name is what errors call it, without the text.
func (i Input) name() string {
	if i.File == "" {
		return "inline text"
	}
	return i.File
}

// read returns the text.
func (i Input) read() ([]byte, error) {
	if i.File == "" {
		return []byte(i.Inline.Reveal()), nil
	}
	return readFile(i.File)
}

// password is the text without a final line break; "" if it is not set.
func (i Input) password() (string, error) {
	text, err := i.read()
	if i.File == "" || err != nil {
		return string(text), err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// fileBytesMax is far more than any key or trust store has: Mozilla's whole list of
// authorities takes 250 KB.
const fileBytesMax = 4 << 20

// readFile reads a regular file: of anything else the end may never come, and it could not
// be read again.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; name a file that this user can read", path, reason(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file, so it could not be read again at a reload; name a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; name a file that this user can read", path, reason(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("%s: has more than %d bytes; name a file of keys or certificates", path, fileBytesMax)
	}
	return text, nil
}

// reason is err without the operation and the path, which the caller names.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// ClientAuth says whether clients are asked for a certificate.
type ClientAuth string

// The values of ClientAuth.
const (
	// None asks for no certificate: the principal is User:ANONYMOUS.
	None ClientAuth = "none"
	// Requested lets a client without a certificate in, as User:ANONYMOUS. A certificate
	// that is shown must be valid.
	Requested ClientAuth = "requested"
	// Required refuses clients without a valid certificate.
	Required ClientAuth = "required"
)

func (a ClientAuth) mode() (tls.ClientAuthType, error) {
	switch a {
	case "", None:
		return tls.NoClientCert, nil
	case Requested:
		return tls.VerifyClientCertIfGiven, nil
	case Required:
		return tls.RequireAndVerifyClientCert, nil
	}
	return 0, fmt.Errorf("ClientAuth is %q; give none, requested or required", string(a))
}

// Secret is text that no formatting shows: a password, or PEM with a key. The zero Secret
// is unset.
type Secret struct{ text *string }

// NewSecret hides text; "" is a Secret that is set, as an empty password is.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) set() bool { return s.text != nil }

const hidden = "[hidden]"

// Format writes [hidden] for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	if s.set() {
		_, _ = io.WriteString(f, hidden)
	}
}

// MarshalText returns [hidden], for encoders.
func (s Secret) MarshalText() ([]byte, error) {
	if !s.set() {
		return nil, nil
	}
	return []byte(hidden), nil
}

// IsPEM says that a setting is PEM text itself and not the name of a file.
func IsPEM(text string) bool {
	block, _ := pem.Decode([]byte(text))
	return block != nil || strings.Contains(text, "-----BEGIN ")
}

// Text is the Input of a setting that is either PEM text itself or the name of a file.
func Text(setting string) Input {
	if IsPEM(setting) {
		return Input{Inline: NewSecret(setting)}
	}
	return Input{File: setting}
}
