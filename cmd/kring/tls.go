package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"kring"
	"kring/tlsconf"
)

// tlsFlags are the certificates of TLS listeners. Each is a setting of single listeners
// too; there it takes the place of what is said for all.
type tlsFlags struct {
	TLSCert               []pemSetting `group:"security" name:"tls-cert" placeholder:"FILE" help:"Certificate chain of the server in PEM, its own certificate first, or the PEM text itself [ssl.keystore.certificate.chain]. Repeat for more, each with its --tls-key, or put commas between files, for one listener too: a client gets the one with the name that it asks for, else the first. All files of --tls-* are read again when they change, and on SIGHUP; a bad file leaves everything as it was."`
	TLSKey                []pemSetting `group:"security" name:"tls-key" placeholder:"FILE" help:"Private key of --tls-cert in PEM, or the PEM text itself [ssl.keystore.key]. Default: it is in the file of --tls-cert."`
	TLSKeyPassword        secret       `group:"security" name:"tls-key-password" placeholder:"file:PATH" help:"Password of an encrypted key (PKCS#8), in a file or, where nobody sees it, itself [ssl.key.password]."`
	TLSKeystore           string       `group:"security" name:"tls-keystore" placeholder:"FILE" help:"PKCS#12 or PEM file with a private key and its certificate chain [ssl.keystore.location]. JKS is not read: keytool -importkeystore converts it."`
	TLSKeystorePassword   secret       `group:"security" name:"tls-keystore-password" placeholder:"file:PATH" help:"Password of --tls-keystore [ssl.keystore.password]."`
	TLSClientCA           pemSetting   `group:"security" name:"tls-client-ca" placeholder:"FILE" help:"Certificates of the authorities whose client certificates are accepted, in PEM [ssl.truststore.certificates]. Remove one, and its clients are refused, resumed sessions too."`
	TLSTruststore         string       `group:"security" name:"tls-truststore" placeholder:"FILE" help:"The same as a PKCS#12 or PEM file [ssl.truststore.location]."`
	TLSTruststorePassword secret       `group:"security" name:"tls-truststore-password" placeholder:"file:PATH" help:"Password of --tls-truststore [ssl.truststore.password]."`
	TLSClientAuth         string       `group:"security" name:"tls-client-auth" placeholder:"HOW" help:"Whether clients show a certificate: none, requested or required [ssl.client.auth]. With --tls-client-ca or --tls-truststore it has to be said. Default: none."`
	TLSPrincipalRules     string       `group:"security" name:"tls-principal-rules" placeholder:"RULES" help:"Who a client certificate is, by its subject: RULE:pattern/replacement/[LU],… or DEFAULT, the whole subject [ssl.principal.mapping.rules]. A certificate that no rule matches is refused. Default: DEFAULT."`
	TLSProtocols          []string     `group:"security" name:"tls-protocols" placeholder:"VERSION,…" help:"TLSv1.2, TLSv1.3 or both [ssl.enabled.protocols]. Default: both."`
	TLSCipherSuites       []string     `group:"security" name:"tls-cipher-suites" placeholder:"SUITE,…" help:"Cipher suites that may be used, by their IANA names [ssl.cipher.suites]. Default: those of Go's crypto/tls."`
	TLSALPN               []string     `group:"security" name:"tls-alpn" placeholder:"PROTOCOL,…" help:"Application protocols that are agreed to by ALPN (RFC 7301), best first, such as kafka. A client that offers only others is refused with an alert; one that offers none, as Kafka's clients do, is served. Default: what clients offer is ignored, as Apache Kafka does."`

	sources []namedSource // of the TLS listeners, when they are made
}

// namedSource is the TLS configuration of a listener.
type namedSource struct {
	listener string
	source   *tlsconf.Source
}

// pemSetting is the name of a PEM file, or PEM text itself, which may have a key in it and
// is never shown.
type pemSetting struct{ in tlsconf.Input }

// UnmarshalText reads either.
func (p *pemSetting) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("no file is given")
	}
	p.in = tlsconf.Text(string(text))
	return nil
}

// String is the file's name.
func (p pemSetting) String() string {
	if p.in.Inline.Reveal() != "" {
		return hiddenSecret
	}
	return p.in.File
}

// MarshalText is for listings.
func (p pemSetting) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// isSet says whether it was given.
func (p pemSetting) isSet() bool { return p.in != tlsconf.Input{} }

// tlsSettings has a setter for each setting of one listener: how a value of --listener takes
// the place of that of all listeners.
var tlsSettings = map[string]func(f *tlsFlags, value string) error{
	"tls-cert": func(f *tlsFlags, v string) error {
		f.TLSKey, f.TLSKeystore = nil, ""
		return givenPEMs(&f.TLSCert, v)
	},
	"tls-key":          func(f *tlsFlags, v string) error { return givenPEMs(&f.TLSKey, v) },
	"tls-key-password": func(f *tlsFlags, v string) error { return f.TLSKeyPassword.UnmarshalText([]byte(v)) },
	"tls-keystore": func(f *tlsFlags, v string) error {
		f.TLSCert, f.TLSKey = nil, nil
		return given(&f.TLSKeystore, v)
	},
	"tls-keystore-password": func(f *tlsFlags, v string) error { return f.TLSKeystorePassword.UnmarshalText([]byte(v)) },
	"tls-client-ca": func(f *tlsFlags, v string) error {
		f.TLSTruststore = ""
		return f.TLSClientCA.UnmarshalText([]byte(v))
	},
	"tls-truststore": func(f *tlsFlags, v string) error {
		f.TLSClientCA = pemSetting{}
		return given(&f.TLSTruststore, v)
	},
	"tls-truststore-password": func(f *tlsFlags, v string) error { return f.TLSTruststorePassword.UnmarshalText([]byte(v)) },
	"tls-client-auth":         func(f *tlsFlags, v string) error { return given(&f.TLSClientAuth, v) },
	"tls-principal-rules":     func(f *tlsFlags, v string) error { return given(&f.TLSPrincipalRules, v) },
	"tls-protocols": func(f *tlsFlags, v string) error {
		if err := givenList(&f.TLSProtocols, v); err != nil {
			return err
		}
		return knownProtocols(f.TLSProtocols)
	},
	"tls-cipher-suites": func(f *tlsFlags, v string) error { return givenList(&f.TLSCipherSuites, v) },
	"tls-alpn":          func(f *tlsFlags, v string) error { return givenList(&f.TLSALPN, v) },
}

// tlsSettingsInOrder: a certificate comes before its key, because it takes the key of all
// listeners away.
var tlsSettingsInOrder = []string{
	"tls-keystore", "tls-keystore-password", "tls-cert", "tls-key", "tls-key-password", "tls-client-ca", "tls-truststore", "tls-truststore-password",
	"tls-client-auth", "tls-principal-rules", "tls-protocols", "tls-cipher-suites", "tls-alpn",
}

func init() {
	for name, set := range tlsSettings {
		programSettings[name] = func(value string) error { return set(new(tlsFlags), value) }
	}
	listenerParts = append(listenerParts, (*serveCmd).encrypt)
}

func given(to *string, value string) error {
	if *to = value; value == "" {
		return errors.New("no value is given")
	}
	return nil
}

// givenPEMs takes PEM text, or names of files as the flag does: with a comma between two.
func givenPEMs(to *[]pemSetting, value string) error {
	names := []string{value}
	if !tlsconf.IsPEM(value) && value != "" {
		names = kong.SplitEscaped(value, ',')
	}
	*to = make([]pemSetting, len(names))
	for i, name := range names {
		if err := (*to)[i].UnmarshalText([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

func givenList(to *[]string, value string) error {
	if value == "" {
		return errors.New("no value is given")
	}
	*to = strings.Split(value, ",")
	return nil
}

// tlsVersions are those that --tls-protocols takes.
var tlsVersions = []string{"TLSv1.2", "TLSv1.3"}

// knownProtocols looks at each: only the first and the last say what is spoken.
func knownProtocols(names []string) error {
	return knownOnce(names, tlsVersions, "is none that is spoken here, for older ones are broken; give "+strings.Join(tlsVersions, ", or both: "))
}

// knownOnce demands that names are some of known, each once. otherwise says what another
// name is, and what to give.
func knownOnce(names, known []string, otherwise string) error {
	for i, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%q %s", name, otherwise)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%s is there twice; leave one out", name)
		}
	}
	return nil
}

// passwordSuffix ends the names of all flags that are a secret, and of no others.
const passwordSuffix = "password"

// valued joins flags whose values may begin with - to their values, --flag=VALUE: PEM does,
// and a password may. Else the parser would take them for flags, and show them in its error.
func valued(args []string) (out []string) {
	for i := 0; i < len(args); i++ {
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		setting, isFlag := strings.CutPrefix(args[i], "--")
		_, ofTLS := tlsSettings[setting]
		if isFlag && strings.HasPrefix(next, "-") && (strings.HasSuffix(setting, passwordSuffix) || ofTLS && tlsconf.IsPEM(next)) {
			out = append(out, args[i]+"="+next)
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// isSecretSetting says that the value of a listener's setting must not be shown.
func isSecretSetting(setting, value string) bool {
	return (strings.HasSuffix(setting, passwordSuffix) || setting == plainUsersSetting) && !strings.HasPrefix(value, secretFromFile) || strings.HasPrefix(setting, "tls-") && tlsconf.IsPEM(value)
}

// shownSetting is a listener's setting as it may be shown.
func shownSetting(setting, value string) string {
	if isSecretSetting(setting, value) {
		return hiddenSecret
	}
	return value
}

// tlsOf is what holds for one listener.
func (c *serveCmd) tlsOf(listener string) (tlsFlags, error) {
	f := c.TLS
	f.sources = nil
	for _, name := range tlsSettingsInOrder {
		if value, set := c.ownSetting(listener, name); set {
			if err := tlsSettings[name](&f, value); err != nil {
				return f, fmt.Errorf("--listener %s.%s: %w", listener, name, err)
			}
		}
	}
	return f, nil
}

// certified says that there is a certificate.
func (f *tlsFlags) certified() bool { return len(f.TLSCert) > 0 || f.TLSKeystore != "" }

// files are the files that the flags name.
func (f *tlsFlags) files() (tlsconf.Files, error) {
	if len(f.TLSKey) > 0 && len(f.TLSKey) != len(f.TLSCert) {
		return tlsconf.Files{}, fmt.Errorf("--tls-key: there are %d keys for %d certificates (--tls-cert); give one for each, in the same order", len(f.TLSKey), len(f.TLSCert))
	}
	if (f.TLSClientCA.isSet() || f.TLSTruststore != "") && f.TLSClientAuth == "" {
		return tlsconf.Files{}, errors.New("--tls-client-auth: a client CA is given, and not whether clients must show a certificate; give required, requested, or none")
	}
	out := tlsconf.Files{
		KeyStore:   tlsconf.Store{File: f.TLSKeystore, Password: inputOf(f.TLSKeystorePassword), KeyPassword: inputOf(f.TLSKeyPassword)},
		ClientCA:   f.TLSClientCA.in,
		TrustStore: tlsconf.Store{File: f.TLSTruststore, Password: inputOf(f.TLSTruststorePassword)},
		ClientAuth: tlsconf.ClientAuth(f.TLSClientAuth), PrincipalRules: f.TLSPrincipalRules, CipherSuites: f.TLSCipherSuites, ALPN: f.TLSALPN,
	}
	for i, cert := range f.TLSCert {
		pair := tlsconf.Pair{Cert: cert.in, Password: inputOf(f.TLSKeyPassword)}
		if len(f.TLSKey) > 0 {
			pair.Key = f.TLSKey[i].in
		}
		out.Certificates = append(out.Certificates, pair)
	}
	if len(f.TLSProtocols) > 0 {
		sorted := slices.Sorted(slices.Values(f.TLSProtocols))
		out.MinVersion, out.MaxVersion = sorted[0], sorted[len(sorted)-1]
	}
	return out, nil
}

// inputOf keeps the file of a password, so that a reload reads it again.
func inputOf(s secret) tlsconf.Input {
	switch {
	case s.file() != "":
		return tlsconf.Input{File: s.file()}
	case s.isSet():
		return tlsconf.Input{Inline: tlsconf.NewSecret(s.reveal())}
	}
	return tlsconf.Input{}
}

// encrypt gives a TLS listener its certificates. It reads the files.
func (c *serveCmd) encrypt(l *kring.ListenerConfig, p securityProtocol) error {
	if !p.TLS() {
		return nil
	}
	flags, err := c.tlsOf(l.Name)
	if err != nil {
		return err
	}
	if !flags.certified() {
		return nil // secure says what is missing
	}
	files, err := flags.files()
	if err != nil {
		return fmt.Errorf("%s: %w", listenOf(l), err)
	}
	source, err := tlsconf.Load(files)
	if err != nil {
		return flags.inFlags(l, err)
	}
	c.TLS.sources = append(c.TLS.sources, namedSource{l.Name, source})
	l.TLS = &kring.TLSConfig{Config: source.Config, Principal: source.Principal}
	return nil
}

// tlsFields are the flags of what tlsconf calls by its fields.
var tlsFields = strings.NewReplacer("ClientAuth", "--tls-client-auth", "ClientCA", "--tls-client-ca", "TrustStore", "--tls-truststore", "PrincipalRules", "--tls-principal-rules",
	"MinVersion", "--tls-protocols", "MaxVersion", "--tls-protocols", "CipherSuites", "--tls-cipher-suites", "ALPN", "--tls-alpn")

// inFlags names the listener and the flag in each line of an error of tlsconf.
func (f *tlsFlags) inFlags(l *kring.ListenerConfig, err error) error {
	var faults []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if flag := f.flagOf(line); flag != "" {
			line = flag + " " + line
		} else {
			line = tlsFields.Replace(line)
		}
		faults = append(faults, fmt.Errorf("%s: %s", listenOf(l), line))
	}
	return errors.Join(faults...)
}

// flagOf is the flag of the file that a line begins with.
func (f *tlsFlags) flagOf(line string) string {
	files := map[string]string{"--tls-keystore": f.TLSKeystore, "--tls-truststore": f.TLSTruststore, "--tls-client-ca": f.TLSClientCA.in.File}
	for _, list := range []struct {
		flag string
		all  []pemSetting
	}{{"--tls-cert", f.TLSCert}, {"--tls-key", f.TLSKey}} {
		for _, p := range list.all {
			if p.in.File != "" && strings.HasPrefix(line, p.in.File+": ") {
				return list.flag
			}
		}
	}
	for flag, file := range files {
		if file != "" && strings.HasPrefix(line, file+": ") {
			return flag
		}
	}
	return ""
}

// validateTLS returns what is wrong with the flags without reading a file.
func (c *serveCmd) validateTLS() (faults []error) {
	anyTLS := false
	for _, l := range c.listeners() {
		isTLS := c.security(l.Name).TLS()
		anyTLS = anyTLS || isTLS
		for _, name := range tlsSettingsInOrder {
			if _, set := c.ownSetting(l.Name, name); set && !isTLS {
				faults = append(faults, fmt.Errorf("--listener %s.%s: the listener speaks %s, without TLS; give --listener %s.security=SSL, or leave it out", l.Name, name, c.security(l.Name), l.Name))
			}
		}
	}
	if err := knownProtocols(c.TLS.TLSProtocols); err != nil {
		faults = append(faults, fmt.Errorf("--tls-protocols: %w", err))
	}
	if anyTLS {
		return faults
	}
	for _, f := range []struct {
		flag string
		set  bool
	}{
		{"tls-cert", len(c.TLS.TLSCert) > 0}, {"tls-key", len(c.TLS.TLSKey) > 0}, {"tls-keystore", c.TLS.TLSKeystore != ""}, {"tls-client-ca", c.TLS.TLSClientCA.isSet()},
		{"tls-truststore", c.TLS.TLSTruststore != ""}, {"tls-client-auth", c.TLS.TLSClientAuth != "" && c.TLS.TLSClientAuth != string(tlsconf.None)}, {"tls-principal-rules", c.TLS.TLSPrincipalRules != ""},
		{"tls-key-password", c.TLS.TLSKeyPassword.isSet()}, {"tls-keystore-password", c.TLS.TLSKeystorePassword.isSet()}, {"tls-truststore-password", c.TLS.TLSTruststorePassword.isSet()},
		{"tls-protocols", len(c.TLS.TLSProtocols) > 0}, {"tls-cipher-suites", len(c.TLS.TLSCipherSuites) > 0}, {"tls-alpn", len(c.TLS.TLSALPN) > 0},
	} {
		if f.set {
			faults = append(faults, fmt.Errorf("--%s: no listener speaks TLS; add --listen SSL://HOST:PORT or --listener NAME.security=SSL, or leave it out", f.flag))
		}
	}
	return faults
}

// tlsPaths are the files of all TLS listeners.
func (c *serveCmd) tlsPaths() (paths []string) {
	for _, l := range c.listeners() {
		if flags, err := c.tlsOf(l.Name); err == nil && c.security(l.Name).TLS() {
			if files, err := flags.files(); err == nil {
				paths = append(paths, files.Paths()...)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// rereadTLS has the certificates of all TLS listeners be read again, as a whole or not at
// all; nothing to read if there is none. leaves says that a listener gets others just now, or
// goes; nil: none does.
func (c *serveCmd) rereadTLS(log *slog.Logger, leaves func(listener string) bool) (part reloadable, any bool) {
	paths := c.tlsPaths()
	return reloadable{
		again: "the certificates were read again", kept: "the certificates stay as they were",
		watched: paths,
		quiet:   func() bool { return len(c.TLS.sources) == 0 },
		prepare: func() (func() error, error) {
			var commits []func()
			var faults []error
			for _, s := range c.TLS.sources {
				if leaves != nil && leaves(s.listener) {
					continue // its files may be gone
				}
				commit, err := s.source.Prepare()
				if err != nil {
					faults = append(faults, fmt.Errorf("listener %s: %w", s.listener, err))
				}
				commits = append(commits, commit)
			}
			return func() error {
				for _, commit := range commits {
					commit()
				}
				c.warnTLS(log)
				return nil
			}, errors.Join(faults...)
		},
	}, len(paths) > 0
}

// warnTLS logs what will soon fail.
func (c *serveCmd) warnTLS(log *slog.Logger) {
	for _, s := range c.TLS.sources {
		for _, warning := range s.source.Warnings() {
			log.Warn("a certificate needs attention", "listener", s.listener, "certificate", warning)
		}
	}
}
