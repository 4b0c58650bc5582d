package quota

import (
	"hash/maphash"
	"math"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"kring/internal/rate"
)

// shards is the number of locks; a power of two.
const shards = 64

// Subject is what a request is measured as: the meters that count it, and the limit of
// each.
type Subject struct {
	quotas    *Quotas
	table     *table // from which its bounds were made
	bounds    [kinds][2]bound
	unlimited bool         // no limit applies
	used      atomic.Int64 // about when it was found last
}

// bound is a limit, in units of its meter. A Subject may have one for user and client id,
// and one for its address.
type bound struct {
	meter *meter
	key   meterKey
	limit float64
}

type subjectKey struct {
	user, client string
	ip           netip.Addr
	otherIP      bool // of addresses that are not told apart
}

// shard holds some of the subjects.
type shard struct {
	mu      sync.RWMutex
	by      map[subjectKey]*Subject // guarded by mu
	sweepAt int                     // guarded by mu; at so many it is swept
	_       [64]byte
}

// others is in the key of a subject in the place of what is not told apart, beyond SubjectsMax.
// No limit names it.
const others = "<others>"

// withoutClient is the key for all client ids of a user and an address that no limit names.
// Clients choose their ids: if new ids escaped the limits of their user and address, everybody
// could escape them.
func (t *table) withoutClient(key subjectKey) subjectKey {
	if !t.names[Entity{ClientID: key.client}] {
		key.client = others
	}
	return key
}

// withoutAll keeps of a key only what a limit names. So the limits bound how many of these there
// are: one for each combination of a user, a client id and an address that they name.
func (t *table) withoutAll(key subjectKey) subjectKey {
	key = t.withoutClient(key)
	if !t.names[Entity{User: key.user}] {
		key.user = others
	}
	if key.ip.IsValid() && !t.names[Entity{IP: key.ip.String()}] {
		key.ip, key.otherIP = netip.Addr{}, true
	}
	return key
}

// findSubject is called for every request. It takes a shared lock of one of many shards.
func (q *Quotas) findSubject(t *table, user string, clientID []byte, ip netip.Addr) *Subject {
	sh := &q.subjects[q.hash(user, clientID, ip)%shards]
	now := q.cfg.Now()
	sh.mu.RLock()
	s := sh.by[subjectKey{user: user, client: string(clientID), ip: ip}]
	if s != nil && s.table == t {
		s.noteUse(now)
		sh.mu.RUnlock()
		return s
	}
	sh.mu.RUnlock()
	most := q.cfg.SubjectsMax / shards
	key := subjectKey{user: strings.Clone(user), client: string(clientID), ip: ip}
	if s = sh.findOrAdd(q, t, key, now, most); s == nil {
		q.shared.Add(1)
		key = t.withoutClient(key)
		if s = q.beyond[q.hash(user, nil, ip)%shards].findOrAdd(q, t, key, now, most); s == nil {
			s = q.beyond[0].findOrAdd(q, t, t.withoutAll(key), now, math.MaxInt)
		}
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

// noteUse notes the time, but rarely, so that processors don't contend for the cache
// line.
func (s *Subject) noteUse(now int64) {
	if now-s.used.Load() > int64(s.quotas.cfg.Window)/4 {
		s.used.Store(now)
	}
}

// findOrAdd finds or makes a subject of table t; nil if there are most already.
func (sh *shard) findOrAdd(q *Quotas, t *table, key subjectKey, now int64, most int) *Subject {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := sh.by[key]
	if old != nil && old.table == t {
		old.noteUse(now)
		return old
	}
	if old == nil && len(sh.by) >= min(max(sh.sweepAt, 16), most) {
		sh.forgetIdle(q, now)
		if len(sh.by) >= most {
			return nil
		}
		sh.sweepAt = 2 * len(sh.by) // so that sweeping costs each newcomer little
	}
	s := q.newSubject(t, key, now)
	if old != nil { // after the new one: what both measure is not forgotten between
		old.releaseMeters()
	}
	if sh.by == nil {
		sh.by = map[subjectKey]*Subject{}
	}
	sh.by[key] = s
	return s
}

// forgetIdle drops subjects that were silent for all windows: their meters are at zero,
// as new ones would be. mu is held.
func (sh *shard) forgetIdle(q *Quotas, now int64) {
	silence := int64(q.cfg.Windows+1) * int64(q.cfg.Window)
	for key, s := range sh.by {
		if now-s.used.Load() > silence {
			s.releaseMeters()
			delete(sh.by, key)
		}
	}
}

func (sh *shard) len() int {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return len(sh.by)
}

func (sh *shard) each(f func(*Subject)) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for _, s := range sh.by {
		f(s)
	}
}

func (q *Quotas) newSubject(t *table, key subjectKey, now int64) *Subject {
	s := &Subject{quotas: q, table: t, unlimited: true}
	s.used.Store(now)
	ip := ""
	switch {
	case key.otherIP:
		ip = others
	case key.ip.IsValid():
		ip = key.ip.String()
	}
	for k := range kinds {
		if limit, shared, ok := t.ofUser(k, key.user, key.client); ok {
			s.bindLimit(0, k, limit, shared, now)
		}
		if limit, shared, ok := t.ofIP(k, ip); ok {
			s.bindLimit(1, k, limit, shared, now)
		}
	}
	return s
}

func (s *Subject) bindLimit(at int, k Kind, limit float64, shared Entity, now int64) {
	key := meterKey{shared, k}
	s.bounds[k][at] = bound{s.quotas.metersOf(key).acquire(key, s.quotas.windows, now), key, limit}
	s.unlimited = false
}

// releaseMeters gives up its references to meters.
func (s *Subject) releaseMeters() {
	for k := range s.bounds {
		for _, b := range s.bounds[k] {
			if b.meter != nil {
				s.quotas.metersOf(b.key).releaseMeter(b.key)
			}
		}
	}
}

// meterKey is what one meter counts.
type meterKey struct {
	entity Entity
	kind   Kind
}

// meter lives as long as a subject uses it. Subjects that share a limit share its meter.
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

func (m *meters) acquire(key meterKey, w rate.Windows, now int64) *meter {
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

func (m *meters) releaseMeter(key meterKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.by[key]
	if found.refs--; found.refs == 0 {
		delete(m.by, key)
	}
}

func (m *meters) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.by)
}
