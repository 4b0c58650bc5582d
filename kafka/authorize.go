package kafka

import (
	"encoding/binary"
	"net/netip"

	"kring"
	"kring/acl"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topics is what an Authorizer's Filter has to know of topics: rules go by names, and
// requests may have ids. Its methods are called by Authorize.
type Topics interface {
	// TopicName is the name of the topic that has an id; empty if there is none. What is
	// kept of names must be bounded.
	TopicName(id [16]byte) string
	// TopicExists reports whether there is such a topic: one that is missing is created
	// only for those who may.
	TopicExists(name string) bool
	// TopicNames are those of all topics, sorted.
	TopicNames() []string
}

// PartialTopics are Topics of which only some are known: a gateway knows those that brokers
// have named. What is not known may exist. So nobody is told that it does not, what would be
// created without a right is asked for without being created, and a list of all has those that
// are known.
type PartialTopics interface {
	Topics
	// AskedBy are the same for a client at addr: what it asks for and is not known has the time and
	// the room of its own address.
	AskedBy(addr netip.Addr) PartialTopics
	// TopicMissing reports whether it is known that there is no such topic.
	TopicMissing(name string) bool
	// TopicSeen reports whether somebody who knows has named the topic within the last seconds.
	// One that exists may have been deleted since it was named.
	TopicSeen(name string) bool
	// CreateTopics has missing topics created as Metadata would, by who answers c's requests. It
	// does not wait for that, and may not do it: clients ask again. Its names are those that the
	// client may create, and that it has asked for in one request with others.
	CreateTopics(c *kring.Conn, names []string)
}

// Brokers tells a Filter in front of several brokers what of a client goes to which.
type Brokers interface {
	// BrokerOf is the broker that c's requests go to; false: any. Sessions are of one broker.
	BrokerOf(c *kring.Conn) (id int32, known bool)
	// ListenerOf is the listener by whose name rules know c: brokers have listeners of their own.
	ListenerOf(c *kring.Conn) string
}

// Authorize asks the Filter's Authorizer about everything that r does, and carries out
// what it says: r is refused, with Kafka's own error; or what is denied is cut out of
// it, and put into the response in front of the client; or the response will be
// stripped of what the client must not see. It returns r without what was cut. false:
// r is answered.
//
// The Filter calls it before the APIHandler, unless AuthorizeLater is set: then the
// APIHandler must, before it does anything else with r but an ApiVersions request.
func (d *Filter) Authorize(r APIRequest) (APIRequest, bool) {
	if d.Authorizer == nil {
		return r, true
	}
	g := guardOf(r.Header.Key)
	if g != nil && g.check == nil {
		return r, true
	}
	req, err := r.Decode()
	if err != nil { // validated: kmsg decodes it
		d.reject(r.Raw, r.Header, faultVersion)
		return r, false
	}
	s := newScreening(d, r, req)
	if g == nil {
		s.refuse(codeClusterAuthorization)
	} else {
		g.check(s)
	}
	return s.carryOut(r)
}

// screening is the authorization of one request.
//
// Owner: the goroutine that calls Authorize, and after that the one that answers.
type screening struct {
	filter *Filter
	topics Topics // the Filter's, as the client asks
	client acl.Client
	conn   *kring.Conn
	header Header
	req    kmsg.Request
	seen   acl.Authorizer // the same rules from the first question to the last

	answer kmsg.Response        // the request's, without the handler
	closed bool                 // it has none: its connection is closed
	cut    bool                 // req is not what the client sent
	after  []change             // of the handler's response, in this order
	learn  func(payload []byte) // sees the handler's response, and changes nothing
	next   reqchan.Answering    // sees the answer after that
	silent bool                 // nobody will be told what was denied, but by a close
}

func newScreening(d *Filter, r APIRequest, req kmsg.Request) *screening {
	c := r.Conn()
	listener := c.Listener
	if d.Brokers != nil {
		listener = d.Brokers.ListenerOf(c)
	}
	topics := d.Topics
	if some, partial := topics.(PartialTopics); partial {
		topics = some.AskedBy(c.ClientAddr())
	}
	return &screening{
		filter: d, topics: topics, conn: c, header: r.Header, req: req, seen: asOfNow(d.Authorizer),
		client: acl.Client{Principal: c.Principal(), Listener: listener, Address: c.ClientAddr()},
	}
}

// broker is the one that r goes to, which is 0 if there are no others; false: any.
func (s *screening) broker() (id int32, known bool) {
	if s.filter.Brokers == nil {
		return 0, true
	}
	return s.filter.Brokers.BrokerOf(s.conn)
}

// existence says what is known of a topic: false, false: nothing is.
func (s *screening) existence(name string) (exists, missing bool) {
	t := s.topics
	if t == nil {
		return false, true
	}
	if exists = t.TopicExists(name); exists {
		return true, false
	}
	some, partial := t.(PartialTopics)
	return false, !partial || some.TopicMissing(name)
}

// sure says whether a topic that exists is sure to: of a deleted one it may take a while to be known.
func (s *screening) sure(name string) bool {
	some, partial := s.topics.(PartialTopics)
	return !partial || some.TopicSeen(name)
}

func (s *screening) knowsAll() bool {
	_, partial := s.topics.(PartialTopics)
	return !partial
}

// asOfNow is what an Authorizer says now, if it can be kept: were the rules replaced in the
// middle of a request, it would be allowed what neither those before nor those after allow.
func asOfNow(a acl.Authorizer) acl.Authorizer {
	if changes, ok := a.(interface{ Rules() *acl.Rules }); ok {
		return changes.Rules()
	}
	return a
}

// carryOut does what the checks decided.
func (s *screening) carryOut(r APIRequest) (APIRequest, bool) {
	switch {
	case s.closed:
		r.Raw.SetErrorCode(codeTopicAuthorization)
		r.CloseConnection(reqchan.HandlerClosed)
		return r, false
	case s.answer != nil:
		r.Respond(s.answer)
		return r, false
	}
	if s.cut {
		r = s.rewrite(r)
	}
	if len(s.after) > 0 || s.learn != nil || s.silent {
		s.next = s.filter.watched(s.header.Key)
		r.Raw.BeforeAnswer(s)
	}
	return r, true
}

// rewrite has the handler see the request as it is after what was cut: where it lay
// before, so that nobody behind the Filter sees anything of the rest. In another version it lies
// elsewhere: who measures the answer goes by the client's.
func (s *screening) rewrite(r APIRequest) APIRequest {
	body := s.req.AppendTo(make([]byte, 0, len(r.Body)))
	if version := s.req.GetVersion(); len(body) > len(r.Body) || version != r.Header.Version { // it names what the client meant by all
		r.own = append(append(make([]byte, 0, r.Header.Size+len(body)), r.Frame()[:r.Header.Size]...), body...)
		r.Body, r.Header.Version = r.own[r.Header.Size:], version
		binary.BigEndian.PutUint16(r.own[2:], uint16(version))
		return r
	}
	if d := s.filter; d.Quotas != nil && d.Quotas.Any() {
		d.chargeBehind(r, len(r.Body)-len(body))
	}
	r.Body = r.Body[:copy(r.Body, body):len(body)]
	r.Raw.Truncate(r.Header.Size + len(body))
	return r
}

// may asks about one thing.
func (s *screening) may(op acl.Operation, on acl.ResourceType, name string) bool {
	a := acl.Action{API: s.header.Key, Operation: op, Resource: on, Name: name}
	if s.seen.Allowed(s.client, a) {
		return true
	}
	if s.filter.Denied != nil {
		s.filter.Denied(s.conn, s.header, a)
	}
	return false
}

// sees is may for what is left out of a response without a word.
func (s *screening) sees(op acl.Operation, on acl.ResourceType, name string) bool {
	return s.seen.Allowed(s.client, acl.Action{API: s.header.Key, Operation: op, Resource: on, Name: name})
}

func (s *screening) cluster(op acl.Operation) bool {
	return s.may(op, acl.Cluster, acl.ClusterName)
}

// refuse answers the whole request with an error. Where Apache Kafka then names none of
// what was asked for, neither does this.
func (s *screening) refuse(code int16) {
	s.answer = Refusal(s.req, code, errorText(code))
	switch resp := s.answer.(type) {
	case *kmsg.OffsetDeleteResponse:
		resp.Topics = nil
	case *kmsg.LeaveGroupResponse:
		resp.Members = nil
	case *kmsg.DescribeQuorumResponse:
		resp.Topics = nil
	case *kmsg.AlterShareGroupOffsetsResponse:
		resp.Topics = nil
	case *kmsg.DeleteShareGroupOffsetsResponse:
		resp.Topics = nil
	}
}

// response is an empty response to the request.
func (s *screening) response() kmsg.Response { return s.req.ResponseKind() }

// change changes the handler's response; false: it left it as it is.
type change func(kmsg.Response) bool

// then has f change the handler's response.
func then[A kmsg.Response](s *screening, f func(A)) {
	s.after = append(s.after, func(resp kmsg.Response) bool { f(resp.(A)); return true })
}

// thenPerhaps is then for a response that mostly stays as it is: it is not encoded anew if f
// returns false.
func thenPerhaps[A kmsg.Response](s *screening, f func(A) bool) {
	s.after = append(s.after, func(resp kmsg.Response) bool { return f(resp.(A)) })
}

// Answering puts into the handler's response what was cut out of the request, and
// takes out what the client must not see. If the response can't be read, the client
// gets none of it.
func (s *screening) Answering(r reqchan.Request, k reqchan.AnswerKind, payload []byte) []byte {
	if k == reqchan.AnswerSend && s.learn != nil {
		s.learn(payload)
	}
	if k == reqchan.AnswerSend && len(s.after) > 0 {
		payload = s.merge(payload)
		if r.ErrorCode() == 0 {
			r.SetErrorCode(errorCode(s.header.Key, s.header.Version, payload))
		}
	}
	if s.next != nil {
		payload = s.next.Answering(r, k, payload)
	}
	if k == reqchan.AnswerNoResponse && s.silent {
		r.SetErrorCode(codeTopicAuthorization)
		return closeInstead
	}
	return payload
}

// closeInstead is what reqchan.Answering returns to have a request closed.
var closeInstead = []byte{}

// AnsweringParts passes on a response with files if it may be seen as it is; no handler
// that makes such a response serves an API whose response has to be stripped.
func (s *screening) AnsweringParts(r reqchan.Request, head []byte, size int) []byte {
	if len(s.after) > 0 {
		return s.encode(Refusal(s.req, codeUnknownServerError, errorText(codeUnknownServerError)))
	}
	if s.learn != nil {
		s.learn(head)
	}
	if s.next != nil {
		return s.next.AnsweringParts(r, head, size)
	}
	return nil
}

func (s *screening) merge(payload []byte) []byte {
	resp := s.response()
	header := len(AppendResponseHeader(nil, s.header.Key, s.header.Version, 0))
	if len(payload) < header || DecodeResponse(payload[header:], resp) != nil {
		return s.encode(Refusal(s.req, codeUnknownServerError, errorText(codeUnknownServerError)))
	}
	changed := false
	for _, f := range s.after {
		changed = f(resp) || changed
	}
	if !changed {
		return payload
	}
	return s.encode(resp)
}

func (s *screening) encode(resp kmsg.Response) []byte {
	h := s.header
	resp.SetVersion(h.Version) // the handler may have been asked in another
	return resp.AppendTo(AppendResponseHeader(nil, h.Key, h.Version, h.CorrelationID))
}

// Error codes of Kafka that authorization alone answers with.
const (
	codeUnknownServerError       = -1
	codeLeaderNotAvailable       = 5
	codeCoordinatorLoading       = 14
	codeInconsistentProtocol     = 23
	codeTopicAuthorization       = 29
	codeGroupAuthorization       = 30
	codeClusterAuthorization     = 31
	codeTransactionAuthorization = 53
	codeSecurityDisabled         = 54
	codeOperationNotAttempted    = 55
	codeTokenAuthorization       = 65
	codeShareSessionNotFound     = 122
)

// errorText is what Apache Kafka says of an error (Errors.message).
func errorText(code int16) string {
	switch code {
	case codeTopicAuthorization:
		return "Topic authorization failed."
	case codeGroupAuthorization:
		return "Group authorization failed."
	case codeClusterAuthorization:
		return "Cluster authorization failed."
	case codeTransactionAuthorization:
		return "Transactional Id authorization failed."
	case codeTokenAuthorization:
		return "Delegation Token authorization failed."
	case codeUnknownTopicID:
		return "This server does not host this topic ID."
	case codeOperationNotAttempted:
		return "The broker did not attempt to execute this operation. This may happen for batched RPCs where some operations in the batch failed, causing the broker to respond without trying the rest."
	}
	return "The server experienced an unexpected error when processing the request."
}
