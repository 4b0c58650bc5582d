package main

import (
	"encoding/asn1"
	"strings"
)

const (
	cn, country, place, state, street = "2.5.4.3", "2.5.4.6", "2.5.4.7", "2.5.4.8", "2.5.4.9"
	org, unit, uid, dc                = "2.5.4.10", "2.5.4.11", "0.9.2342.19200300.100.1.1", "0.9.2342.19200300.100.1.25"
	email, serial, title, surname     = "1.2.840.113549.1.9.1", "2.5.4.5", "2.5.4.12", "2.5.4.4"
	given, qualifier, initials        = "2.5.4.42", "2.5.4.46", "2.5.4.43"
	private                           = "1.3.6.1.4.1.99999.1"
)

// of makes a subject of UTF8Strings, each a relative name of its own.
func of(pairs ...string) (s subject) {
	for i := 0; i < len(pairs); i += 2 {
		s = append(s, []value{{pairs[i], asn1.TagUTF8String, pairs[i+1]}})
	}
	return s
}

func subjects() []subject {
	all := []subject{
		{},
		of(cn, "kafka-client"),
		of(country, "DE", state, "Berlin", place, "Berlin", org, "Example", unit, "Data", cn, "client"),
		of(cn, "first", cn, "second", country, "DE"),
		of(street, "1 Main Street", dc, "example", dc, "org", uid, "alice", cn, "Alice"),
		of(cn, "a", email, "a@example.org"),
		of(cn, "a", serial, "12345", title, "Dr", surname, "Smith", given, "Ann", qualifier, "q", initials, "A"),
		of(private, "text", cn, "a"),
		// several values in one relative name, in the order of their encoding and not
		{{{country, 12, "DE"}}, {{cn, 12, "multi"}, {uid, 12, "42"}}},
		{{{uid, 12, "42"}, {cn, 12, "multi"}, {org, 12, "x"}}},
		{{{cn, 12, "multi"}, {email, 22, "a@b"}}},
	}
	for _, text := range []string{
		"", " ", "  ", "x", " lead", "trail ", " both ", "in side", "two  in", "\rlead", "trail\r", "\ttab", "tab\t", " \r mixed \r ",
		"#hash", "in#hash", "a,b", "a+b", `a"b`, `a\b`, "a<b", "a>b", "a;b", "a=b", `,+"\<>;=#`, " #", "# ", ", ", " ,",
		"a/b", "a'b", "a(b)", "a.b-c:d?e", "a@b", "a*b", "a_b", "a&b", "a%b", "a|b", "a~b", "a{b}", "a[b]", "a!b", "a^b", "a`b", "a$b",
		"Müller", "Łódź", "日本語", "😀", "ß", "İ", "é", "A\u030a", "a\x00b", "\x00", "a\x7fb", "a\x1fb", "\u00a0x\u00a0", "a\nb", "\u2028",
		"User:alice", "CN=evil,O=x", strings.Repeat("long ", 60),
	} {
		all = append(all, of(cn, text), of(org, "Example", cn, text, unit, "u"))
	}
	// every tag of a string, and some that are none
	for _, tag := range []int{2, 3, 4, 6, 12, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30} {
		for _, v := range []value{{cn, tag, "abc"}, {uid, tag, "Ab,c "}, {email, tag, "a@b"}, {private, tag, "xyz"}} {
			all = append(all, subject{{v}})
		}
	}
	all = append(all,
		subject{{{cn, 30, "\x00A\x00b\x00c"}}}, // BMPString, as it should be
		subject{{{cn, 28, "\x00\x00\x00A\x00\x00\x00b"}}},
		subject{{{cn, 20, "M\xc3\xbcller"}}},
		subject{{{cn, 19, "M\xc3\xbcller"}}},
	)
	return all
}

// names are subjects that every rule is applied to.
var names = []string{
	"CN=kafka-client",
	"CN=kafka1.example.org,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown",
	"CN=Duke,OU=JavaSoft,O=Sun Microsystems",
	"CN=duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US",
	`CN=a\,b,O=c`, `CN=a\\b`, `CN=\ x\ `, "CN=a/b", "CN=$1", "",
	"CN=Müller,O=STRASSE straße", "CN=ΣΑΣ", "CN=İstanbul", "CN=😀,O=x", "aaa", "CN=a+UID=42,C=DE", "1.2.840.113549.1.9.1=#160361406,CN=x",
}

// rules are of all forms: Kafka's own examples and tests first.
var rules = []string{
	"DEFAULT", " ", "DEFAULT,", " DEFAULT , ",
	"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/, RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L, DEFAULT",
	"RULE:^CN=(.*?), OU=ServiceUsers.*$/$1/,DEFAULT",
	"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L,DEFAULT", "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/U,DEFAULT",
	"RULE:^CN=([^,ADEFLTU,]+)(,.*|$)/$1/", "RULE:^CN=([^,DEFAULT,]+)(,.*|$)/$1/",
	"RULE:^CN=(.*?),.*$/$1@$2/", "RULE:^CN=(.*?),.*$/$1@$2@$3/", "RULE:^CN=(.*?),.*$/$1@$12/", "RULE:^CN=(.*?),.*$/$01/", "RULE:^CN=(.*?),.*$/$0/", "RULE:^CN=(.*?),.*$/$11/",
	"RULE:^(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.).*$/$11$10$1/", "RULE:^(.)(.*)$/$2$1$3$4/",
	"RULE:.*/x/", "RULE:(.*)/<$1>/", "RULE:(.*)/<$1>/U", "RULE:.+/x/", "RULE:.*?/x/", "RULE:a*/x/", "RULE:a+/b/", "RULE:(a|aa|aaa)/<$1>/", "RULE:(a|aaa)/<$1>/", "RULE:a??a*/x/",
	"RULE:(|a)*/x/", "RULE:CN=.*/user/", "RULE:CN=/user/", "RULE:^CN=(.*)$/${1}/", "RULE:^CN=(?<n>.*)$/${n}/", "RULE:^CN=(?<n>.*)$/${m}/",
	`RULE:^CN=a\/(.*)$/$1/`, `RULE:^CN=(.*)$/a\/$1/`, `RULE:^CN=(.*)$/\$1/`, `RULE:^CN=(.*)$/\\$1/`, `RULE:^CN=(.*)$/x\//`, "RULE:^CN=(.*)$/$/", "RULE:^CN=(.*)$/a$b/", "RULE:^CN=(.*)$//", "RULE:^CN=.*$/$1/", "RULE:^CN=.*$/$5x/",
	`RULE:^CN=([^,]*).*$/$1/`, `RULE:^CN=((?:\\.|[^,\\])*).*$/$1/`, `RULE:^CN=(.*?)(?:,O=(.*))?$/$1-$2/`, `RULE:^.*UID=(\d+).*$/$1/`, `RULE:^\w+=(\S+)$/$1/`, `RULE:^(?:CN|cn)=(.{1,3}).*$/$1/L`, `RULE:^(?i)cn=(.*)$/$1/`, `RULE:^CN=(\p{L}+).*$/$1/L`, `RULE:^CN=(\p{Lu}+).*$/$1/L`,
	`RULE:^CN=(.*)$/$1/L`, `RULE:^CN=(.*)$/$1/U`, `RULE:^CN=\Q😀,O=\E(.*)$/$1/`, `RULE:\ACN=(.*)\z/$1/`, `RULE:^CN=(.)(.)?.*$/$2$1/`, `RULE:^CN=([\w.-]+).*$/$1/`, `RULE:^CN=([a-z&]+).*$/$1/`,
	// broken in Kafka too
	"foo", "RULE:", "RULE:a", "RULE:a/b", "RULE:a/b/x", "RULE:a/b/Lx", "RULE:a/b/LU", "rule:a/b/", "DEFAULTS", "default", "RULE:a/b/L,foo", "RULE:(a/b/", "RULE:[a/b/", "RULE:*/b/", "DEFAULT,RULE:a/b/c",
	// what Go lacks
	"RULE:^CN=(?=k).*$/x/", "RULE:^CN=(?!k).*$/x/", "RULE:^CN=.*(?<=t)$/x/", "RULE:^CN=.*(?<!t)$/x/", "RULE:(?>a+)/x/", "RULE:a*+/x/", "RULE:a++/x/", "RULE:a?+/x/", "RULE:a{1,3}+/x/", `RULE:(a)\1*/x/`, `RULE:(?<n>a)\k<n>*/x/`,
	"RULE:[a-z[A-Z]]+/x/", "RULE:[a-z&&[^b]]+/x/", `RULE:\bCN.*/x/`, `RULE:CN\h*.*/x/`, `RULE:CN\v*.*/x/`, `RULE:.*\Z/x/`, `RULE:\p{javaLowerCase}+/x/`, `RULE:(?x)a a a/x/`, `RULE:(?U)\w+/x/`, `RULE:\u0061+/x/`, `RULE:[]a]+/x/`, `RULE:\R?aaa/x/`, `RULE:(?i)é?aaa/x/`,
}
