package embedded

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// repair changes how one API is served, if kfake's own way would mislead a client of
// Apache Kafka. All repairs are in one list, repairs, so that each can be removed when
// kfake does what its upstream field says.
type repair struct {
	key kmsg.Key
	// upstream says what kfake would have to do instead.
	upstream string
	// do gets the request before kfake does. It may change it (exchange.changed), ask to
	// see the response (then), or answer it: a response that is not nil goes to the
	// client, through the earlier repairs that asked to see it, and kfake does not get the
	// request.
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
	q       kafka.APIRequest
	session *session
	req     kmsg.Request
	silent  bool // it is a Produce with acks 0
	changed bool // kfake is shown req instead of the client's own bytes
	// after see the response. What one of them has instead is the answer, and
	// those behind it do not see it.
	after []func(kmsg.Response) (instead kmsg.Response)
	ends  []func() // see finally
	// partly is what kfake has answered of a Produce until now, by topic.
	partly kmsg.ProduceResponse
	err    error // see fail
	size   int   // bytes of kfake's response; 0: it was not asked
}

func (x *exchange) cluster() *Cluster { return x.session.cluster }

// response is an empty response to the request, of its version.
func (x *exchange) response() kmsg.Response { return x.req.ResponseKind() }

// then has f see kfake's response, which f may change. Several are called in
// the order in which they were named.
func then[Resp kmsg.Response](x *exchange, f func(Resp)) {
	x.after = append(x.after, func(resp kmsg.Response) kmsg.Response {
		f(resp.(Resp))
		return nil
	})
}

// first is then, before all who asked until now.
func first[Resp kmsg.Response](x *exchange, f func(Resp)) {
	others := x.after
	x.after = nil
	then(x, f)
	x.after = append(x.after, others...)
}

// finally has f called when the request is over, however it ends: those who asked to see the
// response may not see one. Several are called in the order in which they were named.
func (x *exchange) finally(f func()) { x.ends = append(x.ends, f) }

func (x *exchange) end() {
	for _, f := range x.ends {
		f()
	}
}

// ask puts a request of our own to kfake, on the connection of the client. Its
// version must be set.
func (x *exchange) ask(req kmsg.Request) (kmsg.Response, error) { return x.session.ask(req) }

// askRepaired is ask, with the repairs of the API around it, as if the client
// had asked. Only for APIs whose repairs answer by a response.
func (x *exchange) askRepaired(req kmsg.Request) (kmsg.Response, error) {
	inner := &exchange{q: x.q, session: x.session, req: req}
	defer inner.end()
	resp := inner.before(repairsOf[kmsg.Key(req.Key())])
	if resp == nil && inner.err == nil {
		resp, inner.err = x.ask(req)
	}
	if inner.err != nil {
		return nil, inner.err
	}
	resp = inner.seen(resp)
	return resp, inner.err
}

// fail ends the client's connection instead of an answer: what the answer needs
// could not be had from kfake.
func (x *exchange) fail(err error) { x.err = err }

// before makes the repairs that come before kfake sees the request.
func (x *exchange) before(repairs []repair) kmsg.Response {
	for i := range repairs {
		if resp := repairs[i].do(x); resp != nil || x.err != nil {
			return resp
		}
	}
	return nil
}

// repaired serves a request whose API has repairs. On an error the request is not
// answered.
func (s *session) repaired(j job, repairs []repair) error {
	req, err := j.q.Decode()
	if err != nil {
		return fmt.Errorf("decode a request that was validated: %w", err)
	}
	produce, ok := req.(*kmsg.ProduceRequest)
	x := &exchange{q: j.q, session: s, req: req, silent: ok && produce.Acks == 0}
	defer x.end()
	if resp := x.before(repairs); x.err != nil {
		return x.err
	} else if resp != nil {
		return x.respond(resp)
	}
	frame := j.q.Frame()
	if x.changed {
		frame = req.AppendTo(append([]byte(nil), frame[:j.q.Header.Size]...))
	}
	if len(x.after) == 0 && !x.silent {
		return s.forward(j.q, frame)
	}
	resp, err := s.roundTrip(frame, req)
	if err != nil {
		return err
	}
	s.sized(j.q, s.got, 3)
	x.size = s.got
	return x.respond(resp)
}

// seen shows a response to those that asked to see it.
func (x *exchange) seen(resp kmsg.Response) kmsg.Response {
	for _, f := range x.after {
		if instead := f(resp); instead != nil {
			return instead
		}
		if x.err != nil {
			break
		}
	}
	return resp
}

// respond answers with kfake's response, or with one that took its place, once
// those have seen it that asked to. Repairs ask kfake as well, before and after it:
// what they had changed must have been kept, too.
func (x *exchange) respond(resp kmsg.Response) error {
	if refused, err := x.session.unkept(x.q); refused {
		return err
	}
	if resp = x.seen(resp); x.err != nil {
		return x.err
	}
	if refused, err := x.session.unkept(x.q); refused {
		return err
	}
	if produce, ok := resp.(*kmsg.ProduceResponse); ok && x.silent {
		x.endSilent(produce)
	} else {
		x.q.RespondAbout(x.size, resp)
	}
	return nil
}
