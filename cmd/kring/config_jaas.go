package main

import (
	"slices"
	"strings"

	props "kring/internal/properties"
)

// jaasSuffix ends the names of properties with a JAAS string: sasl.jaas.config and
// listener.name.NAME.MECHANISM.sasl.jaas.config.
const jaasSuffix = "sasl.jaas.config"

// jaasMechanisms are Kafka's mechanisms, as they are written in names of properties.
var jaasMechanisms = []string{"plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "gssapi"}

// readJAAS takes a login module of Java's that is of no listener, or of no mechanism: Kafka
// reads over it, and accounts in it would let nobody in. Nothing of it is ever printed but
// the names of accounts.
func (f *configFile) readJAAS(p props.Property) {
	if listener, mechanism, is := jaasOf(p.Key); is {
		f.readListenerJAAS(p, listener, mechanism)
		return
	}
	e, ok := f.parseJAAS(p)
	if !ok {
		return
	}
	if names := e.accountNames(); len(names) > 0 {
		f.fault(p, "Kafka reads no accounts here (%s): name the listener and the mechanism, listener.name.NAME.plain.sasl.jaas.config", strings.Join(names, ", "))
		return
	}
	f.ignored = append(f.ignored, p.Key) // the broker's own account, for other brokers
}

// jaasOf are the listener and the mechanism of listener.name.LISTENER.MECHANISM.sasl.jaas.config.
func jaasOf(key string) (listener, mechanism string, is bool) {
	rest, is := cutPrefixFold(key, listenerPrefix)
	if !is {
		return "", "", false
	}
	listener, rest, _ = strings.Cut(rest, ".")
	mechanism, rest, _ = strings.Cut(rest, ".")
	return listener, mechanism, rest == jaasSuffix && slices.Contains(jaasMechanisms, mechanism)
}

// readListenerJAAS takes the accounts of a listener.
func (f *configFile) readListenerJAAS(p props.Property, listener, mechanism string) {
	e, ok := f.parseJAAS(p)
	if !ok {
		return
	}
	names := e.accountNames()
	switch {
	case len(names) == 0:
		f.ignored = append(f.ignored, p.Key) // the broker's own account, for other brokers; SCRAM's are in a users file
	case e.module != plainModule || mechanism != "plain":
		f.fault(p, "only %s for the mechanism plain has accounts, and %s would be let in by nobody: for each run kring user add NAME --users FILE, name the file in kring.users, and remove them here", plainModule, strings.Join(names, ", "))
	default:
		if _, err := e.accounts(); err != nil {
			f.fault(p, "%w", err)
			return
		}
		f.readSetting(p, listener+"."+ownPrefix+plainUsersSetting)
	}
}

// parseJAAS parses the value, and refuses what can't be had.
func (f *configFile) parseJAAS(p props.Property) (e jaasEntry, ok bool) {
	e, err := parseJAAS(p.Value)
	if err != nil {
		f.fault(p, "%w", err)
		return e, false
	}
	tokens, _ := e.option("tokenauth")
	switch e.module {
	case plainModule:
		return e, true
	case scramModule:
		if strings.EqualFold(tokens.reveal(), "true") {
			f.fault(p, "kring has no delegation tokens: give the user an account (kring user add), and remove tokenauth")
			return e, false
		}
		return e, true
	case "OAuthBearerLoginModule":
		for _, o := range e.options {
			if strings.HasPrefix(o.name, "unsecured") {
				f.fault(p, "tokens that nobody has signed are never accepted: give keys, issuer and audience (sasl.oauthbearer.…), and remove the line")
				return e, false
			}
		}
		return e, true
	case "Krb5LoginModule":
		f.fault(p, "kring has no Kerberos (GSSAPI): use SCRAM-SHA-512, PLAIN or OAUTHBEARER, and remove the line")
	default:
		f.fault(p, "%s is a class of Java, which can't be loaded: use SCRAM-SHA-512, PLAIN or OAUTHBEARER, and remove the line", e.module)
	}
	return e, false
}
