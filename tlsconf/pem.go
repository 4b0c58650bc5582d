package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"

	"github.com/youmark/pkcs8"
)

// The types of PEM blocks that are read.
const (
	blockCert      = "CERTIFICATE"
	blockEncrypted = "ENCRYPTED PRIVATE KEY"
)

// load reads the chain and the key, and checks that they belong together.
func (p Pair) load() (tls.Certificate, error) {
	chain, err := readCerts(p.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key := p.Key
	if !key.set() {
		key = p.Cert
	}
	private, err := readKey(key, p.Password)
	if err != nil {
		return tls.Certificate{}, err
	}
	return pairOf(chain, private, p.Cert.name(), key.name())
}

// pairOf puts a chain and the key of its first certificate together.
func pairOf(chain []*x509.Certificate, private crypto.PrivateKey, certName, keyName string) (tls.Certificate, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("%s: a key of type %T can't sign; give an RSA, ECDSA or Ed25519 key", keyName, private)
	}
	if n := fitting(chain, signer); n > 0 {
		return tls.Certificate{}, fmt.Errorf("%s: the key of %s fits certificate %d, not the first; put the server's own certificate first, then those that issued it", certName, keyName, n+1)
	} else if n < 0 {
		return tls.Certificate{}, fmt.Errorf("%s: the key does not fit the certificate of %s (%s); give the key that the certificate was made for", keyName, certName, chain[0].Subject)
	}
	out := tls.Certificate{PrivateKey: private, Leaf: chain[0]}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

// fitting is which certificate of a chain the key fits, -1 if none.
func fitting(chain []*x509.Certificate, signer crypto.Signer) int {
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	for i, c := range chain {
		if ok && public.Equal(c.PublicKey) {
			return i
		}
	}
	return -1
}

// joinedBlock matches a block of PEM, however its lines end: by blanks in a value of a
// properties file whose lines go on with a backslash. Kafka reads that
// (DefaultSslEngineFactory.PemParser).
var joinedBlock = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]*?)\s*-----END ([A-Z0-9 ]+)-----`)

// readPEM returns the text with each block's first and last line on a line of their own, as
// encoding/pem wants them.
func readPEM(in Input) ([]byte, error) {
	text, err := in.read()
	if err != nil {
		return nil, err
	}
	return joinedBlock.ReplaceAll(text, []byte("\n-----BEGIN $1-----\n$2\n-----END $3-----\n")), nil
}

// readCerts reads every certificate of a PEM text; there is at least one.
func readCerts(in Input) ([]*x509.Certificate, error) {
	text, err := readPEM(in)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != blockCert {
			continue // a key may stand beside it
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d can't be read: %w", in.name(), len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if want := bytes.Count(text, []byte("-----BEGIN "+blockCert+"-----")); want > len(certs) {
		return nil, fmt.Errorf("%s: %d of its %d certificates are damaged PEM; write the file again", in.name(), want-len(certs), want)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s: %s", in.name(), noPEM(text, "certificate"))
	}
	return certs, nil
}

// readKey reads the one private key of a PEM text.
func readKey(in, password Input) (crypto.PrivateKey, error) {
	text, err := readPEM(in)
	if err != nil {
		return nil, err
	}
	var found *pem.Block
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != blockEncrypted && !bytes.HasSuffix([]byte(block.Type), []byte("PRIVATE KEY")) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s: has more than one private key; leave the one of the certificate", in.name())
		}
		found = block
	}
	if found == nil {
		return nil, fmt.Errorf("%s: %s", in.name(), noPEM(text, "private key"))
	}
	key, err := parseKey(found, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name(), err)
	}
	return key, nil
}

// parseKey parses a block of any of the usual forms.
func parseKey(block *pem.Block, password Input) (crypto.PrivateKey, error) {
	switch {
	case block.Type == blockEncrypted:
		return decryptKey(block.Bytes, password)
	case block.Headers["DEK-Info"] != "":
		return nil, errors.New("the key is encrypted in OpenSSL's old form, which does not protect it; convert it by: openssl pkcs8 -topk8 -in OLD -out NEW")
	}
	var key crypto.PrivateKey
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a key of the form %q is not read; convert it by: openssl pkcs8 -topk8 -in OLD -out NEW", block.Type)
	}
	if err != nil {
		return nil, errors.New("the private key is damaged; write the file again")
	}
	return key, nil
}

// decryptKey decrypts PKCS#8.
func decryptKey(der []byte, password Input) (key crypto.PrivateKey, err error) {
	if !password.set() {
		return nil, errors.New("the key is encrypted and no password is given; give one, or decrypt the key by: openssl pkcs8 -in OLD -out NEW")
	}
	text, err := password.password()
	if err != nil {
		return nil, fmt.Errorf("the key's password: %w", err)
	}
	if text == "" { // the library would take the key as not encrypted
		return nil, fmt.Errorf("the key's password (%s) is empty; give the one that it was encrypted with", password.name())
	}
	// The library panics where a damaged key has the wrong length.
	defer func() {
		if recover() != nil {
			key, err = nil, errors.New("the encrypted private key is damaged; write the file again")
		}
	}()
	key, _, err = pkcs8.ParsePrivateKey(der, []byte(text))
	if err != nil {
		return nil, fmt.Errorf("the key can't be decrypted by the password (%s): %w; check the password; the key must be PKCS#8 with PBES2, as openssl pkcs8 -topk8 -v2 aes-256-cbc writes it", password.name(), err)
	}
	return key, nil
}

// noPEM says why a text has nothing of what is looked for.
func noPEM(text []byte, what string) string {
	switch {
	case isJKS(text):
		return jksRemedy
	case len(text) > 0 && text[0] == 0x30: // an ASN.1 sequence
		return "is binary (DER or PKCS#12) and not PEM; give PKCS#12 as a key store or trust store, and convert DER by: openssl x509 -inform DER -in OLD -out NEW"
	case len(bytes.TrimSpace(text)) == 0:
		return "is empty; a " + what + " in PEM is expected"
	}
	return "has no " + what + " in PEM (-----BEGIN ...); give a PEM file with one"
}
