package embedded

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// repair changes how one API is served, where kfake's own way would mislead a
// client of Apache Kafka. All repairs stand in one list, repairs, so that each
// can go when kfake does by itself what its upstream says.
type repair struct {
	key kmsg.Key
	// upstream says what kfake would have to do instead.
	upstream string
	// do sees the request before kfake does. It may change it (exchange.changed),
	// ask to see the response (then), or answer it: a response that is not nil goes
	// to the client, through those before it that asked to see one, and kfake does
	// not see the request.
	// It runs on the session's goroutine and may block, as kfake itself does.
	do func(*exchange) kmsg.Response
}

// on types the function of a repair by the request that it takes.
func on[Req kmsg.Request](do func(*exchange, Req) kmsg.Response) func(*exchange) kmsg.Response {
	return func(x *exchange) kmsg.Response { return do(x, x.req.(Req)) }
}

// exchange is one request, decoded, on its way to kfake, and kfake's response on
// its way back.
//
// Owner: the session's goroutine.
type exchange struct {
	q       kafka.Request
	session *session
	req     kmsg.Request
	changed bool // kfake is shown req instead of the client's own bytes
	after   []func(kmsg.Response) (answered bool)
}

func (x *exchange) cluster() *Cluster { return x.session.cluster }

// response is an empty response to the request, of its version.
func (x *exchange) response() kmsg.Response { return x.req.ResponseKind() }

// then has f see kfake's response, which f may change. Several are called in
// the order in which they were named.
func then[Resp kmsg.Response](x *exchange, f func(Resp)) {
	x.after = append(x.after, func(resp kmsg.Response) bool {
		f(resp.(Resp))
		return false
	})
}

// ask puts a request of our own to kfake, on the connection of the client. Its
// version must be set.
func (x *exchange) ask(req kmsg.Request) (kmsg.Response, error) { return x.session.ask(req) }

// repaired serves a request whose API has repairs. On an error the request is not
// answered.
func (s *session) repaired(j job, repairs []repair) error {
	req, err := j.q.Decode()
	if err != nil {
		return fmt.Errorf("decode a request that was screened: %w", err)
	}
	x := &exchange{q: j.q, session: s, req: req}
	for i := range repairs {
		if resp := repairs[i].do(x); resp != nil {
			x.respond(resp)
			return nil
		}
	}
	frame := j.q.Frame()
	if x.changed {
		frame = req.AppendTo(append([]byte(nil), frame[:j.q.Header.Size]...))
	}
	if len(x.after) == 0 {
		return s.forward(j.q, frame)
	}
	resp, err := s.roundTrip(frame, req)
	if err != nil {
		return err
	}
	x.respond(resp)
	return nil
}

// respond answers with kfake's response, or with one that took its place, once
// those have seen it that asked to.
func (x *exchange) respond(resp kmsg.Response) {
	for _, f := range x.after {
		if f(resp) {
			return
		}
	}
	x.q.Respond(resp)
}
