package kafka

import (
	"encoding/binary"
	"sync"

	"kring"
	"kring/acl"
	"kring/quota"
	"kring/telemetry"
)

// Filter is the kring.Handler that lets only well-formed requests of served versions
// through to an APIHandler. A request that it refuses closes its connection for a
// counted reason, and counts as failed. It answers only what no handler can: ApiVersions
// in a version that is not served (KIP-511), or with a software name that is not allowed.
// All else, ApiVersions in a served version included, is the APIHandler's.
type Filter struct {
	// ElementsMax is how many array elements and tags one request may have; 0
	// means ElementsMaxDefault. Set it before the first request.
	ElementsMax int
	// Rejected, if set, is called for every request that closes its connection. It
	// is called before the close, on the goroutine that runs the handler, and must
	// not block. h is valid as far as it could be parsed. Set it before the first
	// request.
	Rejected func(c *kring.Conn, h Header, why *Fault)

	// Producers, if set, remembers who produces into which topic. Set it before the first
	// request.
	Producers *Producers

	// TopicCounts, if set, counts by topic what is produced and fetched. Set it before the
	// first request.
	TopicCounts *TopicCounts

	// Quotas, if set, measures every request that is passed on. A client over its
	// limits is told so in its response, and muted. Set it before the first request;
	// its limits can change at any time (quota.Quotas.Set).
	Quotas *quota.Quotas

	// Authorizer, if set, decides what clients may do; see Authorize. One that has a method
	// Rules() *acl.Rules, as acl.File, is asked for them once in a request: then those
	// decide on the whole of it. Set it before the first request.
	Authorizer acl.Authorizer
	// Topics has to be set with Authorizer: without it every topic that has an id is
	// unknown. Set it before the first request.
	Topics Topics
	// Brokers, if set, says that several brokers are behind the Filter. Set it before the first
	// request.
	Brokers Brokers
	// AuthorizeLater leaves the call of Authorize to the APIHandler: for one whose Topics
	// may block. Set it before the first request.
	AuthorizeLater bool
	// Denied, if set, is called for what the Authorizer does not allow, unless that is
	// only left out of a list. It is called before the answer, on the goroutine that
	// calls Authorize, and must not block. Set it before the first request.
	Denied func(c *kring.Conn, h Header, a acl.Action)

	// SASL has the listeners whose clients must authenticate, by their names, and how. All
	// other listeners are open. Set it before the first request.
	SASL map[string]*SASL
	// SCRAMUsers, if set, is what clients describe and change by the APIs 50 and 51
	// (DescribeUserScramCredentials, AlterUserScramCredentials), where they are served;
	// else these are the APIHandler's. Set it before the first request.
	SCRAMUsers SCRAMUsers
	// Telemetry, if set, answers what clients ask and push by client telemetry (KIP-714),
	// where Versions has TelemetryVersions. Tell it of connections that end
	// (telemetry.State.Forget); Filter.ConnClosed does. Set it before the first request.
	Telemetry *telemetry.State

	sessions sessions
	versions Versions
	saslOnce sync.Once
	withSASL Versions // of listeners with SASL; written by saslOnce
	// usersLine runs changes of users, one after the other.
	usersLine line
	// pushesLine reads pushes of telemetry, one after the other.
	pushesLine line
	next       APIHandler
	watcher    kring.ConnWatcher
}

// NewFilter makes the filter in front of next, which serves v: give it to kring.New as the Handler.
func NewFilter(v Versions, next APIHandler) *Filter {
	schemas() // compiled here and not for the first client
	responseSchemas()
	if v.bodies == nil { // the zero Versions, which serves nothing
		v.bodies = newApiVersionsBodies(v)
	}
	d := &Filter{
		versions: v, next: next,
		usersLine: line{runningMax: 1, waitingMax: userChangesMax}, pushesLine: line{runningMax: 1, waitingMax: pushesWaitingMax},
	}
	d.watcher, _ = next.(kring.ConnWatcher)
	return d
}

// APIOf reads the key and the version that a payload begins with; the server
// measures requests by them.
func (d *Filter) APIOf(payload []byte) (key, version int16) { return APIOf(payload) }

// APIOf is beside Filter.APIOf; the key is -1 when there is none.
func APIOf(payload []byte) (key, version int16) {
	if len(payload) < headerBytesMin {
		return -1, 0
	}
	return int16(binary.BigEndian.Uint16(payload)), int16(binary.BigEndian.Uint16(payload[2:]))
}

// Handle validates a frame and passes it on, answers it, or closes its connection.
func (d *Filter) Handle(r kring.Request) {
	if d.SASL != nil && !d.authenticated(r) {
		return
	}
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
	if c := r.Conn(); c != nil {
		c.SetClientID(h.ClientID)
	}
	d.admit(APIRequest{Header: h, Body: r.Payload()[h.Size:], Raw: r})
}

// admit validates the body and passes the request on, without the bytes behind the
// body: nobody sees these.
func (d *Filter) admit(r APIRequest) {
	limit := d.ElementsMax
	if limit == 0 {
		limit = ElementsMaxDefault
	}
	size, elements, f := validate(r.Header.Key, r.Header.Version, r.Body, limit)
	if f != nil {
		d.reject(r.Raw, r.Header, f)
		return
	}
	r.Elements = elements
	behind := len(r.Body) - size
	if behind > 0 {
		r.Body = r.Body[:size:size]
		r.Raw.Truncate(r.Header.Size + size)
	}
	excuseLongPoll(r)
	measured := d.Quotas != nil && d.Quotas.Any()
	if measured {
		d.chargeBehind(r, behind)
	}
	if a := d.watched(r.Header.Key); a != nil {
		r.Raw.BeforeAnswer(a)
	}
	if r.Header.Key == keyApiVersions && r.Header.Version >= softwareVersionFrom &&
		!captureSoftware(r.Raw.Conn(), r.Body) {
		r.RespondBody(d.versions.bodies.invalid[r.Header.Version])
		return
	}
	if d.Authorizer != nil && !d.AuthorizeLater {
		passed := false
		if r, passed = d.Authorize(r); !passed {
			return
		}
	}
	if measured {
		d.measure(r)
		return
	}
	d.pass(r)
}

// pass passes a request on to whoever serves it.
func (d *Filter) pass(r APIRequest) {
	if d.Producers != nil && r.Header.Key == keyProduce {
		d.Producers.record(r)
	}
	switch {
	case d.SASL != nil && d.answerVersions(r), d.SCRAMUsers != nil && d.serveUsers(r),
		d.Telemetry != nil && d.serveTelemetry(r):
	default:
		d.next.HandleAPI(r)
	}
}

// answerUnsupported answers an ApiVersions request of a version that is not served: in
// version 0, with what is served, without reading its body (KIP-511).
func (d *Filter) answerUnsupported(r kring.Request, h Header) {
	h.Version = apiVersionsUnsupportedVersion
	APIRequest{Header: h, Raw: r}.RespondBody(d.versionsFor(r.Conn()).bodies.unsupported)
}

func (d *Filter) reject(r kring.Request, h Header, f *Fault) {
	if d.Rejected != nil {
		d.Rejected(r.Conn(), h, f)
	}
	r.SetErrorCode(f.code())
	r.CloseConnection(f.Reason)
}

// ConnOpened passes on to the Handler that a connection began, if it is a kring.ConnWatcher.
func (d *Filter) ConnOpened(c *kring.Conn) {
	if d.watcher != nil {
		d.watcher.ConnOpened(c)
	}
}

// ConnClosed passes on to the Handler that a connection ended, if it is a kring.ConnWatcher.
func (d *Filter) ConnClosed(c *kring.Conn, why kring.CloseReason) {
	d.Telemetry.Forget(c.ID)
	if d.watcher != nil {
		d.watcher.ConnClosed(c, why)
	}
}
