package main

import (
	"regexp"
	"slices"
	"strings"

	props "kring/internal/properties"
)

// jaasSuffix ends the names of properties with a JAAS string: sasl.jaas.config and
// listener.name.NAME.MECHANISM.sasl.jaas.config.
const jaasSuffix = "sasl.jaas.config"

// jaasMechanisms are Kafka's mechanisms, as they are written in names of properties.
var jaasMechanisms = []string{"plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "gssapi"}

var (
	jaasModule = regexp.MustCompile(`^\s*(?:[\w$]+\.)*([\w$]+)\s`)
	jaasUser   = regexp.MustCompile(`\buser_([^\s=]+)\s*=`)
	jaasQuoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)
)

// readJAAS takes a login module of Java's. What it says of accounts would let nobody in, or
// everybody, if it were read over; what it says of the broker's own account has no meaning
// here. Nothing of it is ever printed but the names of accounts.
func (f *configFile) readJAAS(p props.Property) {
	m := jaasModule.FindStringSubmatch(p.Value + " ")
	if m == nil {
		f.fault(p, "the value is no JAAS string: give MODULE required OPTION=\"VALUE\" …;")
		return
	}
	switch module := m[1]; module {
	case "PlainLoginModule", "ScramLoginModule":
		var names []string
		for _, u := range jaasUser.FindAllStringSubmatch(jaasQuoted.ReplaceAllString(p.Value, `""`), -1) {
			names = append(names, u[1])
		}
		if len(names) == 0 {
			f.ignored = append(f.ignored, p.Key) // the broker's own account, for other brokers
			return
		}
		slices.Sort(names)
		f.fault(p, "kring keeps accounts hashed in a file, and none here: for each of %s run kring user add NAME --users FILE, name the file in kring.users, and remove the line", strings.Join(slices.Compact(names), ", "))
	case "OAuthBearerLoginModule":
		if strings.Contains(p.Value, "unsecured") {
			f.fault(p, "tokens that nobody has signed are never accepted: give keys, issuer and audience (sasl.oauthbearer.…), and remove the line")
			return
		}
		f.ignored = append(f.ignored, p.Key)
	case "Krb5LoginModule":
		f.fault(p, "kring has no Kerberos (GSSAPI): use SCRAM-SHA-512, PLAIN or OAUTHBEARER, and remove the line")
	default:
		f.fault(p, "%s is a class of Java, which can't be loaded: use SCRAM-SHA-512, PLAIN or OAUTHBEARER, and remove the line", module)
	}
}
