package kafka

import "kring/reqchan"

// softwareBytesMax bounds the software name and version of a client: they are kept with
// the connection and become labels of metrics.
const softwareBytesMax = 255

// captureSoftware stores the client's software name and version, which an ApiVersions
// request has from version 3 on, with its connection. It reports whether KIP-511 allows
// them. The body has been validated.
func captureSoftware(c *reqchan.Conn, body []byte) bool {
	r := reader{left: body}
	name, version := r.string(true), r.string(true)
	if !softwareWord(name) || !softwareWord(version) {
		return false
	}
	if c == nil {
		return true
	}
	if s := c.Software(); s.Name != string(name) || s.Version != string(version) {
		c.SetSoftware(reqchan.Software{Name: string(name), Version: string(version)})
	}
	return true
}

// softwareWord is KIP-511's [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?, and not
// longer than softwareBytesMax.
func softwareWord(b []byte) bool {
	if len(b) == 0 || len(b) > softwareBytesMax || !alphanumeric(b[0]) || !alphanumeric(b[len(b)-1]) {
		return false
	}
	for _, c := range b {
		if !alphanumeric(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
