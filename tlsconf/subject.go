package tlsconf

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// keywords are the attribute types that RFC 2253 has names for, and Java uses. Every other
// type is its dotted number, and its value hexadecimal.
var keywords = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "STREET",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
}

// attribute is an AttributeTypeAndValue with its value as it is encoded.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributeSET is a RelativeDistinguishedName; the name's end tells encoding/asn1 that.
type attributeSET []attribute

// subjectOf is the text that Java's X500Principal.getName() has for a subject (RFC 2253),
// from its DER. pkix.Name.String is another text: it differs in order, escapes and unknown
// types, so Kafka's rules would not match it.
func subjectOf(der []byte) (string, error) {
	var rdns []attributeSET
	rest, err := asn1.Unmarshal(der, &rdns)
	if err != nil || len(rest) > 0 {
		return "", errors.New("the subject of the client certificate can't be read")
	}
	var b strings.Builder
	for i := len(rdns) - 1; i >= 0; i-- { // the last is the first in the text
		for j, a := range rdns[i] {
			switch {
			case j > 0:
				b.WriteByte('+')
			case b.Len() > 0:
				b.WriteByte(',')
			}
			if err := a.write(&b); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

func (a attribute) write(b *strings.Builder) error {
	oid := a.Type.String()
	name, known := keywords[oid]
	if !known {
		name = oid
	}
	b.WriteString(name + "=")
	if !known || !a.isString() {
		b.WriteString("#" + hex.EncodeToString(a.Value.FullBytes))
		return nil
	}
	value := a.Value.Bytes
	if !utf8.Valid(value) {
		// Java shows U+FFFD for each such byte, so that two certificates would have one name.
		return fmt.Errorf("the subject of the client certificate has a value of %s that is not UTF-8, so it is no certain name; issue the certificate with UTF8String", name)
	}
	writeEscaped(b, string(value))
	return nil
}

// isString says whether Java takes the value as text. It reads all of these as UTF-8.
func (a attribute) isString() bool {
	if a.Value.Class != asn1.ClassUniversal || a.Value.IsCompound {
		return false
	}
	switch a.Value.Tag {
	case asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, asn1.TagGeneralString, asn1.TagBMPString, asn1.TagUTF8String:
		return true
	}
	return false
}

// writeEscaped escapes as Java does: what separates, wherever it stands; and white space at
// both ends.
func writeEscaped(b *strings.Builder, value string) {
	const white = " \r"
	lead := len(value) - len(strings.TrimLeft(value, white))
	trail := len(strings.TrimRight(value, white))
	for i, r := range value {
		switch {
		case r == 0:
			b.WriteString(`\00`)
			continue
		case strings.ContainsRune(`,=+<>#;"\`, r), i < lead, i >= trail:
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}
