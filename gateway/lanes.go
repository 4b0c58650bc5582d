package gateway

import (
	"encoding/binary"
	"time"

	"kring/kafka"
)

// Lane says by what connections requests of an API go upstream: a broker serves one
// request of a connection at a time, so requests that wait must not share one with others.
type Lane uint8

// The lanes.
const (
	// LaneHere: the gateway answers.
	LaneHere Lane = iota
	// LaneShort: over a connection shared with others whose requests answer at once.
	LaneShort
	// LaneWrite: over a connection shared with others that wait for replicas.
	LaneWrite
	// LaneWaiting: over a connection that is nobody else's until the answer.
	LaneWaiting
	// LaneJoining: likewise, but apart: members of a group wait for each other, so none of
	// them may wait for the connection of another.
	LaneJoining
	// LaneOwn: over a connection that is the client's for its life.
	LaneOwn
	// LaneRefused: not at all.
	LaneRefused
	lanesCount = iota
)

var laneNames = [...]string{"here", "short", "write", "waiting", "joining", "own", "refused"}

func (l Lane) String() string { return laneNames[l] }

// shared says that requests of several clients may be under way on a connection of l.
func (l Lane) shared() bool { return l == LaneShort || l == LaneWrite }

// limit is how long a request may take upstream.
type limit uint8

const (
	limitShort  limit = iota // Config.RequestTimeout
	limitAsked               // and what the request says that it waits
	limitChange              // changes of the cluster, which carry times of their own
	limitGroup               // as long as a rebalance may take
)

// Error codes that the gateway gives or is given.
const (
	codeNone                    = 0 // the protocol has none here: the connection is closed
	codeNotLeader               = 6
	codeCoordinatorLoading      = 14
	codeCoordinatorNotAvailable = 15
	codeNotCoordinator          = 16
	codeUnsupportedVersion      = 35
	codeNotController           = 41
	codeRebootstrapRequired     = 129
)

// API is what the gateway does with the requests of an API.
type API struct {
	Key  int16
	Lane Lane
	// Code is what clients are told when a request could not be sent upstream, 0: nothing,
	// their connection is closed.
	Code  int16
	limit limit
	// Note is for the documentation.
	Note string
}

// APIs is what the gateway does with each API that clients may use. Those that only servers
// use, and those that are not in it, are refused.
//
// What goes to a coordinator is told NOT_COORDINATOR: each of these APIs knows it, as a reason to
// look for the coordinator again. Apache Kafka's consumer takes COORDINATOR_NOT_AVAILABLE of an
// OffsetFetch for fatal. What goes to any broker knows only the latter.
var APIs = []API{
	{keyProduce, LaneWrite, codeNotLeader, limitAsked, "acks=0: own connection, as there is no answer"},
	{keyFetch, LaneWaiting, codeNotLeader, limitAsked, "without a wait: short; inside a fetch session no error is invented: the connection is closed"},
	{2, LaneShort, codeNotLeader, limitShort, ""},
	{keyMetadata, LaneShort, codeNone, limitShort, "addresses rewritten"},
	{8, LaneShort, codeNotCoordinator, limitShort, ""},
	{9, LaneShort, codeNotCoordinator, limitShort, ""},
	{keyFindCoordinator, LaneShort, codeCoordinatorNotAvailable, limitShort, "addresses rewritten"},
	{keyJoinGroup, LaneJoining, codeNotCoordinator, limitGroup, ""},
	{12, LaneShort, codeNotCoordinator, limitShort, ""},
	{13, LaneShort, codeNotCoordinator, limitShort, ""},
	{keySyncGroup, LaneJoining, codeNotCoordinator, limitGroup, ""},
	{15, LaneShort, codeNotCoordinator, limitShort, "members' ClientHost is the gateway"},
	{keyListGroups, LaneShort, codeCoordinatorNotAvailable, limitShort, ""},
	{keySASLHandshake, LaneOwn, codeNone, limitShort, "answered here where the listener has SASL; else only in dedicated mode"},
	{keyApiVersions, LaneHere, codeNone, limitShort, "the intersection of the broker's versions and the gateway's"},
	{19, LaneWaiting, codeNotController, limitChange, ""},
	{20, LaneWaiting, codeNotController, limitChange, ""},
	{21, LaneWaiting, codeNotLeader, limitChange, ""},
	{keyInitProducerID, LaneShort, codeNotCoordinator, limitShort, ""},
	{23, LaneShort, codeNotLeader, limitShort, ""},
	{24, LaneShort, codeNotCoordinator, limitShort, ""},
	{25, LaneShort, codeNotCoordinator, limitShort, ""},
	{26, LaneShort, codeNotCoordinator, limitShort, ""},
	{28, LaneShort, codeNotCoordinator, limitShort, ""},
	{29, LaneShort, codeNone, limitShort, "hosts in ACLs are compared with the gateway's address"},
	{30, LaneWaiting, codeNone, limitChange, "hosts in ACLs are compared with the gateway's address"},
	{31, LaneWaiting, codeNone, limitChange, ""},
	{32, LaneShort, codeNone, limitShort, "listeners of a BROKER are shown as they are"},
	{33, LaneWaiting, codeNone, limitChange, ""},
	{34, LaneWaiting, codeNone, limitChange, ""},
	{35, LaneWaiting, codeNone, limitChange, ""},
	{keySASLAuthenticate, LaneOwn, codeNone, limitShort, "as SaslHandshake"},
	{37, LaneWaiting, codeNotController, limitChange, ""},
	{38, LaneRefused, codeNone, limitShort, "a token would be the upstream principal's; dedicated mode with passed-through SASL: own"},
	{39, LaneRefused, codeNone, limitShort, "likewise"},
	{40, LaneRefused, codeNone, limitShort, "likewise"},
	{41, LaneRefused, codeNone, limitShort, "likewise"},
	{42, LaneWaiting, codeNotCoordinator, limitChange, ""},
	{43, LaneWaiting, codeNotController, limitChange, ""},
	{44, LaneWaiting, codeNone, limitChange, ""},
	{45, LaneWaiting, codeNotController, limitChange, ""},
	{46, LaneShort, codeNotController, limitShort, ""},
	{47, LaneWaiting, codeNotCoordinator, limitChange, ""},
	{48, LaneShort, codeNone, limitShort, ""},
	{49, LaneWaiting, codeNone, limitChange, "ip quotas see the gateway's address"},
	{50, LaneShort, codeNone, limitShort, ""},
	{51, LaneWaiting, codeNone, limitChange, ""},
	{55, LaneShort, codeNone, limitShort, "controllers' listeners are shown as they are"},
	{57, LaneWaiting, codeNotController, limitChange, ""},
	{keyDescribeCluster, LaneShort, codeNone, limitShort, "addresses rewritten"},
	{61, LaneShort, codeNotLeader, limitShort, ""},
	{64, LaneWaiting, codeNone, limitChange, ""},
	{65, LaneShort, codeNotCoordinator, limitShort, ""},
	{keyListTransactions, LaneShort, codeCoordinatorNotAvailable, limitShort, ""},
	{68, LaneShort, codeNotCoordinator, limitShort, "answers at once, it is no long poll"},
	{69, LaneShort, codeNotCoordinator, limitShort, "members' ClientHost is the gateway"},
	{74, LaneShort, codeNone, limitShort, ""},
	{75, LaneShort, codeNone, limitShort, ""},
	{76, LaneShort, codeNotCoordinator, limitShort, "answers at once, it is no long poll"},
	{77, LaneShort, codeNotCoordinator, limitShort, "members' ClientHost is the gateway"},
	{keyShareFetch, LaneOwn, codeNone, limitAsked, "a share session belongs to its connection; addresses rewritten"},
	{keyShareAcknowledge, LaneOwn, codeNone, limitShort, "likewise"},
	{80, LaneWaiting, codeNone, limitChange, ""},
	{81, LaneWaiting, codeNone, limitChange, ""},
	{88, LaneShort, codeNotCoordinator, limitShort, "answers at once; the application's UserEndpoint is never touched"},
	{89, LaneShort, codeNotCoordinator, limitShort, ""},
	{90, LaneShort, codeNotCoordinator, limitShort, ""},
	{91, LaneWaiting, codeNotCoordinator, limitChange, ""},
	{92, LaneWaiting, codeNotCoordinator, limitChange, ""},
	{93, LaneShort, codeNotCoordinator, limitShort, ""},
}

const (
	keyJoinGroup        = 11
	keySyncGroup        = 14
	keyListGroups       = 16
	keySASLHandshake    = 17
	keyApiVersions      = 18
	keyInitProducerID   = 22
	keySASLAuthenticate = 36
	keyListTransactions = 66

	keyCreateTopics            = 19
	keyDeleteTopics            = 20
	keyDescribeTopicPartitions = 75
)

// apiOf holds APIs by key.
var apiOf = func() (all [128]API) {
	for k := range all {
		all[k] = API{Key: int16(k), Lane: LaneRefused}
	}
	for _, a := range APIs {
		all[a.Key] = a
	}
	return all
}()

// api is what is done with requests of key.
func api(key int16) API {
	if key < 0 || int(key) >= len(apiOf) {
		return API{Key: key, Lane: LaneRefused}
	}
	return apiOf[key]
}

// course is what a request needs: by what lane it goes, whether it has an answer, and how
// long the upstream may take for it, beyond what every request may take.
type course struct {
	lane    Lane
	silent  bool          // Produce with acks=0: there is no answer
	waits   time.Duration // as the request asks
	session bool          // Fetch: inside a fetch session
	// waitAt is where the payload says how long the broker may wait for data; 0: nowhere.
	waitAt int
	// mostAt is where it says how many bytes the answer may have; 0: nowhere.
	mostAt int
}

// waitsMax bounds what a client can ask for.
const waitsMax = 15 * time.Minute

// courseOf reads what is needed of a request that passed kafka's filter. payload has its
// header, h.Size bytes.
func courseOf(h kafka.Header, payload []byte) course {
	c := course{lane: api(h.Key).Lane}
	body := payload[h.Size:]
	switch h.Key {
	case keyProduce:
		c.ofProduce(h, body)
	case keyFetch:
		c.ofFetch(h, body)
	case keyJoinGroup:
		c.ofJoin(h, body)
	case keyShareFetch:
		at := skipText(body, 0, true)
		at = skipText(body, at, true)
		c.waits = millis(body, at+4)
		if at+16 <= len(body) { // behind the epoch, the wait and min bytes
			c.mostAt = h.Size + at + 12
		}
	}
	c.waits = min(c.waits, waitsMax)
	return c
}

func (c *course) ofProduce(h kafka.Header, body []byte) {
	at := 0
	if h.Version >= 3 {
		at = skipText(body, at, h.Version >= 9)
	}
	if at+6 > len(body) {
		return
	}
	c.waits = millis(body, at+2)
	if binary.BigEndian.Uint16(body[at:]) == 0 {
		c.lane, c.silent = LaneOwn, true
	}
}

// ofFetch: replica id up to version 14, then how long to wait; min bytes, max bytes (3+),
// isolation (4+), session id and epoch (7+).
func (c *course) ofFetch(h kafka.Header, body []byte) {
	at := 0
	if h.Version <= 14 {
		at = 4
	}
	c.waits = millis(body, at)
	if c.waits == 0 {
		c.lane = LaneShort
	} else {
		c.waitAt = h.Size + at
	}
	if h.Version >= 3 && len(body) >= at+12 {
		c.mostAt = h.Size + at + 8
	}
	if h.Version >= 7 && len(body) >= at+21 {
		id := int32(binary.BigEndian.Uint32(body[at+13:]))
		c.session = id != 0
	}
}

func (c *course) ofJoin(h kafka.Header, body []byte) {
	at := skipText(body, 0, h.Version >= 6)
	c.waits = millis(body, at)
	if h.Version >= 1 {
		c.waits = max(c.waits, millis(body, at+4))
	}
}

// millis reads a time, 0 where there is none or a negative one.
func millis(b []byte, at int) time.Duration {
	if at < 0 || at+4 > len(b) {
		return 0
	}
	return time.Duration(max(0, int32(binary.BigEndian.Uint32(b[at:])))) * time.Millisecond
}

// skipText is where the field behind a string, which may be null, begins.
func skipText(b []byte, at int, compact bool) int {
	if at > len(b) {
		return at
	}
	if compact {
		n, size := binary.Uvarint(b[at:])
		if size <= 0 || n > uint64(len(b)) { // a length that would overflow is one that leads behind b
			return len(b) + 1
		}
		return at + size + max(0, int(n)-1)
	}
	if at+2 > len(b) {
		return at + 2
	}
	return at + 2 + max(0, int(int16(binary.BigEndian.Uint16(b[at:]))))
}

// limitFor is how long the upstream may take, once it has the request.
func (c *Config) limitFor(key int16, waits time.Duration) time.Duration {
	switch api(key).limit {
	case limitAsked:
		return c.RequestTimeout + waits
	case limitChange:
		return c.ChangeTimeout
	case limitGroup:
		return c.RequestTimeout + max(waits, c.GroupTimeout)
	}
	return c.RequestTimeout
}
