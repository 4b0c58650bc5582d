package embedded

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
	"kring/reqchan"
)

// A request that waits in kfake takes five goroutines there and here, and one that is
// answered its session's. So both have a bound over all clients, and who is beyond it
// waits where it costs nothing: a poll is answered with what there is, and its client
// muted for as long as it would have waited (KIP-219); a join is told to come again; what
// would be answered at once stays with its session, in a line.

const (
	// WaitBytes is what a request that may wait takes (Config.WaitsMax), with its part of
	// those that are answered: 31 KiB were measured.
	WaitBytes = 48 << 10
	// waitsMaxDefault is WaitsMax where memory is not little, and waitsMaxLeast where it is.
	waitsMaxDefault, waitsMaxLeast = 8192, 64
	// waitsPart is which part of the memory they take by default.
	waitsPart = 16
	// joinsPart is which part of WaitsMax is for joins, which must not stand behind polls.
	joinsPart = 4
	// runsPart of WaitsMax are the requests of one class that are answered at a time.
	runsPart, runsLeast = 4, 32
	// mutedMax bounds for how long a poll's client is muted, joinAgain a join's.
	mutedMax  = time.Second
	joinAgain = 200 * time.Millisecond
)

// WaitsMaxIn is the default of Config.WaitsMax in so many bytes of memory.
func WaitsMaxIn(bytes int64) int {
	if bytes <= 0 {
		return waitsMaxDefault
	}
	return int(min(max(bytes/waitsPart/WaitBytes, waitsMaxLeast), waitsMaxDefault))
}

// places are how many requests may wait at once.
type places struct {
	most  int64
	taken atomic.Int64
}

func (p *places) take() bool {
	if p.taken.Add(1) <= p.most {
		return true
	}
	p.taken.Add(-1)
	return false
}

// standing says where a request waits. Owner: the session's goroutine.
type standing struct {
	place *places // it has one of these; nil: it does not wait
	poll  *poll   // nil: it is in no crowd
}

// stand takes a place to wait at, and leaves the goroutines that answer to others.
func (s *session) stand(at *places) bool {
	if !at.take() {
		return false
	}
	s.standing.place = at
	s.leaveRun()
	return true
}

// leaveCrowd ends the wait of a poll, and says whether it had to go.
func (s *session) leaveCrowd() (went bool) {
	went = s.cluster.answers.crowds.quit(s.standing.poll)
	s.standing.poll = nil
	return went
}

// leavePlace gives the request's place to others.
func (s *session) leavePlace() {
	if s.standing.place != nil {
		s.standing.place.taken.Add(-1)
		s.standing.place = nil
	}
}

// pollFetch has a Fetch wait, if there is a place, among those that wait for its topics.
func pollFetch(x *exchange, req *kmsg.FetchRequest) kmsg.Response {
	s := x.session
	topics, known := s.fetching.asks(x, req)
	if len(x.after) > 0 { // it will be decoded
		then(x, func(resp *kmsg.FetchResponse) { s.fetching.goesOn(resp.SessionID) })
	}
	switch {
	case s.unwaited > 0:
		x.muteInstead(s.unwaited)
		return nil
	case req.MaxWaitMillis <= 0 || req.MinBytes <= 0:
		return nil
	case !s.stand(&s.cluster.polling):
		x.muteInstead(req.MaxWaitMillis)
		req.MaxWaitMillis, x.changed = 0, true
		return nil
	case !known:
		topics = nil
	}
	x.joinCrowd(&poll{topics: topics, most: s.allowed, committed: req.IsolationLevel == readCommitted})
	return nil
}

// muteInstead mutes a client whose Fetch can't wait, unless it is answered with records.
func (x *exchange) muteInstead(wait int32) {
	then(x, func(resp *kmsg.FetchResponse) {
		if _, records := lastFetched(resp); records == nil && resp.ErrorCode == 0 {
			x.mute(wait, &resp.ThrottleMillis)
		}
	})
}

// pollShareFetch is pollFetch for a member of a share group. What it brings is counted in
// records alone.
func pollShareFetch(x *exchange, req *kmsg.ShareFetchRequest) kmsg.Response {
	s := x.session
	topics := s.sharing.asks(x, req)
	switch {
	case req.MaxWaitMillis <= 0:
	case s.stand(&s.cluster.polling):
		x.joinCrowd(&poll{topics: topics, committed: true})
	default:
		wait := req.MaxWaitMillis
		req.MaxWaitMillis, x.changed = 0, true
		then(x, func(resp *kmsg.ShareFetchResponse) {
			for i := range resp.Topics {
				if slices.ContainsFunc(resp.Topics[i].Partitions, func(p kmsg.ShareFetchResponseTopicPartition) bool { return len(p.Records) > 0 }) {
					return
				}
			}
			x.mute(wait, &resp.ThrottleMillis)
		})
	}
	return nil
}

// joinCrowd is told of a poll before kfake is.
func (x *exchange) joinCrowd(p *poll) {
	if reqchan.BudgetOf(x.q.Raw) == nil {
		return
	}
	s := x.session
	s.mu.Lock()
	p.pipe = s.pipe
	s.mu.Unlock()
	if p.pipe == nil {
		return // the session is over
	}
	s.cluster.answers.crowds.join(p)
	s.standing.poll = p
}

// mute has nothing served of the client for as long as its poll would have waited.
func (x *exchange) mute(wait int32, told *int32) {
	d := min(time.Duration(wait)*time.Millisecond, mutedMax)
	*told = max(*told, int32(d/time.Millisecond))
	x.q.Raw.Throttle(d)
}

// placeJoin has a member wait for the others, if there is a place.
func placeJoin(x *exchange, req *kmsg.JoinGroupRequest) kmsg.Response { return x.placeMember(req) }

// placeSync is placeJoin for SyncGroup.
func placeSync(x *exchange, req *kmsg.SyncGroupRequest) kmsg.Response { return x.placeMember(req) }

func (x *exchange) placeMember(req kmsg.Request) kmsg.Response {
	if x.session.stand(&x.cluster().joining) {
		return nil
	}
	x.q.Raw.Throttle(joinAgain)
	return refusalOf(req, kerr.CoordinatorLoadInProgress.Code, "too many members of groups wait for others")
}

// watchProduced counts what is produced for those that wait for it. It comes before kfake
// sees any of it.
func watchProduced(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	b := reqchan.BudgetOf(x.q.Raw)
	if b == nil {
		return nil
	}
	for i := range req.Topics {
		bytes := int64(0)
		for _, p := range req.Topics[i].Partitions {
			bytes += int64(len(p.Records))
		}
		x.cluster().answers.crowds.produced(req.Topics[i].Topic, bytes, b.Max()/2)
	}
	return nil
}

// watchEnded counts what the end of a transaction shows to those that wait for it.
func watchEnded(x *exchange) kmsg.Response {
	if b := reqchan.BudgetOf(x.q.Raw); b != nil {
		x.cluster().answers.crowds.ended(b.Max() / 2)
	}
	return nil
}

// fetchSession is which topics a client fetches (KIP-227): a request names what changes.
// Who names more than topicNamesKept is not known any more, and waits with those of whom
// nobody knows what they wait for. Owner: the session's goroutine.
type fetchSession struct {
	namedTopics       // has is nil: another connection began it, and has named others
	id          int32 // 0: there is none
}

// namedTopics are those that a session has named.
type namedTopics struct {
	topics []string
	has    map[string]struct{} // topics
}

// begin forgets all, before so many names are added.
func (n *namedTopics) begin(names int) {
	n.topics, n.has = nil, make(map[string]struct{}, min(names, topicNamesKept))
}

// add keeps one more than are known.
func (n *namedTopics) add(name string) {
	if _, has := n.has[name]; !has && n.known() {
		n.has[name] = struct{}{}
		n.topics = append(n.topics, name)
	}
}

func (n *namedTopics) known() bool { return len(n.topics) <= topicNamesKept }

// fetchSessions is the first version of Fetch that has sessions.
const fetchSessions = 7

// fetchNamesIDs is the first version of Fetch whose topics are ids.
const fetchNamesIDs = 13

// asks gives the topics of a request; they are not known when they are those of a session
// that another connection began, until a new one begins.
func (f *fetchSession) asks(x *exchange, req *kmsg.FetchRequest) (topics []string, known bool) {
	goesOn := req.Version >= fetchSessions && req.SessionEpoch > 0
	if !goesOn {
		f.begin(len(req.Topics))
	} else if f.id == 0 || req.SessionID != f.id || f.has == nil {
		f.topics, f.has = nil, nil
		return nil, false
	}
	for i := range req.Topics {
		name := req.Topics[i].Topic
		if req.Version >= fetchNamesIDs {
			name = x.cluster().topicName(req.Topics[i].TopicID)
		}
		f.add(name)
	}
	return f.topics, f.known()
}

// goesOn notes the session that a response names.
func (f *fetchSession) goesOn(id int32) { f.id = id }

// answered is goesOn for a response that nobody decodes, from its correlation id on.
func (f *fetchSession) answered(q kafka.APIRequest, response []byte) {
	if kmsg.Key(q.Header.Key) != kmsg.Fetch || q.Header.Version < fetchSessions {
		return
	}
	at := len(kafka.AppendResponseHeader(nil, q.Header.Key, q.Header.Version, 0)) + 4 + 2 // throttle time, error
	if f.id = 0; len(response) >= at+4 {
		f.id = int32(binary.BigEndian.Uint32(response[at:]))
	}
}

// shareSession is fetchSession for a share group, whose session is its connection's.
type shareSession struct{ namedTopics }

func (f *shareSession) asks(x *exchange, req *kmsg.ShareFetchRequest) []string {
	if req.ShareSessionEpoch <= 0 || f.has == nil {
		f.begin(len(req.Topics))
	}
	for i := 0; i < len(req.Topics) && f.known(); i++ {
		f.add(x.cluster().topicName(req.Topics[i].TopicID))
	}
	if !f.known() {
		return nil
	}
	return f.topics
}

// runs are the goroutines of sessions that answer requests, by class: those that may take
// much room wait for it, and must not keep others.
type runs struct {
	mu   sync.Mutex
	free [2]int        // guarded by mu
	line [2][]*session // guarded by mu
}

// classOf is 1 for what may take much room, else 0.
func classOf(j job) int {
	if key := kmsg.Key(j.q.Header.Key); key == kmsg.Fetch || key == kmsg.ShareFetch {
		return 1
	}
	return 0
}

func (r *runs) init(most int) { r.free = [2]int{most, most} }

// start has s run, now or when there is a goroutine for it. It does not block.
func (r *runs) start(s *session, class int) {
	r.mu.Lock()
	if r.free[class] == 0 {
		r.line[class] = append(r.line[class], s)
		r.mu.Unlock()
		return
	}
	r.free[class]--
	r.mu.Unlock()
	s.stood = false
	go s.run(class)
}

// end gives the goroutine's place to the next.
func (r *runs) end(class int) {
	r.mu.Lock()
	line := r.line[class]
	if len(line) == 0 {
		r.free[class]++
		r.line[class] = nil
		r.mu.Unlock()
		return
	}
	s := line[0]
	line[0], r.line[class] = nil, line[1:]
	r.mu.Unlock()
	s.stood = true
	go s.run(class)
}
