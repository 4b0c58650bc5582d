package kafka

import (
	"encoding/binary"

	"kring/quota"
	"kring/reqchan"
)

// Door is a protocol filter: a handler of frames that passes only well-formed requests
// of served versions on to a Handler. It answers what the protocol itself answers (such
// as ApiVersions of an unsupported version). Everything else closes the connection, for
// a counted reason.
type Door struct {
	// ElementsMax is how many array elements and tags one request may have; 0
	// means ElementsMaxDefault. Set it before the first request.
	ElementsMax int
	// Rejected, if set, is called for every request that closes its connection. It
	// is called before the close, on the goroutine that runs the handler, and must
	// not block. h is valid as far as it could be parsed. Set it before the first
	// request.
	Rejected func(c *reqchan.Conn, h Header, why *Fault)

	// Quotas, if set, measures every request that is passed on. A client over its
	// limits is told so in its response, and muted. Set it before the first request;
	// its limits can change at any time (quota.Quotas.Set).
	Quotas *quota.Quotas

	versions Versions
	answers  *apiVersionsBodies
	next     Handler
	watcher  connWatcher
}

// connWatcher is what the root package's ConnWatcher is; a Handler behind the
// door may be one.
type connWatcher interface {
	ConnOpened(*reqchan.Conn)
	ConnClosed(*reqchan.Conn, reqchan.CloseReason)
}

// NewDoor makes the door to next, which serves v.
func NewDoor(v Versions, next Handler) *Door {
	schemas() // compiled here and not for the first client
	responseSchemas()
	d := &Door{versions: v, answers: newApiVersionsBodies(v), next: next}
	d.watcher, _ = next.(connWatcher)
	return d
}

// APIOf reads the key and the version that a payload begins with; the server
// measures requests by them.
func (d *Door) APIOf(payload []byte) (key, version int16) { return APIOf(payload) }

// APIOf is beside Door.APIOf; the key is -1 when there is none.
func APIOf(payload []byte) (key, version int16) {
	if len(payload) < headerBytesMin {
		return -1, 0
	}
	return int16(binary.BigEndian.Uint16(payload)), int16(binary.BigEndian.Uint16(payload[2:]))
}

// Handle validates a frame and passes it on, answers it, or closes its connection.
func (d *Door) Handle(r reqchan.Request) {
	h, f := parseHeader(r.Payload())
	if f == nil && !d.versions.Supported(h.Key, h.Version) {
		if h.Key == keyApiVersions {
			d.answerUnsupported(r, h)
			return
		}
		f = faultVersion
		if _, served := d.versions.Range(h.Key); !served {
			f = faultUnknownAPI
		}
	}
	if f != nil {
		d.reject(r, h, f)
		return
	}
	d.admit(Request{Header: h, Body: r.Payload()[h.Size:], Request: r})
}

// admit validates the body and passes the request on, without the bytes behind the
// body: nobody sees these.
func (d *Door) admit(r Request) {
	limit := d.ElementsMax
	if limit == 0 {
		limit = ElementsMaxDefault
	}
	size, elements, f := validate(r.Header.Key, r.Header.Version, r.Body, limit)
	if f != nil {
		d.reject(r.Request, r.Header, f)
		return
	}
	r.Elements = elements
	behind := len(r.Body) - size
	if behind > 0 {
		r.Body = r.Body[:size:size]
		r.Request.Truncate(r.Header.Size + size)
	}
	measured := d.Quotas != nil && d.Quotas.Any()
	if measured {
		d.chargeBehind(r, behind)
		r.Request.BeforeAnswer((*meteredDoor)(d))
	}
	if r.Header.Key == keyApiVersions && r.Header.Version >= softwareVersionFrom &&
		!captureSoftware(r.Request.Conn(), r.Body) {
		r.RespondBody(d.answers.invalid[r.Header.Version])
		return
	}
	if measured {
		d.measure(r)
		return
	}
	d.next.HandleKafka(r)
}

// answerUnsupported answers an ApiVersions request of a version that is not served: in
// version 0, with what is served, without reading its body (KIP-511).
func (d *Door) answerUnsupported(r reqchan.Request, h Header) {
	h.Version = apiVersionsUnsupportedVersion
	Request{Header: h, Request: r}.RespondBody(d.answers.unsupported)
}

func (d *Door) reject(r reqchan.Request, h Header, f *Fault) {
	if d.Rejected != nil {
		d.Rejected(r.Conn(), h, f)
	}
	r.CloseConnection(f.Reason)
}

// ConnOpened tells the Handler that a connection was opened, if it wants to know.
func (d *Door) ConnOpened(c *reqchan.Conn) {
	if d.watcher != nil {
		d.watcher.ConnOpened(c)
	}
}

// ConnClosed tells the Handler that a connection was closed, if it wants to know.
func (d *Door) ConnClosed(c *reqchan.Conn, why reqchan.CloseReason) {
	if d.watcher != nil {
		d.watcher.ConnClosed(c, why)
	}
}
