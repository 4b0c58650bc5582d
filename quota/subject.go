package quota

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"kring/internal/rate"
)

// shards is how many locks there are for everybody; a power of two.
const shards = 64

// Subject is whom a request is measured as: the meters that count what it uses,
// and the limit of each.
type Subject struct {
	quotas  *Quotas
	table   *table // that its bounds are of
	bounds  [kinds][2]bound
	unbound bool         // no limit applies
	used    atomic.Int64 // about when it was found last
}

// bound is a limit, in units of its meter; there may be one of the user and
// client id, and one of the address.
type bound struct {
	meter *meter
	key   meterKey
	limit float64
}

type subjectKey struct {
	user, client string
	ip           netip.Addr
}

// shard holds some of the subjects.
type shard struct {
	mu   sync.RWMutex
	by   map[subjectKey]*Subject // guarded by mu
	full int                     // guarded by mu; at so many it is swept
	_    [64]byte
}

// crowd is the subject of all that there is no room for.
var crowd = subjectKey{user: "<others>", client: "<others>"}

// find is the way of every request: a shared lock of one of many shards.
func (q *Quotas) find(t *table, user string, clientID []byte, ip netip.Addr) *Subject {
	sh := &q.subjects[q.hash(user, clientID, ip)%shards]
	now := q.cfg.Now()
	sh.mu.RLock()
	s := sh.by[subjectKey{user, string(clientID), ip}]
	if s != nil && s.table == t {
		s.touch(now)
		sh.mu.RUnlock()
		return s
	}
	sh.mu.RUnlock()
	key := subjectKey{strings.Clone(user), string(clientID), ip}
	if s = sh.add(q, t, key, now); s == nil {
		q.shared.Add(1)
		s = q.subjects[0].add(q, t, crowd, now)
	}
	return s
}

func (q *Quotas) hash(user string, clientID []byte, ip netip.Addr) uint64 {
	h := maphash.String(q.seed, user)*31 + maphash.Bytes(q.seed, clientID)
	if ip.IsValid() {
		h = h*31 + maphash.Comparable(q.seed, ip)
	}
	return h
}

// touch notes the time, but not so often that processors fight for the line.
func (s *Subject) touch(now int64) {
	if now-s.used.Load() > int64(s.quotas.cfg.Window)/4 {
		s.used.Store(now)
	}
}

// add finds or makes a subject that goes by t; nil when there is no room for
// it.
func (sh *shard) add(q *Quotas, t *table, key subjectKey, now int64) *Subject {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := sh.by[key]
	if old != nil && old.table == t {
		old.touch(now)
		return old
	}
	if most := q.cfg.SubjectsMax / shards; old == nil && key != crowd && len(sh.by) >= min(max(sh.full, 16), most) {
		sh.sweep(q, now)
		if len(sh.by) >= most {
			return nil
		}
		sh.full = 2 * len(sh.by) // so that sweeping costs each newcomer little
	}
	s := q.newSubject(t, key, now)
	if old != nil { // after the new one: what both measure is not forgotten between
		old.leave()
	}
	if sh.by == nil {
		sh.by = map[subjectKey]*Subject{}
	}
	sh.by[key] = s
	return s
}

// sweep drops who was silent for all windows: their meters are at zero, and a
// new one would be as well. It needs mu.
func (sh *shard) sweep(q *Quotas, now int64) {
	silence := int64(q.cfg.Windows+1) * int64(q.cfg.Window)
	for key, s := range sh.by {
		if now-s.used.Load() > silence {
			s.leave()
			delete(sh.by, key)
		}
	}
}

func (sh *shard) len() int {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return len(sh.by)
}

func (q *Quotas) newSubject(t *table, key subjectKey, now int64) *Subject {
	s := &Subject{quotas: q, table: t, unbound: true}
	s.used.Store(now)
	ip := ""
	if key.ip.IsValid() {
		ip = key.ip.String()
	}
	for k := range kinds {
		if limit, shared, ok := t.ofUser(k, key.user, key.client); ok {
			s.bind(0, k, limit, shared, now)
		}
		if limit, shared, ok := t.ofIP(k, ip); ok {
			s.bind(1, k, limit, shared, now)
		}
	}
	return s
}

func (s *Subject) bind(at int, k Kind, limit float64, shared Entity, now int64) {
	key := meterKey{shared, k}
	s.bounds[k][at] = bound{s.quotas.metersOf(key).join(key, s.quotas.windows, now), key, limit}
	s.unbound = false
}

// leave lets go of its meters.
func (s *Subject) leave() {
	for k := range s.bounds {
		for _, b := range s.bounds[k] {
			if b.meter != nil {
				s.quotas.metersOf(b.key).leave(b.key)
			}
		}
	}
}

// meterKey is what one meter counts.
type meterKey struct {
	entity Entity
	kind   Kind
}

// meter lives as long as a subject counts on it, so whoever shares a limit
// counts on the same one.
type meter struct {
	rate *rate.Meter
	refs int // guarded by the mu of its meters
}

// meters hold some of the meters.
type meters struct {
	mu sync.Mutex
	by map[meterKey]*meter // guarded by mu
	_  [64]byte
}

func (q *Quotas) metersOf(key meterKey) *meters {
	return &q.meters[maphash.Comparable(q.seed, key)%shards]
}

func (m *meters) join(key meterKey, w rate.Windows, now int64) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.by[key]
	if found == nil {
		if m.by == nil {
			m.by = map[meterKey]*meter{}
		}
		found = &meter{rate: rate.New(w, now)}
		m.by[key] = found
	}
	found.refs++
	return found
}

func (m *meters) leave(key meterKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.by[key]
	if found.refs--; found.refs == 0 {
		delete(m.by, key)
	}
}

func (m *meters) each(f func(meterKey, *meter)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, found := range m.by {
		f(key, found)
	}
}

func (m *meters) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.by)
}
