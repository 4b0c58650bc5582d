package main

import (
	"fmt"
	"slices"
	"strings"

	"kring"
)

// securityProtocol is what the clients of a listener speak: Kafka's four names
// [listener.security.protocol.map].
type securityProtocol string

const (
	protocolPlaintext     securityProtocol = "PLAINTEXT"
	protocolSSL           securityProtocol = "SSL"
	protocolSASLPlaintext securityProtocol = "SASL_PLAINTEXT"
	protocolSASLSSL       securityProtocol = "SASL_SSL"
)

var securityProtocols = []securityProtocol{protocolPlaintext, protocolSSL, protocolSASLPlaintext, protocolSASLSSL}

// TLS says that bytes are encrypted.
func (p securityProtocol) TLS() bool { return p == protocolSSL || p == protocolSASLSSL }

// SASL says that clients have to authenticate before anything else.
func (p securityProtocol) SASL() bool { return p == protocolSASLPlaintext || p == protocolSASLSSL }

// securitySetting is the setting that gives a listener of another name its protocol.
const securitySetting = "security"

// programSettings are the settings of one listener that the network layer does not know,
// and what checks each value. They are read by ownSetting.
var programSettings = map[string]func(value string) error{
	advertiseSetting: advertisable,
	securitySetting:  isSecurityProtocol,
}

// isSecurityProtocol checks a value of securitySetting.
func isSecurityProtocol(value string) error {
	if !slices.Contains(securityProtocols, securityProtocol(value)) {
		return fmt.Errorf("%q is no security protocol; give one of %s", value, protocolNames())
	}
	return nil
}

func protocolNames() string {
	var names []string
	for _, p := range securityProtocols {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// ownSetting is what --listener says for one listener; the last one wins.
func (c *serveCmd) ownSetting(listener, setting string) (value string, set bool) {
	listener = c.like(listener)
	for _, s := range c.Sockets.Listener {
		if s.listener == listener && s.setting == setting {
			value, set = s.value, true
		}
	}
	return value, set
}

// security is the protocol of a listener: the one that it is named after, the one that
// --listener NAME.security says, else PLAINTEXT.
func (c *serveCmd) security(listener string) securityProtocol {
	listener = c.like(listener)
	if named := securityProtocol(listener); slices.Contains(securityProtocols, named) {
		return named
	}
	if value, set := c.ownSetting(listener, securitySetting); set {
		return securityProtocol(value) // checked by UnmarshalText
	}
	return protocolPlaintext
}

// validateSecurity returns what is wrong with the protocols of listeners. A name that
// looks like a protocol and is none must not open a port in plain text.
func (c *serveCmd) validateSecurity() (faults []error) {
	for _, l := range c.listeners() {
		for _, p := range securityProtocols {
			if l.Name != string(p) && strings.EqualFold(l.Name, string(p)) {
				faults = append(faults, fmt.Errorf("%s: the protocol is written %s; give that, or another name", listenOf(&l), p))
			}
		}
		if value, set := c.ownSetting(l.Name, securitySetting); set && value != string(c.security(l.Name)) {
			faults = append(faults, fmt.Errorf("--listener %s.security=%s: a listener of that name is %s; give it another name with --listen", l.Name, value, l.Name))
		}
	}
	return faults
}

// listenOf is --listen as it names a listener, for faults about it.
func listenOf(l *kring.ListenerConfig) string { return "--listen " + l.Name + "://" + l.Address }

// listenerParts add to the Config of a listener what its security protocol asks for:
// each is called once for each listener, before the server is made. They may read files.
var listenerParts []func(c *serveCmd, l *kring.ListenerConfig, p securityProtocol) error

// secure has listenerParts complete the listeners of cfg. Its errors name the flag.
func (c *serveCmd) secure(cfg *kring.Config) (faults []error) {
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		p, before := c.security(l.Name), len(faults)
		for _, part := range listenerParts {
			if err := part(c, l, p); err != nil {
				faults = append(faults, err)
			}
		}
		// A certificate that can't be used has its own fault. Without any, TLS never goes missing in silence.
		own, _ := c.tlsOf(l.Name)
		if p.TLS() && l.TLS == nil && (!own.certified() || len(faults) == before) {
			faults = append(faults, fmt.Errorf("%s: %s needs a certificate, and none is given; give --tls-cert and --tls-key", listenOf(l), p))
		}
	}
	return faults
}
