// Command subjects prints what scripts/principals.sh asks Java about: a line with "cert"
// and a certificate in base64 for each kind of subject, and a line with "rule", rules and
// a subject for each kind of rule. Fields are separated by tabs, text is URL-encoded.
package main

import (
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"

	"kring/internal/testcerts"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	a, err := testcerts.New("subjects")
	if err != nil {
		return err
	}
	for _, s := range subjects() {
		der, err := s.der()
		if err != nil {
			return err
		}
		c, err := a.IssueDER(testcerts.Spec{RawSubject: der, Client: true})
		if err != nil {
			return err
		}
		fmt.Printf("cert\t%s\n", base64.StdEncoding.EncodeToString(c))
	}
	for _, r := range rules {
		for _, dn := range names {
			fmt.Printf("rule\t%s\t%s\n", url.QueryEscape(r), url.QueryEscape(dn))
		}
	}
	return nil
}

// value is an attribute's type, the tag of its value, and the value.
type value struct {
	oid  string
	tag  int
	text string
}

// subject is a list of relative names, each of one or more values.
type subject [][]value

// attributeSET is a relative name as encoding/asn1 encodes it.
type attributeSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

func (s subject) der() ([]byte, error) {
	var all []attributeSET
	for _, rdn := range s {
		var set attributeSET
		for _, v := range rdn {
			var oid asn1.ObjectIdentifier
			for n, rest := 0, v.oid; rest != ""; {
				if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
					return nil, err
				}
				oid = append(oid, n)
				rest = rest[min(len(fmt.Sprint(n))+1, len(rest)):]
			}
			set = append(set, struct {
				Type  asn1.ObjectIdentifier
				Value asn1.RawValue
			}{oid, asn1.RawValue{Class: asn1.ClassUniversal, Tag: v.tag, Bytes: []byte(v.text)}})
		}
		all = append(all, set)
	}
	return asn1.Marshal(all)
}
