package quota

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kring/internal/rate"
)

// Config of a Quotas. The zero value is Kafka's, without a limit.
type Config struct {
	// Windows of Window each are what rates are measured over
	// [quota.window.num, quota.window.size.seconds]; default 11 of one second.
	Windows int
	Window  time.Duration
	// RequestThrottleMax bounds a wait for the kinds Requests and HandlerTime;
	// default one window, Kafka's.
	RequestThrottleMax time.Duration
	// BytesThrottleMax bounds a wait for bytes; default 30 seconds. Kafka has no
	// bound: a client with 100 times its share in one request waits for minutes.
	BytesThrottleMax time.Duration
	// SubjectsMax is how many users, client ids and addresses may be measured at
	// once; default 65536. Beyond it, new client ids of a user and address are measured
	// as one, and beyond as many of these, all clients for which the same limits hold.
	// Clients that were silent for all windows do not count.
	SubjectsMax int
	// Limits at the start.
	Limits []Limit
	// Now is a monotonic clock in nanoseconds; default the system's.
	Now func() int64
}

func (c Config) withDefaults() Config {
	w := rate.Windows{Count: c.Windows, Size: c.Window}.WithDefaults()
	c.Windows, c.Window = w.Count, w.Size
	if c.RequestThrottleMax == 0 {
		c.RequestThrottleMax = c.Window
	}
	if c.BytesThrottleMax == 0 {
		c.BytesThrottleMax = 30 * time.Second
	}
	if c.SubjectsMax == 0 {
		c.SubjectsMax = 1 << 16
	}
	if c.Now == nil {
		start := time.Now()
		c.Now = func() int64 { return int64(time.Since(start)) }
	}
	return c
}

// Validate reports every fault at once; zero values are right.
func (c Config) Validate() error {
	_, err := c.check()
	return err
}

func (c Config) check() (*table, error) {
	c = c.withDefaults()
	faults := []error{rate.Windows{Count: c.Windows, Size: c.Window}.Validate()}
	for name, d := range map[string]time.Duration{"RequestThrottleMax": c.RequestThrottleMax, "BytesThrottleMax": c.BytesThrottleMax} {
		if d < time.Millisecond {
			faults = append(faults, fmt.Errorf("%s is %v: choose at least 1ms", name, d))
		}
	}
	if c.SubjectsMax < shards || c.SubjectsMax > 1<<30 {
		faults = append(faults, fmt.Errorf("SubjectsMax is %d: choose %d to %d", c.SubjectsMax, shards, 1<<30))
	}
	t, err := newTable(c.Limits)
	return t, errors.Join(append(faults, err)...)
}

// Quotas holds limits, and measures all clients to which one applies.
type Quotas struct {
	cfg            Config
	windows        rate.Windows
	seed           maphash.Seed
	table          atomic.Pointer[table]
	setting        sync.Mutex
	operatorLimits []Limit // guarded by setting; of Config and Set
	clientLimits   []Limit // guarded by setting; of SetByClients
	subjects       [shards]shard
	beyond         [shards]shard // those beyond SubjectsMax, by what their client ids don't change
	meters         [shards]meters

	throttled [kinds]atomic.Uint64
	shared    atomic.Uint64
}

// New makes a Quotas. The error names every fault of cfg.
func New(cfg Config) (*Quotas, error) {
	t, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("quota: %w", err)
	}
	cfg = cfg.withDefaults()
	q := &Quotas{cfg: cfg, windows: rate.Windows{Count: cfg.Windows, Size: cfg.Window}, seed: maphash.MakeSeed(), operatorLimits: slices.Clone(cfg.Limits)}
	q.table.Store(t)
	return q, nil
}

// Set replaces all limits except those of SetByClients at once. On an error, which names
// every fault, nothing has changed. What was measured before still counts, if the same
// user, client id or pair is measured. The limits take effect with each client's next
// response. Any goroutine may call it while requests are measured.
func (q *Quotas) Set(limits []Limit) error {
	q.setting.Lock()
	defer q.setting.Unlock()
	if err := q.setTable(limits, q.clientLimits); err != nil {
		return err
	}
	q.operatorLimits = slices.Clone(limits)
	return nil
}

// SetByClients is Set for the limits that clients set by requests (AlterClientQuotas).
// If Set has one of the same kind for the same entity, the clients' limit holds.
func (q *Quotas) SetByClients(limits []Limit) error {
	q.setting.Lock()
	defer q.setting.Unlock()
	if err := q.setTable(q.operatorLimits, limits); err != nil {
		return err
	}
	q.clientLimits = slices.Clone(limits)
	return nil
}

// setTable makes the table of both kinds of limits. The caller holds setting.
func (q *Quotas) setTable(own, clients []Limit) error {
	type bound struct {
		entity Entity
		kind   Kind
	}
	over := make(map[bound]bool, len(clients))
	for _, l := range clients {
		over[bound{l.Entity, l.Kind}] = true
	}
	limits := slices.Clone(clients)
	for _, l := range own {
		if !over[bound{l.Entity, l.Kind}] {
			limits = append(limits, l)
		}
	}
	t, err := newTable(limits)
	if err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	q.table.Store(t)
	return nil
}

// Limits returns the limits in force.
func (q *Quotas) Limits() []Limit { return append([]Limit(nil), q.table.Load().limits...) }

// Any reports whether there is any limit.
func (q *Quotas) Any() bool { return len(q.table.Load().limits) > 0 }

// Bounds reports whether there is any limit of kind k.
func (q *Quotas) Bounds(k Kind) bool { return len(q.table.Load().by[k]) > 0 }

// Stats is what a Quotas has counted since its start.
type Stats struct {
	// Throttled counts throttles, by the Kind with the longest wait.
	Throttled [kinds]uint64
	// Shared counts requests that were measured together with those of other client ids,
	// because SubjectsMax was reached.
	Shared uint64
	// Subjects and Meters are how many are kept now.
	Subjects, Meters int
}

// Stats reads the counts.
func (q *Quotas) Stats() Stats {
	s := Stats{Shared: q.shared.Load()}
	for k := range s.Throttled {
		s.Throttled[k] = q.throttled[k].Load()
	}
	for i := range q.subjects {
		s.Subjects += q.subjects[i].len()
		s.Subjects += q.beyond[i].len()
		s.Meters += q.meters[i].len()
	}
	return s
}

// For returns the Subject that a request is measured as; nil if no limit applies to it.
// Record and Throttle of nil return 0. clientID is not kept.
func (q *Quotas) For(user string, clientID []byte, ip netip.Addr) *Subject {
	t := q.table.Load()
	if len(t.limits) == 0 {
		return nil
	}
	if !t.user {
		user, clientID = "", nil
	}
	if ip = ip.Unmap().WithZone(""); !t.ip {
		ip = netip.Addr{}
	}
	s := q.findSubject(t, user, clientID, ip)
	if s.unlimited {
		return nil
	}
	return s
}

// Record adds n to what s used of k (bytes, requests or nanoseconds). It returns how long
// the client has to wait; 0 within the limits. A negative n takes back.
func (s *Subject) Record(k Kind, n int64) time.Duration {
	if s == nil {
		return 0
	}
	now := s.quotas.cfg.Now()
	for _, b := range s.bounds[k] {
		if b.meter != nil {
			b.meter.rate.Record(now, n)
		}
	}
	return s.throttle(k, now)
}

// Throttle is how long the client has to wait for what was recorded already.
func (s *Subject) Throttle(k Kind) time.Duration {
	if s == nil {
		return 0
	}
	return s.throttle(k, s.quotas.cfg.Now())
}

// throttle rounds up to whole milliseconds, the unit of the protocol.
func (s *Subject) throttle(k Kind, now int64) time.Duration {
	longest := time.Duration(0)
	for _, b := range s.bounds[k] {
		if b.meter != nil {
			longest = max(longest, b.meter.rate.Throttle(now, b.limit))
		}
	}
	return s.bounded(k, longest)
}

// bounded is the wait that is imposed for one that was computed.
func (s *Subject) bounded(k Kind, longest time.Duration) time.Duration {
	most := s.quotas.cfg.BytesThrottleMax
	if k == Requests || k == HandlerTime {
		most = s.quotas.cfg.RequestThrottleMax
	}
	if longest >= most {
		return most
	}
	return (longest + time.Millisecond - 1).Truncate(time.Millisecond)
}

// Throttled counts a throttle that was imposed for k.
func (q *Quotas) Throttled(k Kind) { q.throttled[k].Add(1) }

// Usage is what an entity uses at the moment, of what is limited.
type Usage struct {
	Entity Entity
	Kind   Kind
	// PerSecond and Limit are in the units of Limit.
	PerSecond, Limit float64
	// Throttle is how long a client would have to wait if it asked for something now.
	Throttle time.Duration
}

// Usage lists all that are measured, in no order.
func (q *Quotas) Usage() []Usage {
	now, table, found := q.cfg.Now(), q.table.Load(), map[meterKey]Usage{}
	add := func(s *Subject) {
		if s.table != table {
			return // of limits that were replaced
		}
		for k := range kinds {
			for _, b := range s.bounds[k] {
				if b.meter != nil {
					r := b.meter.rate.Rate(now) / k.units()
					found[b.key] = Usage{b.key.entity, k, math.Max(r, 0), b.limit / k.units(), s.bounded(k, b.meter.rate.Throttle(now, b.limit))}
				}
			}
		}
	}
	for i := range q.subjects {
		q.subjects[i].each(add)
		q.beyond[i].each(add)
	}
	return slices.Collect(maps.Values(found))
}
