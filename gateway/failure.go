package gateway

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"kring"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusal is what the client of s is told when s could not be sent upstream; codeNone: its
// connection is closed.
func (n *node) refusal(s *slot) int16 {
	h := s.req.Header
	switch {
	case h.Key == keyFetch && s.course.session, s.course.silent:
		return codeNone
	case h.Key == keyInitProducerID && len(s.req.Body) > 0 && noTransactionalID(h.Version, s.req.Body):
		return codeCoordinatorLoading // there is no coordinator to look for
	}
	return api(h.Key).Code
}

func noTransactionalID(version int16, body []byte) bool {
	if version >= 2 {
		return body[0] == 0
	}
	return body[0] == 0xff
}

// refuse answers with an error that has the client try again, without locks.
func refuse(r kafka.APIRequest, code int16, why kring.CloseReason, n *node) {
	req, err := r.Decode()
	if err != nil {
		r.CloseConnection(why)
		return
	}
	text := fmt.Sprintf("the gateway could not reach broker %d in time", n.id)
	if n.id == NoNode {
		text = "the gateway could not reach any broker in time"
	}
	r.Respond(refused(req, code, text))
}

// refused is kafka.Refusal, but for Fetch: consumers look at the errors of partitions to look for
// the leader again. For an error of the whole, Apache Kafka's forgets a session and goes on.
func refused(req kmsg.Request, code int16, text string) kmsg.Response {
	resp := kafka.Refusal(req, code, text)
	if fetch, is := resp.(*kmsg.FetchResponse); is && len(fetch.Topics) > 0 {
		fetch.ErrorCode = 0
	}
	return resp
}

// closedByPeer says that the broker has ended a connection, and not the gateway.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// throttleOf is how long the broker reads nothing more of the connection that it answered
// by (KIP-219).
func throttleOf(h kafka.Header, response []byte) time.Duration {
	return min(kafka.ThrottleOf(h.Key, h.Version, response), throttleMost)
}

// throttleMost bounds what a broker may say.
const throttleMost = 5 * time.Minute
