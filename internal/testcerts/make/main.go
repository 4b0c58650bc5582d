// Command make writes certificates to try TLS with: see scripts/test-certs.sh.
package main

import (
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"kring/internal/testcerts"
)

func main() {
	password := flag.String("password", "changeit", "password of the PKCS#12 files and of *-encrypted.key")
	client := flag.String("client", "client", "common name of the client's certificate")
	flag.Parse()
	if flag.NArg() < 1 {
		fmt.Fprintln(os.Stderr, "usage: make [-password PASSWORD] [-client NAME] DIR [HOST...]")
		os.Exit(2)
	}
	hosts := flag.Args()[1:]
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	if err := certificates(flag.Arg(0), *password, *client, hosts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func certificates(dir, password, client string, hosts []string) error {
	ca, err := testcerts.New("kring test CA")
	if err != nil {
		return err
	}
	other, err := testcerts.New("another test CA")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	trust, err := testcerts.TrustStore(password, ca.Leaf)
	if err != nil {
		return err
	}
	// RSA, which every client of any age can check.
	server, serverErr := ca.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: hosts[0]}, Hosts: hosts, RSA: true})
	own, ownErr := ca.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: client}, Client: true, RSA: true})
	stranger, strangerErr := other.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: client}, Client: true, RSA: true})
	if err := errors.Join(serverErr, ownErr, strangerErr); err != nil {
		return err
	}
	return errors.Join(
		write(dir, "ca.pem", ca.CertPEM()), write(dir, "other-ca.pem", other.CertPEM()), write(dir, "trust.p12", trust), write(dir, "password", []byte(password+"\n")),
		tokens(dir, client), all(dir, "server", password, server), all(dir, "client", password, own), all(dir, "stranger", password, stranger),
	)
}

// tokens writes a key set and a token for OAUTHBEARER, and one that somebody else signed.
func tokens(dir, user string) error {
	const issuer, audience = "https://issuer.test", "kring"
	own, ownErr := testcerts.NewIssuer("test")
	other, otherErr := testcerts.NewIssuer("test")
	if err := errors.Join(ownErr, otherErr); err != nil {
		return err
	}
	keys, keysErr := own.JWKS()
	good, goodErr := own.Token(user, issuer, audience, 24*time.Hour)
	forged, forgedErr := other.Token(user, issuer, audience, 24*time.Hour)
	if err := errors.Join(keysErr, goodErr, forgedErr); err != nil {
		return err
	}
	return errors.Join(write(dir, "jwks.json", keys), write(dir, "token", []byte(good)), write(dir, "token-forged", []byte(forged)))
}

// all writes a certificate in every form.
func all(dir, name, password string, c *testcerts.Cert) error {
	key, keyErr := c.KeyPEM("")
	closed, closedErr := c.KeyPEM(password)
	store, storeErr := c.KeyStore(password)
	if err := errors.Join(keyErr, closedErr, storeErr); err != nil {
		return err
	}
	return errors.Join(
		write(dir, name+".pem", c.CertPEM()), write(dir, name+".key", key), write(dir, name+"-encrypted.key", closed), write(dir, name+".p12", store),
	)
}

func write(dir, name string, text []byte) error {
	return os.WriteFile(filepath.Join(dir, name), text, 0o600)
}
