package kafka

import (
	"slices"

	"kring/reqchan"
)

const (
	keySASLHandshake    = 17
	keySASLAuthenticate = 36
)

// saslRanges are what a listener with SASL serves beside what its Handler does.
var saslRanges = []VersionRange{{keySASLHandshake, 0, 1}, {keySASLAuthenticate, 0, 2}}

// versionsFor is what is served to c: on a listener with SASL, its two APIs as well.
func (d *Filter) versionsFor(c *reqchan.Conn) *Versions {
	if d.SASL == nil || c == nil || d.SASL[c.Listener] == nil {
		return &d.versions
	}
	d.saslOnce.Do(d.addSASL)
	return &d.withSASL
}

func (d *Filter) addSASL() {
	all := slices.DeleteFunc(d.versions.All(), func(r VersionRange) bool {
		return r.Key == keySASLHandshake || r.Key == keySASLAuthenticate
	})
	v, err := NewVersions(append(all, saslRanges...)...)
	if err != nil { // the Filter serves nothing
		v = d.versions
	}
	d.withSASL = v
}

// answerVersions answers ApiVersions on a listener with SASL, if the Handler does not know of
// SASL: what it would answer lacks two APIs. It says whether it did.
func (d *Filter) answerVersions(r APIRequest) bool {
	if r.Header.Key != keyApiVersions {
		return false
	}
	v := d.versionsFor(r.Conn())
	if v == &d.versions || d.versions.Supported(keySASLHandshake, 0) && d.versions.Supported(keySASLAuthenticate, 0) {
		return false
	}
	v.Answer(r)
	return true
}
