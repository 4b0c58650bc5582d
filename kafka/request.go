package kafka

import (
	"context"
	"encoding/binary"

	"kring"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// APIHandler serves the requests that passed a Filter, which is the kring.Handler in
// front of it: a broker that speaks Kafka implements this one, and none of kring's. It
// may answer at once or later, from any goroutine; the first answer counts. It answers
// every API of the Filter's Versions, ApiVersions too: see Versions.Answer.
//
// An APIHandler that is a kring.ConnWatcher is told of connections.
type APIHandler interface {
	HandleAPI(r APIRequest)
}

// APIHandlerFunc makes an APIHandler of a function.
type APIHandlerFunc func(r APIRequest)

// HandleAPI calls f.
func (f APIHandlerFunc) HandleAPI(r APIRequest) { f(r) }

// APIRequest is a request of an API that passed the Filter: its API is known, its version
// served, its body well-formed. It is a value: a handler that answers later keeps a copy.
//
// Owner: the APIHandler until it answers, by one of the methods here or of Raw. After
// that Header.ClientID and Body must not be touched.
type APIRequest struct {
	Header Header
	// Body is the payload behind the header, up to the end of its last field.
	Body []byte
	// Elements is how many array elements and tags Body has. The memory of the decoded
	// request depends on it, more than on the length.
	Elements int
	// Raw is the frame that it came in, with what kring offers for answers: files in a
	// response, throttling, how large a response may be. Its Payload ends with Body:
	// what a client sent behind that is cut off.
	Raw kring.Request

	own []byte // the frame, if Authorize made it longer; nil: it is Raw's
}

// Decode decodes the body with kmsg. Byte slices in the result lie in Body;
// strings are copies.
func (r APIRequest) Decode() (kmsg.Request, error) {
	req := kmsg.RequestForKey(r.Header.Key)
	req.SetVersion(r.Header.Version)
	return req, req.ReadFrom(r.Body)
}

// Conn is the connection that it came from.
func (r APIRequest) Conn() *kring.Conn { return r.Raw.Conn() }

// Context ends when nobody waits for the answer any more: see kring.Conn.Context.
func (r APIRequest) Context() context.Context { return r.Raw.Context() }

// Frame is the validated part of the payload: the header and Body. It is nil once the
// request is answered.
func (r APIRequest) Frame() []byte {
	whole := r.Raw.Payload()
	if r.own != nil && whole != nil {
		return r.own
	}
	return whole[:min(len(whole), r.Header.Size+len(r.Body))]
}

// Respond answers with resp. It is encoded into the memory it is sent from if it fits
// there, else copied once.
func (r APIRequest) Respond(resp kmsg.Response) { r.Finish(resp.AppendTo(r.Start())) }

// RespondAbout is Respond for a response of about n bytes: it is encoded into memory of
// that size.
func (r APIRequest) RespondAbout(n int, resp kmsg.Response) {
	r.Raw.Buffer(n + n/16 + responseHeaderBytesMax)
	r.Respond(resp)
}

// RespondBody answers with a body that is encoded already.
func (r APIRequest) RespondBody(body []byte) { r.Finish(append(r.Start(), body...)) }

// Start returns the response header in the memory that Finish sends; append the
// response body to it.
func (r APIRequest) Start() []byte {
	b := r.Raw.Buffer(responseHeaderBytesMax)[:0]
	return AppendResponseHeader(b, r.Header.Key, r.Header.Version, r.Header.CorrelationID)
}

// Finish answers with what Start returned and the body appended to it. The
// request is counted by the response's error code, unless the handler has set
// another (Raw.SetErrorCode).
func (r APIRequest) Finish(payload []byte) {
	if r.Raw.ErrorCode() == 0 {
		r.Raw.SetErrorCode(errorCode(r.Header.Key, r.Header.Version, payload))
	}
	r.Raw.Respond(payload)
}

// NoResponse answers with nothing (Produce with acks 0).
func (r APIRequest) NoResponse() { r.Raw.NoResponse() }

// CloseConnection answers by closing the connection, for a reason that is counted, such
// as kring.ReasonHandlerClosed. The request counts as failed.
func (r APIRequest) CloseConnection(why kring.CloseReason) { r.Raw.CloseConnection(why) }

const responseHeaderBytesMax = 5

// AppendResponseHeader appends the header of the response to a request: the
// correlation id and, in flexible versions, an empty tag section. ApiVersions
// never has the latter: a client reads its answer before it knows the versions.
func AppendResponseHeader(b []byte, key, version int16, correlationID int32) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(correlationID))
	if d := describe(key); d != nil && version >= d.flexible && key != keyApiVersions {
		b = append(b, 0)
	}
	return b
}
