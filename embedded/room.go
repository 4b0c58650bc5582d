package embedded

import (
	"encoding/binary"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/budget"
	"kring/kafka"
	"kring/reqchan"
)

// What an answer takes until the client has it: kfake reads batches into its response,
// encodes that, and it is read into the memory that it is sent from. Only the last is
// counted where it is taken. So a request whose answer may be large waits for room before
// kfake sees it, and a Fetch asks kfake for no more than that: Kafka's clients expect
// fewer bytes than they have asked for (KIP-74).

const (
	// answerCopies is what an answer takes at most while it is made, in its own size.
	answerCopies = 4
	// elementBytes is what an element of a request takes that is decoded, here and by
	// kfake, and is answered.
	elementBytes = 256
	// describedBytes is elementBytes for a topic or a broker whose settings are described.
	describedBytes = 16 << 10
	// makingMax bounds the answers that kfake makes at once. It makes them one after the
	// other, so more would only wait.
	makingMax = 16
	// heavyElements is how many elements a request has that is answered by itself: kfake
	// does nothing else meanwhile, so others come between two such requests.
	heavyElements = 4096
	// pollBytesMax bounds an answer that may have to be waited for: it holds nothing
	// meanwhile, and many may be there at once.
	pollBytesMax = 1 << 20
	// pollStays is for how long such a request counts as being answered at least, until
	// it is known that it waits.
	pollStays = 2 * time.Millisecond
	// pollEncodes is how long an answer that kfake has made may take to come.
	pollEncodes = 20 * time.Millisecond
	// behindWaitMax bounds the wait of a client whose last answer was full. It will
	// hardly wait, and keeps its room if it does.
	behindWaitMax  = 100 // milliseconds
	behindBytesMin = 16 << 10
	// keptAnswerBytes is the largest answer whose memory kfake's end of a connection
	// keeps for the next one.
	keptAnswerBytes = 256 << 10
	// tidyBytes is after how many bytes of such answers memory is given back to the
	// system, once there have been no more of them for tidyAfter.
	tidyBytes = 32 << 20
	tidyAfter = time.Second
)

// answers is what a cluster knows of the sizes of its answers, and bounds how many are
// made at once.
type answers struct {
	making  chan struct{}
	unknown chan struct{}                    // the same for answers of which nobody knows the size, which are short
	lists   chan struct{}                    // the same for those that may be as long as all that clients left behind
	heavy   chan struct{}                    // the same for requests that keep kfake busy
	last    [kmsg.MaxKey + 1][2]atomic.Int64 // large ones, by API: to requests that name nothing, and to others
	whole   atomic.Int64                     // the last Fetch that was more than it was asked to be, because a batch was
	record  recordSize
	polling polling
	crowds  crowds
	tidying tidying
}

// listing are the APIs whose answers are as long as what clients have left behind.
var listing = map[kmsg.Key]bool{
	kmsg.OffsetFetch: true, kmsg.ListGroups: true, kmsg.DescribeGroups: true, kmsg.ConsumerGroupDescribe: true, kmsg.ShareGroupDescribe: true,
	kmsg.DescribeShareGroupOffsets: true, kmsg.ListTransactions: true, kmsg.DescribeTransactions: true, kmsg.DescribeProducers: true,
	kmsg.DescribeUserSCRAMCredentials: true, kmsg.DescribeClientQuotas: true, kmsg.DescribeLogDirs: true,
}

func (a *answers) init() {
	a.making, a.unknown = make(chan struct{}, makingMax), make(chan struct{}, makingMax)
	a.lists, a.heavy = make(chan struct{}, 1), make(chan struct{}, 1)
}

// turnsFor is who makes the answer to q when its size is known, and when it is not.
func (a *answers) turnsFor(q kafka.APIRequest) (making, unknown chan struct{}) {
	switch {
	case q.Elements > heavyElements:
		return a.heavy, a.heavy
	case listing[kmsg.Key(q.Header.Key)]:
		return a.making, a.lists
	}
	return a.making, a.unknown
}

// lastTo is how large the last large answer was to requests like q.
func (a *answers) lastTo(q kafka.APIRequest) *atomic.Int64 {
	return &a.last[q.Header.Key][min(q.Elements, 1)]
}

// room is what a request holds while it is answered.
type room struct {
	ticket *budget.Ticket
	turns  chan struct{} // one of which it has; nil: none, because it is light or nobody waits for it
	denied bool          // there was none, and there is nobody to wait for it any more
	once   sync.Once
}

// leave gives it up: the answer is there, or is waited for.
func (m *room) leave() {
	if m == nil {
		return
	}
	m.once.Do(func() {
		m.ticket.Release()
		if m.turns != nil {
			<-m.turns
		}
	})
}

// makeRoom waits until there is room for the answer to j, and has a Fetch ask for no
// more than that. nil: it takes little.
func (s *session) makeRoom(j job) *room {
	a, b, key := &s.cluster.answers, reqchan.BudgetOf(j.q.Raw), kmsg.Key(j.q.Header.Key)
	_, s.changing = changes[key]
	s.unwaited = 0
	s.shares = s.shares || key == kmsg.ShareFetch || key == kmsg.ShareAcknowledge
	if b == nil {
		return nil
	}
	last, decoded := a.lastTo(j.q), int64(j.q.Elements)*bytesOfElement(key)
	if key == kmsg.Fetch {
		return s.makeRoomToFetch(j.q, b, decoded)
	}
	making, unknown := a.turnsFor(j.q)
	for {
		switch n := last.Load(); {
		case n > budget.SmallBytes:
			return s.enter(b, max(n*answerCopies, decoded), j.waits, making)
		case decoded > budget.SmallBytes:
			return s.enter(b, decoded, j.waits, making)
		case j.waits || key == kmsg.Produce:
			return nil
		}
		// Nobody knows: then no more than a few are answered before somebody does.
		m := s.enter(nil, 0, false, unknown)
		if m.denied || last.Load() <= budget.SmallBytes {
			return m
		}
		m.leave()
	}
}

// bytesOfElement is elementBytes, or for what is described more.
func bytesOfElement(key kmsg.Key) int64 {
	if key == kmsg.DescribeConfigs {
		return describedBytes
	}
	return elementBytes
}

// makeRoomToFetch is makeRoom for a Fetch. What is known of batches may change while it
// waits: then it waits once more.
func (s *session) makeRoomToFetch(q kafka.APIRequest, b *budget.Budget, decoded int64) *room {
	f := fetchBounds(q)
	n, waits, light := s.fit(f, b.Room())
	if q.Elements > heavyElements {
		if f.least() > 0 {
			s.unwaited = max(f.wait(), 0)
		}
		f.setWait(0) // its turn is over once it is answered
		return s.enter(b, max(n, decoded), false, s.cluster.answers.heavy)
	}
	m := s.enterToFetch(b, max(n, decoded), waits, light)
	if !m.denied && n <= budget.SmallBytes && !light && s.comesWhole() {
		m.leave()
		n, waits, light = s.fit(f, b.Room())
		m = s.enterToFetch(b, max(n, decoded), waits, light)
	}
	return m
}

// enterToFetch is enter for n bytes, and for a turn unless they are few and the answer is
// light.
func (s *session) enterToFetch(b *budget.Budget, n int64, waits, light bool) *room {
	if light && n <= budget.SmallBytes {
		return s.enter(b, n, waits, nil)
	}
	return s.enter(b, n, waits, s.cluster.answers.making)
}

// comesWhole says that the next answer may be a batch that is larger than what is
// allowed, as far as is known of this client and of others.
func (s *session) comesWhole() bool {
	return min(s.cluster.answers.whole.Load(), s.fetched) > s.allowed
}

// fit lowers what a Fetch asks for, and says what its answer will take, and whether it
// may have to wait for records. It is light when it will hardly bring much: its client
// has read to the end, and no batches are large.
func (s *session) fit(f fetch, room int64) (n int64, waits, light bool) {
	whole := s.cluster.answers.whole.Load()
	waits = f.wait() > 0 && f.least() > 0
	light = waits && !s.behind && max(s.fetched, whole) <= budget.SmallBytes
	most := min(room, int64(f.most()))
	switch {
	case !waits:
	case s.behind:
		f.setWait(min(f.wait(), behindWaitMax))
		waits = false
	case light:
		most = min(most, budget.SmallBytes)
	default:
		most = min(most, pollBytesMax)
	}
	s.allowed = most
	f.setMost(int32(most))
	f.setLeast(int32(min(int64(f.least()), most)))
	n = most * answerCopies
	switch {
	case light:
		n = min(n, budget.SmallBytes)
	case most > budget.SmallBytes:
	case s.comesWhole():
		n = max(n, whole)
	default:
		n = min(n, budget.SmallBytes)
	}
	return n, waits, light
}

// enter waits for n bytes, and then for one of turns unless that is nil. It is denied to a
// session that ends meanwhile, to one whose client goes while it is in the line for bytes,
// to all when the lines close, and, where the request may wait for something to happen, when the
// cluster is drained: all who are in line would be too much at once.
func (s *session) enter(b *budget.Budget, n int64, waits bool, turns chan struct{}) *room {
	m, come := &room{}, make(chan struct{})
	m.ticket = b.Queue(n, func() { close(come) })
	var drained <-chan struct{} // nil: never
	if waits {
		drained = s.cluster.drained.Done()
	}
	if !m.ticket.Granted() {
		select {
		case <-come:
		case <-s.ended:
			m.denied = true
		case <-s.client.Context().Done():
			m.denied = true
		case <-drained:
			m.denied = true
		case <-s.cluster.linesClosed.Done():
			m.denied = true
		}
	}
	if turns != nil && !m.denied {
		m.denied = !s.takeTurn(m, turns, drained)
	}
	if m.denied {
		m.leave()
		return m
	}
	if waits {
		s.cluster.answers.polling.begin(m)
	}
	return m
}

// takeTurn waits for a turn. Whoever's client has gone gets one that is free, and waits
// for one if it changes something: what a client sends last is often a commit.
func (s *session) takeTurn(m *room, turns chan struct{}, drained <-chan struct{}) bool {
	over := s.cluster.linesClosed
	if cap(turns) == 1 && over.Err() != nil {
		return false // it may take long, and others stood here before
	}
	select {
	case turns <- struct{}{}:
		m.turns = turns
		return true
	default:
	}
	var gone <-chan struct{} // nil: never
	if !s.changing {
		gone = s.client.Context().Done()
	}
	select {
	case turns <- struct{}{}:
		m.turns = turns
		return true
	case <-s.ended:
	case <-gone:
	case <-drained:
	case <-over.Done():
	}
	return false
}

// sized is told how large the answer is that kfake has made, and how often it will be
// there beside the copy that is sent, which is counted by itself.
func (s *session) sized(q kafka.APIRequest, n, copies int) {
	a := &s.cluster.answers
	size := int64(n)
	s.large = s.large || n > keptAnswerBytes
	if s.room != nil {
		s.room.ticket.Shrink(size * int64(copies))
	}
	if kmsg.Key(q.Header.Key) != kmsg.Fetch {
		known := a.lastTo(q)
		switch last := known.Load(); {
		case size > last && size > budget.SmallBytes:
			known.Store(size)
		case size < last:
			known.CompareAndSwap(last, last-(last-size)/8)
		}
		return
	}
	s.behind, s.fetched = size >= max(s.allowed/2, behindBytesMin), size
	if whole := a.whole.Load(); size > 2*s.allowed {
		a.whole.Store(max(size, whole))
	} else if whole > 0 {
		a.whole.CompareAndSwap(whole, whole-whole/16-1)
	}
}

// shed gives up the connection to kfake after a large answer, with the memory that its
// other end keeps for the next one. kfake forgets a member of a share group with its
// connection.
func (s *session) shed() {
	if !s.large {
		return
	}
	s.large = false
	s.cluster.answers.tidying.note()
	if s.shares {
		return
	}
	s.mu.Lock()
	pipe := s.pipe
	s.pipe = nil
	s.mu.Unlock()
	if pipe != nil {
		_ = pipe.Close() // net.Pipe: cannot fail
	}
}

// tidying gives memory of the Go heap back to the system after many large answers: the
// collector keeps what a burst took for minutes.
type tidying struct {
	mu    sync.Mutex
	noted int         // guarded by mu; large answers since memory was given back
	seen  int         // guarded by mu; of noted, when the timer was set
	timer *time.Timer // guarded by mu; nil: none is set
	over  bool        // guarded by mu
}

func (t *tidying) note() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.noted++; t.timer == nil && !t.over && t.noted >= tidyBytes/keptAnswerBytes {
		t.seen = t.noted
		t.timer = time.AfterFunc(tidyAfter, t.tick)
	}
}

func (t *tidying) tick() {
	if t.quiet() {
		debug.FreeOSMemory()
	}
}

// quiet says that there were no large answers since the timer was set; otherwise it sets
// it again.
func (t *tidying) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return false
	case t.seen != t.noted:
		t.seen = t.noted
		t.timer.Reset(tidyAfter)
		return false
	}
	t.noted, t.timer = 0, nil
	return true
}

func (t *tidying) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// fetch is where the bounds of a Fetch request lie in its frame: how long it waits at
// most, for how many bytes, and how many it takes at most. They are lowered in place.
type fetch []byte

// fetchBounds finds them. Every version that kfake serves has all three; until version
// 14 the id of a replica comes before them.
func fetchBounds(q kafka.APIRequest) fetch {
	at := 0
	if q.Header.Version < 15 {
		at = 4
	}
	return fetch(q.Body[at : at+12])
}

func (f fetch) at(i int) int32     { return int32(binary.BigEndian.Uint32(f[4*i:])) }
func (f fetch) set(i int, v int32) { binary.BigEndian.PutUint32(f[4*i:], uint32(v)) }
func (f fetch) wait() int32        { return f.at(0) }
func (f fetch) least() int32       { return f.at(1) }
func (f fetch) most() int32        { return max(f.at(2), 0) }
func (f fetch) setWait(v int32)    { f.set(0, v) }
func (f fetch) setLeast(v int32)   { f.set(1, v) }
func (f fetch) setMost(v int32)    { f.set(2, v) }
