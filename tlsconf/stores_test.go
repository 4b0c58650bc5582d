package tlsconf

import (
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kring/internal/testcerts"
)

func TestKeysAreReadInTheFormsThatUsersHave(t *testing.T) {
	p := newPlace(t)
	const password = "correct horse"
	middle := must[*testcerts.Authority](t)(p.ca.Intermediate("middle"))
	c := must[*testcerts.Cert](t)(middle.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: "forms"}, Hosts: []string{"localhost"}, RSA: true}))
	plain, closed := must[[]byte](t)(c.KeyPEM("")), must[[]byte](t)(c.KeyPEM(password))
	p.write("chain.pem", c.CertPEM())
	p.write("all.pem", append(plain, c.CertPEM()...))
	p.write("closed.key", closed)
	p.write("closed.pem", append(closed, c.CertPEM()...))
	p.write("password", []byte(password+"\r\n"))
	p.write("keys.p12", must[[]byte](t)(c.KeyStore(password)))
	p.write("trust.p12", must[[]byte](t)(testcerts.TrustStore(password, p.ca.Leaf)))
	at := func(name string) Input { return Input{File: p.path(name)} }
	given := Input{Inline: NewSecret(password)}
	alice := p.client(p.ca, "alice")
	// As a value of a properties file is whose lines go on with a backslash.
	joined := func(pem []byte) Input { return Text(strings.ReplaceAll(string(pem), "\n", " ")) }
	p.write("joined.pem", []byte(strings.ReplaceAll(string(append(closed, c.CertPEM()...)), "\n", " ")))
	for what, f := range map[string]Files{
		"key in the certificate's file":  {Certificates: []Pair{{Cert: at("all.pem")}}},
		"encrypted, password in a file":  {Certificates: []Pair{{Cert: at("chain.pem"), Key: at("closed.key"), Password: at("password")}}},
		"encrypted, all inline":          {Certificates: []Pair{{Cert: Text(string(c.CertPEM())), Key: Text(string(closed)), Password: given}}},
		"inline, lines joined":           {Certificates: []Pair{{Cert: joined(c.CertPEM()), Key: joined(closed), Password: given}}, ClientCA: joined(p.ca.CertPEM()), ClientAuth: Required},
		"a store, lines joined":          {KeyStore: Store{File: p.path("joined.pem"), KeyPassword: given}},
		"PKCS#12":                        {KeyStore: Store{File: p.path("keys.p12"), Password: given}},
		"PKCS#12, password in a file":    {KeyStore: Store{File: p.path("keys.p12"), Password: at("password")}},
		"PEM as a key store":             {KeyStore: Store{File: p.path("all.pem")}},
		"encrypted PEM as a key store":   {KeyStore: Store{File: p.path("closed.pem"), KeyPassword: given}},
		"PEM as a trust store":           {KeyStore: Store{File: p.path("all.pem")}, TrustStore: Store{File: p.path("ca.pem")}, ClientAuth: Required},
		"PKCS#12 trust store for its CA": {KeyStore: Store{File: p.path("keys.p12"), Password: given}, TrustStore: Store{File: p.path("trust.p12"), Password: at("password")}, ClientAuth: Required},
	} {
		s, err := Load(f)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if _, _, err := shake(s, p.asClient(alice)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if w := s.Warnings(); len(w) > 0 {
			t.Errorf("%s: %q", what, w)
		}
	}
}

func TestAStoreThatCantBeUsedSaysWhyAndNeverItsPassword(t *testing.T) {
	p := newPlace(t)
	const password, wrong = "s3cret-of-the-test", "wr0ng-of-the-test"
	c := p.server("server", "localhost")
	closed := must[[]byte](t)(c.KeyPEM(password))
	p.write("closed.key", closed)
	p.write("keys.p12", must[[]byte](t)(c.KeyStore(password)))
	p.write("trust.p12", must[[]byte](t)(testcerts.TrustStore(password, p.ca.Leaf)))
	p.write("jks", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"))
	p.write("cut.p12", must[[]byte](t)(os.ReadFile(p.path("keys.p12")))[:200])
	p.write("wrong", []byte(wrong+"\n"))
	bad := Input{File: p.path("wrong")}
	key := func(password Input) Files {
		return Files{Certificates: []Pair{{Cert: Input{File: p.path("server.pem")}, Key: Input{File: p.path("closed.key")}, Password: password}}}
	}
	store := func(name string, password Input) Files {
		return Files{KeyStore: Store{File: p.path(name), Password: password}}
	}
	trust := func(name string, password Input) Files {
		f := p.files(Required)
		f.ClientCA, f.TrustStore = Input{}, Store{File: p.path(name), Password: password}
		return f
	}
	for _, c := range []struct {
		files Files
		says  string
	}{
		{key(Input{}), "no password is given"},
		{key(bad), "can't be decrypted"},
		{key(Input{Inline: NewSecret(wrong)}), "can't be decrypted"},
		{key(Input{Inline: NewSecret("")}), "is empty"},
		{key(Input{File: p.path("nowhere")}), "nowhere"},
		{store("keys.p12", Input{}), "none was given"},
		{store("keys.p12", bad), "the password"},
		{store("keys.p12", Input{Inline: NewSecret(wrong)}), "the password"},
		{store("jks", bad), "keytool -importkeystore"},
		{store("cut.p12", bad), "cut.p12"},
		{store("server.pem", bad), "no private key in PEM"},
		{store("trust.p12", Input{Inline: NewSecret(password)}), "one private key"},
		{trust("trust.p12", bad), "the password"},
		{trust("keys.p12", Input{Inline: NewSecret(password)}), "keytool -importcert"},
	} {
		_, err := Load(c.files)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want %q: %v", c.says, err)
			continue
		}
		if text := err.Error(); strings.Contains(text, password) || strings.Contains(text, wrong) {
			t.Errorf("the error shows a password: %s", text)
		}
	}
}

// TestADamagedFileIsAnErrorAndNoPanic, at whatever byte.
func TestADamagedFileIsAnErrorAndNoPanic(t *testing.T) {
	p := newPlace(t)
	c := p.server("server", "localhost")
	given := Input{Inline: NewSecret("password")}
	store := must[[]byte](t)(c.KeyStore("password"))
	for i := 0; i < len(store); i += 1 + len(store)/40 {
		flipped := append([]byte(nil), store...)
		flipped[i] ^= 0xff
		p.write("keys.p12", flipped)
		if _, err := Load(Files{KeyStore: Store{File: p.path("keys.p12"), Password: given}}); err != nil && !strings.Contains(err.Error(), p.path("keys.p12")) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	closed := must[[]byte](t)(c.KeyPEM("password"))
	for i := 40; i < len(closed)-40; i += len(closed) / 40 {
		flipped := append([]byte(nil), closed...)
		flipped[i] = 'A'
		p.write("server.key", flipped)
		f := p.files(None)
		f.Certificates[0].Password = given
		if _, err := Load(f); err != nil && !strings.Contains(err.Error(), p.path("server.key")) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

func TestASecretIsNeverShown(t *testing.T) {
	const text = "hunter2-and-more"
	f := Files{
		Certificates: []Pair{{Cert: Input{Inline: NewSecret(text)}, Key: Input{Inline: NewSecret(text)}, Password: Input{Inline: NewSecret(text)}}},
		KeyStore:     Store{File: "keys.p12", Password: Input{Inline: NewSecret(text)}, KeyPassword: Input{Inline: NewSecret(text)}}, ClientCA: Input{Inline: NewSecret(text)},
	}
	s := &Source{files: f}
	_, err := Load(f)
	js := must[[]byte](t)(json.Marshal(f))
	shown := []string{string(js), fmt.Sprint(err)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		for _, v := range []any{f, &f, s, NewSecret(text), struct{ s Secret }{NewSecret(text)}, []any{f}} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
	}
	for _, out := range shown {
		if strings.Contains(out, text) || strings.Contains(out, fmt.Sprintf("%x", text)) {
			t.Errorf("shown: %s", out)
		}
	}
	if NewSecret(text).Reveal() != text {
		t.Error("not revealed")
	}
}

// TestStoresOfKeytoolAreRead, where there is one.
func TestStoresOfKeytoolAreRead(t *testing.T) {
	keytool, err := exec.LookPath("keytool")
	if err == nil {
		err = exec.Command(keytool, "-help").Run() // macOS has one that only says how to get Java
	}
	if err != nil {
		// lint:ignore skip keytool is not on PATH or has no Java, and nothing else writes Java's stores
		t.Skip("no keytool")
	}
	p := newPlace(t)
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(keytool, append(args, "-storepass", "changeit", "-storetype", "PKCS12", "-noprompt")...).CombinedOutput(); err != nil {
			t.Fatalf("keytool %v: %v: %s", args, err, out)
		}
	}
	run("-importcert", "-alias", "ca", "-file", p.path("ca.pem"), "-keystore", p.path("trust.p12"))
	run("-genkeypair", "-alias", "server", "-keyalg", "EC", "-dname", "CN=server", "-ext", "SAN=dns:localhost", "-keystore", p.path("keys.p12"))
	given := Input{Inline: NewSecret("changeit")}
	s, err := Load(Files{KeyStore: Store{File: p.path("keys.p12"), Password: given}, TrustStore: Store{File: p.path("trust.p12"), Password: given}, ClientAuth: Required})
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.asClient(p.client(p.ca, "alice"))
	cfg.InsecureSkipVerify = true // the key store's certificate is its own authority
	if _, who, err := shake(s, cfg); err != nil || who != "User:CN=alice" {
		t.Errorf("%q, %v", who, err)
	}
}
