package kafka

import (
	"encoding/binary"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Handler serves requests that the Door passed on. It may answer at once or later, from
// any goroutine, exactly once.
type Handler interface {
	HandleKafka(Request)
}

// Request is a validated request: its API is known, its version served, its body
// well-formed. It is a value: a handler that answers later keeps a copy.
//
// Owner: the Handler until it answers, by one of the methods here or of
// Request. After that Header.ClientID and Body must not be touched.
type Request struct {
	Header Header
	// Body is the payload behind the header, up to the end of its last field.
	Body []byte
	// Elements is how many array elements and tags Body has. The memory of the decoded
	// request depends on it, more than on the length.
	Elements int
	// Request is the frame of the request. Its Payload ends with Body: bytes that the
	// client sent behind it are cut off.
	Request reqchan.Request
}

// Decode decodes the body with kmsg. Byte slices in the result lie in Body;
// strings are copies.
func (r Request) Decode() (kmsg.Request, error) {
	req := kmsg.RequestForKey(r.Header.Key)
	req.SetVersion(r.Header.Version)
	return req, req.ReadFrom(r.Body)
}

// Frame is the validated part of the payload: the header and Body. It is nil once the
// request is answered.
func (r Request) Frame() []byte {
	whole := r.Request.Payload()
	return whole[:min(len(whole), r.Header.Size+len(r.Body))]
}

// Respond answers with resp. It is encoded into the memory it is sent from if it fits
// there, else copied once.
func (r Request) Respond(resp kmsg.Response) { r.Finish(resp.AppendTo(r.Start())) }

// RespondAbout is Respond for a response of about n bytes: it is encoded into memory of
// that size.
func (r Request) RespondAbout(n int, resp kmsg.Response) {
	r.Request.Buffer(n + n/16 + responseHeaderBytesMax)
	r.Respond(resp)
}

// RespondBody answers with a body that is encoded already.
func (r Request) RespondBody(body []byte) { r.Finish(append(r.Start(), body...)) }

// Start returns the response header in the memory that Finish sends; append the
// response body to it.
func (r Request) Start() []byte {
	b := r.Request.Buffer(responseHeaderBytesMax)[:0]
	return AppendResponseHeader(b, r.Header.Key, r.Header.Version, r.Header.CorrelationID)
}

// Finish answers with what Start returned and the body appended to it. The
// request is counted by the response's error code, unless the handler has set
// another (reqchan.Request.SetErrorCode).
func (r Request) Finish(payload []byte) {
	if r.Request.ErrorCode() == 0 {
		r.Request.SetErrorCode(errorCode(r.Header.Key, r.Header.Version, payload))
	}
	r.Request.Respond(payload)
}

// NoResponse answers with nothing (Produce with acks 0).
func (r Request) NoResponse() { r.Request.NoResponse() }

// CloseConnection answers by closing the connection.
func (r Request) CloseConnection(why reqchan.CloseReason) { r.Request.CloseConnection(why) }

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
