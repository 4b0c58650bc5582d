package kafka

import "encoding/binary"

const (
	// headerBytesMin is the shortest header: key, version, correlation id.
	headerBytesMin = 8
	// headerTagsMax bounds the tags of a header. Kafka has none yet. 64 leave room for
	// future ones and bound the time that a header costs.
	headerTagsMax = 64
)

const (
	keyProduce            = 0
	keyControlledShutdown = 7
	keyApiVersions        = 18
)

// Header is a request's header.
type Header struct {
	Key           int16 // -1: the header ends before all of it is known
	Version       int16
	CorrelationID int32
	// Size is how many bytes of the payload the header takes; the body follows.
	Size int
	// ClientID lies in the payload and is valid as long as that; nil when the
	// client sent null.
	ClientID []byte
}

// HeaderVersion is the version of the header that requests of an API have: 0
// (without client id), 1, or 2 (with a tag section). It is -1 for an unknown API or a
// negative version.
func HeaderVersion(key, version int16) int {
	d := describe(key)
	switch {
	case d == nil || version < 0:
		return -1
	case key == keyControlledShutdown && version == 0:
		return 0
	case version >= d.flexible:
		return 2
	}
	return 1
}

// ParseHeader parses the header of any request; the error is a *Fault. It does not
// allocate. ApiVersions has a header in every version, even an unknown one: its response
// is how a client learns which versions are known.
func ParseHeader(payload []byte) (Header, error) {
	h, f := parseHeader(payload)
	if f != nil {
		return h, f
	}
	return h, nil
}

func parseHeader(payload []byte) (h Header, f *Fault) {
	if len(payload) < headerBytesMin {
		h.Key = -1
		return h, faultShort
	}
	h.Key = int16(binary.BigEndian.Uint16(payload))
	h.Version = int16(binary.BigEndian.Uint16(payload[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(payload[4:]))
	d := describe(h.Key)
	if d == nil {
		return h, faultUnknownAPI
	}
	layout := HeaderVersion(h.Key, h.Version)
	if layout < 0 || h.Version > d.max {
		if h.Key != keyApiVersions {
			return h, faultVersion
		}
		layout = max(layout, 1)
	}
	r := reader{left: payload[headerBytesMin:]}
	if layout >= 1 {
		if h.ClientID, f = clientID(&r); f != nil {
			return h, f
		}
	}
	if layout >= 2 && !headerTags(&r) {
		return h, faultHeaderTags
	}
	h.Size = len(payload) - len(r.left)
	return h, nil
}

// clientID reads the client id, which never has the compact form.
func clientID(r *reader) ([]byte, *Fault) {
	if len(r.left) < 2 {
		return nil, faultShort
	}
	id := r.span(r.stringLen(false), true)
	if r.fault != nil {
		return nil, faultClientID
	}
	return id, nil
}

func headerTags(r *reader) bool {
	n := r.tagCount()
	if n > headerTagsMax {
		return false
	}
	for range n {
		r.tag()
	}
	return r.fault == nil
}
