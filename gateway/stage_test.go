package gateway

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"kring"
	"kring/internal/queue"
	"kring/internal/slab"
	"kring/kafka"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// stage is a Gateway between clients and brokers that a test moves step by step, on a clock
// of its own. It holds the gateway to what it promises:
//
//   - a request is answered once, with the broker's answer to it and to no other, or by
//     closing;
//   - a broker gets the requests of one client in their order and none twice;
//   - after a request that the broker may have read and that was not answered, nothing
//     more of that client is sent;
//   - no lane has more connections than its bound, and no more under way on one.
type stage struct {
	t       testing.TB
	g       *Gateway
	now     int64
	links   []*stageLink // open ones
	clients []*stageClient
	pool    slab.Pool
	home    *reqchan.ResponseQueue
	jobs    *reqchan.Jobs // if set, requests are of these: with a budget
	dials   int
	// processors are what the Dialer says that there are; nil: it does not say.
	processors []uint32
	// change, if set, may change what brokers answer.
	change func(l *stageLink, req kmsg.Request, resp kmsg.Response)
}

func newStage(t testing.TB, change func(*Config)) *stage {
	s := &stage{t: t, now: 1, home: reqchan.NewResponseQueue(queue.NewWakeFlag(func() {}))}
	cfg := Config{
		Bootstrap:   []kafka.Address{{Host: "upstream", Port: 1}},
		Addressing:  Addressing{Names: "node-$(node).test", NamesPort: 9092},
		NodeOf:      func(c *kring.Conn) int32 { return int32(len(c.Listener)) - 1 },
		Connections: 2, Waiting: 2, Joining: 3, Dedicated: 3, Depth: 2,
		Now: func() int64 { return s.now }, Seed: 1,
	}
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	s.g = g
	return s
}

// Dial is of Dialer.
func (s *stage) Dial(to Target, events LinkEvents) Link {
	s.dials++
	l := &stageLink{s: s, to: to, events: events, u: events.(*uplink)}
	s.links = append(s.links, l)
	return l
}

// Processors is beside Dial.
func (s *stage) Processors() []uint32 { return s.processors }

// stageLink is a connection to a broker, which does what the test says.
type stageLink struct {
	s      *stage
	to     Target
	events LinkEvents
	u      *uplink
	opened bool
	ended  bool
	asked  error   // what Close was called with
	queued []Write // not done
	sent   [][]byte
}

func (l *stageLink) Write(w Write) { l.queued = append(l.queued, w) }
func (l *stageLink) Close(why error) {
	if l.asked == nil {
		l.asked = why
	}
}

// leave has n writes leave: the broker has them.
func (l *stageLink) leave(n int) {
	for ; n > 0 && len(l.queued) > 0 && !l.ended; n-- {
		w := l.queued[0]
		l.queued = l.queued[1:]
		l.read(w)
		w.Done(true, nil)
	}
}

// read has the broker read a frame.
func (l *stageLink) read(w Write) {
	var frame []byte
	for _, p := range w.Parts {
		frame = append(frame, p...)
	}
	if int(binary.BigEndian.Uint32(frame)) != len(frame)-4 {
		l.s.t.Fatalf("a frame of %d bytes says %d", len(frame)-4, binary.BigEndian.Uint32(frame))
	}
	l.sent = append(l.sent, frame[4:])
}

// end is when the connection is gone. partly: a part of the first frame that has not left
// may have been read.
func (l *stageLink) end(err error, partly bool) {
	if l.ended {
		return
	}
	l.ended = true
	if l.asked != nil {
		err = l.asked
	}
	for i := 0; len(l.queued) > 0; i++ { // Done may write more
		w := l.queued[0]
		l.queued = l.queued[1:]
		if i == 0 && partly {
			l.read(w)
		}
		w.Done(i == 0 && partly, err)
	}
	for i := range l.sent { // what the broker has read it may well do
		l.process(i, false)
	}
	l.sent, l.queued = nil, nil
	for i, x := range l.s.links {
		if x == l {
			l.s.links = append(l.s.links[:i], l.s.links[i+1:]...)
			break
		}
	}
	l.events.Closed(err)
}

// open is when the connection is there.
func (l *stageLink) open() {
	if !l.opened && !l.ended && l.asked == nil {
		l.opened = true
		l.events.Opened()
	}
}

// process has the broker do what a request asks for: the client's are counted in.
func (l *stageLink) process(i int, answers bool) (payload []byte) {
	h, err := kafka.ParseHeader(l.sent[i])
	if err != nil {
		l.s.t.Fatal(err)
	}
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	if err := req.ReadFrom(l.sent[i][h.Size:]); err != nil {
		l.s.t.Fatal(err)
	}
	resp := req.ResponseKind()
	var tag string
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		for _, a := range APIs {
			resp.(*kmsg.ApiVersionsResponse).ApiKeys = append(resp.(*kmsg.ApiVersionsResponse).ApiKeys,
				kmsg.ApiVersionsResponseApiKey{ApiKey: a.Key, MaxVersion: kmsg.RequestForKey(a.Key).MaxVersion()})
		}
	case *kmsg.MetadataRequest:
		resp.(*kmsg.MetadataResponse).Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: "broker", Port: 1}, {NodeID: 1, Host: "broker", Port: 2}}
	case *kmsg.DescribeGroupsRequest:
		tag = req.Groups[0]
		resp.(*kmsg.DescribeGroupsResponse).Groups = []kmsg.DescribeGroupsResponseGroup{{Group: tag}}
	case *kmsg.ProduceRequest:
		tag = req.Topics[0].Topic
		resp.(*kmsg.ProduceResponse).Topics = []kmsg.ProduceResponseTopic{{Topic: tag}}
	case *kmsg.FetchRequest:
		tag = req.Topics[0].Topic
		resp.(*kmsg.FetchResponse).Topics = []kmsg.FetchResponseTopic{{Topic: tag}}
	case *kmsg.JoinGroupRequest:
		tag = req.Group
		resp.(*kmsg.JoinGroupResponse).MemberID = tag
	}
	if tag != "" {
		l.s.processed(l, tag)
	}
	if !answers {
		return nil
	}
	if l.s.change != nil {
		l.s.change(l, req, resp)
	}
	return responsePayload(resp, h.CorrelationID)
}

// answer has the broker answer the first request that it has, if it has one.
func (l *stageLink) answer() {
	if l.ended || len(l.sent) == 0 {
		return
	}
	silent := l.sent[0][1] == keyProduce && binary.BigEndian.Uint16(l.sent[0]) == 0 && l.silent(l.sent[0])
	p := l.process(0, true)
	l.sent = l.sent[1:]
	if !silent {
		l.give(p)
	}
}

func (l *stageLink) silent(frame []byte) bool {
	h, _ := kafka.ParseHeader(frame)
	return courseOf(h, frame).silent
}

func (l *stageLink) give(p []byte) {
	if len(p)%2 == 0 { // others arrived whole
		if _, err := l.events.FrameBegins(len(p), int32(binary.BigEndian.Uint32(p))); err != nil {
			l.end(err, false)
			return
		}
	}
	l.events.Frame(p)
}

// stageClient is a connection of a client.
type stageClient struct {
	s        *stage
	conn     *reqchan.Conn
	number   int
	asked    int // requests so far
	seen     int // the last that a broker has processed
	gone     bool
	closed   bool // a request of it was answered by closing
	requests []*stageRequest
}

type stageRequest struct {
	job  *reqchan.Job
	tag  string
	resp kmsg.Response
}

func (s *stage) client(listener string) *stageClient {
	c := &stageClient{s: s, number: len(s.clients), conn: &reqchan.Conn{Listener: listener, Remote: netip.MustParseAddrPort("192.0.2.1:1")}}
	s.clients = append(s.clients, c)
	return c
}

// ask sends a request of one of several kinds.
func (c *stageClient) ask(kind int) {
	if c.gone || c.closed || len(c.requests) >= 8 {
		return
	}
	c.asked++
	tag := fmt.Sprintf("%d/%d", c.number, c.asked)
	var req kmsg.Request
	switch kind % 6 {
	case 0:
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups, req = []string{tag}, r
	case 1, 2:
		r := kmsg.NewPtrProduceRequest()
		r.Version, r.TimeoutMillis, r.Acks = 9, 1000, 1
		if kind%6 == 2 {
			r.Acks = 0
		}
		r.Topics, req = []kmsg.ProduceRequestTopic{{Topic: tag}}, r
	case 3:
		r := kmsg.NewPtrFetchRequest()
		r.Version, r.MaxWaitMillis = 12, 500
		r.Topics, req = []kmsg.FetchRequestTopic{{Topic: tag}}, r
	case 4:
		r := kmsg.NewPtrJoinGroupRequest()
		r.Version, r.Group, req = 5, tag, r
	case 5:
		req = kmsg.NewPtrApiVersionsRequest()
		tag = ""
	}
	c.send(req, tag)
}

func (c *stageClient) send(req kmsg.Request, tag string) *stageRequest {
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, req, int32(1000+c.asked))
	r := &stageRequest{job: reqchan.NewJob(c.conn, frame), tag: tag, resp: req.ResponseKind()}
	if c.s.jobs != nil {
		r.job = c.s.jobs.Take(c.conn, 0)
		r.job.Frame = frame
	}
	r.job.Begin(c.s.home, &c.s.pool)
	c.requests = append(c.requests, r)
	raw := r.job.Request()
	h, err := kafka.ParseHeader(raw.Payload())
	if err != nil {
		c.s.t.Fatal(err)
	}
	c.s.g.HandleAPI(kafka.APIRequest{Header: h, Body: raw.Payload()[h.Size:], Raw: raw})
	c.s.look()
	return r
}

// leave is when the client's connection ends.
func (c *stageClient) leave() {
	if !c.gone {
		c.gone = true
		c.s.g.ConnClosed(c.conn, 0)
		c.s.look()
	}
}

// look takes the answers that clients got, and holds them to what they asked.
func (s *stage) look() {
	for s.home.Take() != nil {
	}
	for _, c := range s.clients {
		left := c.requests[:0]
		for _, r := range c.requests {
			if !r.job.Answered() {
				left = append(left, r)
				continue
			}
			c.answered(r)
			r.job.Free()
		}
		c.requests = left
	}
	s.bounds()
}

func (c *stageClient) answered(r *stageRequest) {
	kind, response, _ := r.job.Answer()
	switch kind {
	case reqchan.AnswerClose:
		c.closed = true
	case reqchan.AnswerSend:
		if err := readOwn(response[4:], r.resp); err != nil {
			c.s.t.Fatalf("client %d: %v", c.number, err)
		}
		got := r.tag
		switch resp := r.resp.(type) {
		case *kmsg.DescribeGroupsResponse:
			got = resp.Groups[0].Group
		case *kmsg.ProduceResponse:
			got = resp.Topics[0].Topic
		case *kmsg.FetchResponse:
			got = resp.Topics[0].Topic
		case *kmsg.JoinGroupResponse:
			if resp.ErrorCode == 0 {
				got = resp.MemberID
			}
		}
		if got != r.tag {
			c.s.t.Fatalf("client %d got the answer to %s for %s", c.number, got, r.tag)
		}
	}
}

// processed is when a broker has done what a client's request asks for.
func (s *stage) processed(l *stageLink, tag string) {
	var number, n int
	if _, err := fmt.Sscanf(tag, "%d/%d", &number, &n); err != nil {
		s.t.Fatal(err)
	}
	c := s.clients[number]
	if n <= c.seen {
		s.t.Fatalf("the broker got request %d of client %d after request %d, on %v", n, number, c.seen, l.u.lanes.lane)
	}
	c.seen = n
}

// bounds holds the lanes to theirs.
func (s *stage) bounds() {
	for _, n := range s.g.allNodes() {
		for _, p := range n.pools {
			for i := range p.lanes {
				l := &p.lanes[i]
				if len(l.links) > l.most+l.insteadMax() || l.lane == LaneOwn && len(l.links) > l.most {
					s.t.Fatalf("%d connections of lane %v, and %d may be", len(l.links), l.lane, l.most)
				}
				waits := 0
				for _, t := range l.line.all() {
					if t.client.line == l && t.client.ticket == t.ticket {
						waits++
					}
				}
				if waits != l.waits {
					s.t.Fatalf("lane %v says that %d wait, and %d do", l.lane, l.waits, waits)
				}
				for _, u := range l.links {
					if most := s.g.cfg.Depth; u.away.len() > most || u.away.len() > 1 && !l.lane.shared() && l.lane != LaneOwn {
						s.t.Fatalf("%d under way on a connection of lane %v", u.away.len(), l.lane)
					}
				}
			}
		}
	}
}

// run has brokers answer all that they are asked, in no time.
func (s *stage) run() {
	for range 40 {
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.open()
			l.leave(1 << 20)
			l.answer()
			if l.asked != nil {
				l.end(nil, false)
			}
		}
		s.look()
	}
}

// settle has everything answer until nothing moves any more.
func (s *stage) settle() {
	for range 40 {
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.open()
			l.leave(1 << 20)
			for range 10 {
				l.answer()
				l.leave(1 << 20)
			}
			if l.asked != nil {
				l.end(nil, false)
			}
		}
		s.tick(400 * time.Millisecond)
	}
}

func (s *stage) tick(d time.Duration) {
	s.now += int64(d)
	s.g.Tick()
	s.look()
}

// finish ends it: whatever has happened, every request must be answered in bounded time, and
// nothing may be left.
func (s *stage) finish() {
	s.settle()
	for _, c := range s.clients {
		if len(c.requests) > 0 {
			s.t.Fatalf("client %d: %d requests are not answered although the brokers answer all, first %s", c.number, len(c.requests), c.requests[0].tag)
		}
		c.leave()
	}
	s.settle()
	s.g.Close()
	s.settle()
	if len(s.links) > 0 {
		s.t.Fatalf("%d connections are left", len(s.links))
	}
	for _, n := range s.g.allNodes() {
		if n.opening != 0 {
			s.t.Fatalf("node %d: %d connections are said to be opening", n.id, n.opening)
		}
	}
	if n := s.pool.Lent(); n != 0 {
		s.t.Fatalf("%d pieces of memory did not come home", n)
	}
	s.pool.Close()
}

// someClient is one of the last eight clients, or a new one in the place of one that is gone.
func (s *stage) someClient(which int, listener string) *stageClient {
	if recent := s.clients[max(0, len(s.clients)-8):]; len(recent) == 8 {
		if c := recent[which%8]; !c.gone && !c.closed {
			return c
		}
	}
	return s.client(listener)
}

// play does what script says, two bytes a step.
func (s *stage) play(script []byte) {
	listeners := []string{"", "a", "ab"}
	for ; len(script) >= 2; script = script[2:] {
		what, with := script[0], int(script[1])
		var l *stageLink
		if len(s.links) > 0 {
			l = s.links[with%len(s.links)]
		}
		switch what % 13 {
		case 0, 1, 2, 3:
			s.someClient(with, listeners[with%3]).ask(int(what>>4) + with>>4)
		case 4:
			if l != nil {
				l.open()
			}
		case 5, 6:
			if l != nil && l.opened {
				l.leave(1 + with>>6)
			}
		case 7, 8:
			if l != nil {
				l.answer()
			}
		case 9:
			if l != nil {
				l.end([]error{io.EOF, syscall.ECONNRESET}[with>>7], with&64 != 0 && l.opened)
			}
		case 10:
			s.tick(time.Duration(with) * time.Duration(what) * time.Millisecond)
		case 11:
			if with == 255 {
				s.g.Drain()
			} else if len(s.clients) > 0 {
				s.clients[with%len(s.clients)].leave()
			}
		case 12:
			if l != nil && l.opened && !l.ended {
				l.give([]byte{9, 9, 9, 9, 0, 0}) // nobody asked that
			}
		}
		for _, l := range append([]*stageLink(nil), s.links...) {
			if l.asked != nil {
				l.end(nil, with&32 != 0 && l.opened)
			}
		}
		s.look()
	}
}
