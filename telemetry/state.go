package telemetry

import (
	"container/list"
	"crypto/rand"
	"hash/crc32"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kring/reqchan"
)

// The error codes of the protocol that are given.
const (
	codeNone                = 0
	codeInvalidRequest      = 42
	codeUnsupportedCodec    = 76
	codeInvalidRecord       = 87
	codeThrottled           = 89
	codeUnknownSubscription = 117
	codeTelemetryTooLarge   = 118
)

// How long an instance may be silent: so many of its intervals, and the minimum at least.
const (
	expiryMin       = time.Minute // [DEFAULT_CACHE_EXPIRY_MS]
	expiryIntervals = 3
)

// reservedIDs are the ids from 0 to this one (Uuid.RESERVED).
const reservedIDs byte = 1

// InstanceID names one client instance; the zero value is none.
type InstanceID [16]byte

// Client is who sends a request.
type Client struct {
	Conn     reqchan.ConnID
	ID       string // its client id
	Software reqchan.Software
	Remote   netip.AddrPort
}

// State is the subscriptions, and what is known of client instances. Any goroutine may use it.
type State struct {
	cfg Config

	mu        sync.Mutex
	instances map[InstanceID]*list.Element     // guarded by mu; each is in recent
	byConn    map[reqchan.ConnID]*list.Element // guarded by mu; what a connection said last
	recent    *list.List                       // guarded by mu; of *instance, the one used last in front
	names     names                            // guarded by mu
	counts    Counts                           // guarded by mu

	// inflating is held while a payload is inflated and read: one at a time, so that the
	// memory for it is bounded over all clients.
	inflating sync.Mutex
	inflater  inflater                                                   // guarded by inflating
	inflate   func(codec int8, payload []byte, most int) ([]byte, error) // in its place, if set; for tests
}

// Counts are what clients asked for and sent, since the start.
type Counts struct {
	// Instances are those known now; Evicted ones were forgotten for want of room.
	Instances int
	Evicted   uint64
	// Gets are requests for subscriptions, Pushes all pushes, and Rejected those that were
	// answered with an error, by its code.
	Gets, Pushes uint64
	Rejected     map[int16]uint64
	// Bytes were pushed, Inflated are the same decompressed.
	Bytes, Inflated uint64
	// Dropped values are of metrics that nobody asked for, or beyond Config.NamesMax.
	Dropped uint64
}

// instance is what is known of one client instance (ClientMetricsInstance).
type instance struct {
	id           InstanceID
	conn         reqchan.ConnID // which said so last
	metrics      []string
	interval     time.Duration
	subscription int32
	got, pushed  time.Time // when it last got a subscription, and pushed
	used         time.Time
	terminating  bool
	lastError    int16
	values       []value // by name
	pushes       uint64
}

// New makes a State. The error names every fault of cfg.
func New(cfg Config) (*State, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &State{
		cfg: cfg.withDefaults(), instances: map[InstanceID]*list.Element{}, byConn: map[reqchan.ConnID]*list.Element{}, recent: list.New(),
		counts: Counts{Rejected: map[int16]uint64{}},
	}, nil
}

// Answer is what a client is told that asks for its subscription. Code is an error code of the
// protocol; with one, the rest is zero.
type Answer struct {
	Code         int16
	Instance     InstanceID
	Subscription int32
	Metrics      []string // none: it has nothing to push, and asks again after Interval
	Interval     time.Duration
	BytesMax     int
	Delta        bool
	Codecs       []int8 // in the order in which they are preferred
}

// Subscribe answers GetTelemetrySubscriptions of c, whose instance id is id, zero for one that
// has none yet.
func (s *State) Subscribe(now time.Time, c Client, id InstanceID) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Gets++
	if id == (InstanceID{}) {
		if e := s.byConn[c.Conn]; e != nil && e.Value.(*instance).tooEarlyToGet(now) {
			return Answer{Code: s.reject(codeThrottled)} // else each request makes an instance
		}
		id = s.newID()
	}
	i := s.instance(now, c, id)
	if i.tooEarlyToGet(now) {
		return Answer{Code: s.reject(codeThrottled)}
	}
	i.got, i.lastError = now, codeNone
	return Answer{
		Instance: id, Subscription: i.subscription, Metrics: i.metrics, Interval: i.interval,
		BytesMax: s.cfg.BytesMax, Delta: s.cfg.Delta, Codecs: codecs,
	}
}

// tooEarlyToGet says that the client got its subscription, or pushed, less than an interval
// ago. After an error that a new subscription mends it need not wait. (Apache Kafka 4.1 means
// that too, and compares so that it never holds.)
func (i *instance) tooEarlyToGet(now time.Time) bool {
	last := i.got
	if i.pushed.After(last) {
		last = i.pushed
	}
	mends := i.lastError == codeUnknownSubscription || i.lastError == codeUnsupportedCodec
	return !mends && !last.IsZero() && now.Sub(last) < i.interval
}

// tooEarlyToPush says that less than an interval has passed since the last push. The first
// after a subscription may come at any time: clients spread it (KIP-714).
func (i *instance) tooEarlyToPush(now time.Time) bool {
	return !i.got.After(i.pushed) && now.Sub(i.pushed) < i.interval
}

// reject counts an answer with an error. mu is held.
func (s *State) reject(code int16) int16 {
	if code != codeNone {
		s.counts.Rejected[code]++
	}
	return code
}

// instance finds the instance of an id, or makes it. It is c's from now on. mu is held.
func (s *State) instance(now time.Time, c Client, id InstanceID) *instance {
	s.expire(now)
	e := s.instances[id]
	if e == nil {
		for len(s.instances) >= s.cfg.InstancesMax {
			s.forget(s.recent.Back())
			s.counts.Evicted++
		}
		e = s.recent.PushFront(s.newInstance(c, id))
		s.instances[id] = e
	}
	s.recent.MoveToFront(e)
	i := e.Value.(*instance)
	if i.conn != c.Conn && s.byConn[i.conn] == e {
		delete(s.byConn, i.conn) // it has come back on another connection
	}
	if old := s.byConn[c.Conn]; old != nil && old != e {
		s.forget(old) // a connection has one instance
	}
	s.byConn[c.Conn] = e
	i.conn, i.used = c.Conn, now
	return i
}

// newInstance works out what a client is asked for: of all subscriptions that match, all
// metrics and the shortest interval (createClientInstance).
func (s *State) newInstance(c Client, id InstanceID) *instance {
	i := &instance{id: id, conn: c.Conn, interval: intervalDefault}
	for n := range s.cfg.Subscriptions {
		if sub := &s.cfg.Subscriptions[n]; sub.matches(c, id) {
			i.metrics = append(i.metrics, sub.Metrics...)
			i.interval = min(i.interval, sub.Interval)
		}
	}
	slices.Sort(i.metrics)
	i.metrics = slices.Compact(i.metrics)
	if slices.Contains(i.metrics, Everything) {
		i.metrics = []string{Everything}
	}
	if len(i.metrics) > 0 && readsLastAlone(c.Software) {
		i.metrics = []string{commonPrefix}
	}
	said := crc32.Checksum([]byte(strings.Join(i.metrics, ",")+strconv.FormatInt(i.interval.Milliseconds(), 10)), crc32.MakeTable(crc32.Castagnoli))
	i.subscription = int32(said ^ crc32.ChecksumIEEE(id[:]))
	return i
}

// commonPrefix is what the names of all clients' metrics begin with.
const commonPrefix = "org.apache.kafka."

// readsLastAlone says that a client may be librdkafka before 2.9 or so. It takes each prefix but
// the last for one string with those behind it (rd_strdup of a string that no NUL ends), so
// that no metric of its own may match. 2.5.0 then aborts its process
// (confluentinc/librdkafka #4833); 2.5.3, 2.6.1 and 2.8.2 push null, which the protocol does
// not allow, and lose their connection. Whether it is a producer or a consumer is not known,
// and the versions are those of its wrapper: so all but Java's get one prefix, which all
// metrics have. librdkafka has a dozen.
func readsLastAlone(s reqchan.Software) bool { return s.Name != "apache-kafka-java" }

func (s *Subscription) matches(c Client, id InstanceID) bool {
	for name, pattern := range s.Match {
		var value string
		switch name {
		case "client_instance_id":
			value = id.String()
		case "client_id":
			value = c.ID
		case "client_software_name":
			value = c.Software.Name
		case "client_software_version":
			value = c.Software.Version
		case "client_source_address":
			value = c.Remote.Addr().String()
		case "client_source_port":
			value = strconv.Itoa(int(c.Remote.Port()))
		}
		if !pattern.MatchString(value) {
			return false
		}
	}
	return true
}

// expire forgets instances that were silent for three intervals, and a minute at least: their
// connections ended, or they do not push. mu is held.
func (s *State) expire(now time.Time) {
	for e := s.recent.Back(); e != nil; e = s.recent.Back() {
		i := e.Value.(*instance)
		if now.Sub(i.used) < max(expiryMin, expiryIntervals*i.interval) {
			return // those before it were used later; one with a shorter interval waits for it
		}
		s.forget(e)
	}
}

// forget needs mu.
func (s *State) forget(e *list.Element) {
	i := s.recent.Remove(e).(*instance)
	delete(s.instances, i.id)
	if s.byConn[i.conn] == e {
		delete(s.byConn, i.conn)
	}
	for _, v := range i.values {
		s.names.release(v.name)
	}
}

// Forget is to be called when a connection ended: what its client pushed is gone with it. A nil
// State has nothing.
func (s *State) Forget(conn reqchan.ConnID) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byConn[conn]; e != nil {
		s.forget(e)
	}
}

// newID is an id that no instance has. mu is held.
func (s *State) newID() (id InstanceID) {
	for {
		_, _ = rand.Read(id[:]) // it never fails
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if s.instances[id] == nil {
			return id
		}
	}
}

// reserved says that no client may have the id.
func (id InstanceID) reserved() bool {
	return id[15] <= reservedIDs && [15]byte(id[:15]) == [15]byte{}
}
