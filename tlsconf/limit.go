package tlsconf

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// limit sets the versions and the cipher suites.
func (f *Files) limit(cfg *tls.Config) error {
	low, lowErr := version("MinVersion", f.MinVersion, tls.VersionTLS12)
	high, highErr := version("MaxVersion", f.MaxVersion, tls.VersionTLS13)
	if err := errors.Join(lowErr, highErr); err != nil {
		return err
	}
	if low > high {
		return fmt.Errorf("MinVersion is %s and MaxVersion %s, so that nothing is left; lower MinVersion", f.MinVersion, f.MaxVersion)
	}
	cfg.MinVersion, cfg.MaxVersion = low, high
	if len(f.CipherSuites) == 0 {
		return nil
	}
	return f.limitSuites(cfg)
}

const (
	alpnNameBytesMax = 255 // a name's length has one byte (RFC 7301, 3.1)
	alpnNamesMax     = 100 // a handshake compares each with each
)

// checkALPN says which names of protocols can't be agreed to.
func checkALPN(names []string) error {
	var faults []error
	if len(names) > alpnNamesMax {
		faults = append(faults, fmt.Errorf("ALPN has %d names of protocols; give at most %d", len(names), alpnNamesMax))
	}
	for i, name := range names {
		switch {
		case name == "":
			faults = append(faults, fmt.Errorf("ALPN: name %d is empty, which no client can offer; leave it out", i+1))
		case len(name) > alpnNameBytesMax:
			faults = append(faults, fmt.Errorf("ALPN: %.20q… has %d bytes; a name has at most %d", name, len(name), alpnNameBytesMax))
		case slices.Contains(names[:i], name):
			faults = append(faults, fmt.Errorf("ALPN: %q is there twice; leave one out", name))
		}
	}
	return errors.Join(faults...)
}

// version reads a version by the name that Java has for it.
func version(field, name string, otherwise uint16) (uint16, error) {
	switch name {
	case "":
		return otherwise, nil
	case "TLSv1.2":
		return tls.VersionTLS12, nil
	case "TLSv1.3":
		return tls.VersionTLS13, nil
	case "TLSv1", "TLSv1.1", "SSLv3":
		return 0, fmt.Errorf("%s is %s, which is broken and never used; give TLSv1.2 or TLSv1.3", field, name)
	}
	return 0, fmt.Errorf("%s is %q; give TLSv1.2 or TLSv1.3", field, name)
}

// limitSuites sets the suites of TLS 1.2, and leaves out the version that has none of the
// named, as Java does.
func (f *Files) limitSuites(cfg *tls.Config) error {
	var faults []error
	var new13, all13 int
	for _, name := range f.CipherSuites {
		s, err := suite(name)
		switch {
		case err != nil:
			faults = append(faults, err)
		case s.SupportedVersions[0] == tls.VersionTLS13:
			new13++
		default:
			cfg.CipherSuites = append(cfg.CipherSuites, s.ID)
		}
	}
	var names13 []string
	for _, s := range tls.CipherSuites() {
		if s.SupportedVersions[0] == tls.VersionTLS13 {
			all13++
			names13 = append(names13, s.Name)
		}
	}
	switch {
	case len(faults) > 0:
		return errors.Join(faults...)
	case new13 > 0 && new13 < all13:
		return fmt.Errorf("CipherSuites has some suites of TLS 1.3 and not others, which crypto/tls can't leave out; name all (%s) or none", strings.Join(names13, ", "))
	}
	low := cfg.MinVersion
	if new13 == 0 {
		cfg.MaxVersion = tls.VersionTLS12
	}
	if len(cfg.CipherSuites) == 0 {
		cfg.MinVersion = tls.VersionTLS13
	}
	if cfg.MinVersion > cfg.MaxVersion {
		return fmt.Errorf("CipherSuites has none of the version that MinVersion and MaxVersion leave; add some of %s", tls.VersionName(low))
	}
	return nil
}

func suite(name string) (*tls.CipherSuite, error) {
	same := func(s *tls.CipherSuite) bool { return s.Name == name }
	all := tls.CipherSuites()
	if i := slices.IndexFunc(all, same); i >= 0 {
		return all[i], nil
	}
	if slices.ContainsFunc(tls.InsecureCipherSuites(), same) {
		return nil, fmt.Errorf("CipherSuites: %s is insecure and never used; leave it out", name)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("CipherSuites: there is no %q here; leave it out, or give some of %s", name, strings.Join(names, ", "))
}
