package telemetry

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"kring/reqchan"
)

// value is the last value of one metric of an instance.
type value struct {
	name  uint16 // in names
	sum   bool
	value float64
}

// names are the metrics that instances have, each once: many clients have the same.
type names struct {
	all  []string // "" where there is none
	uses []int
	by   map[string]uint16
}

// take finds a name, or makes room for it; false: there are too many. Each take is to be
// released.
func (n *names) take(name string, most int) (uint16, bool) {
	at, known := n.by[name]
	if !known {
		if len(n.by) >= most {
			return 0, false
		}
		free := slices.Index(n.uses, 0)
		if free < 0 {
			free = len(n.all)
			n.all, n.uses = append(n.all, ""), append(n.uses, 0)
		}
		if at = uint16(free); n.by == nil {
			n.by = map[string]uint16{}
		}
		n.all[at], n.by[name] = name, at
	}
	n.uses[at]++
	return at, true
}

func (n *names) release(at uint16) {
	if n.uses[at]--; n.uses[at] == 0 {
		delete(n.by, n.all[at])
		n.all[at] = ""
	}
}

// keep takes what was read as the values of i, and says how many were too many. Sums that are
// differences are added up. mu is held.
func (s *State) keep(i *instance, r *reading) (dropped uint64) {
	i.pushes++
	for n := range r.read {
		is := &r.read[n]
		if is.n == 0 {
			continue
		}
		if !finite(is.value) { // points that are too large together; JSON has no such number
			dropped += uint64(is.n)
			continue
		}
		at := slices.IndexFunc(i.values, func(v value) bool { return s.names.all[v.name] == is.name })
		if at < 0 {
			name, ok := s.names.take(is.name, s.cfg.NamesMax)
			if !ok || len(i.values) >= valuesMax {
				if ok {
					s.names.release(name)
				}
				dropped += uint64(is.n)
				continue
			}
			at = len(i.values)
			i.values = append(i.values, value{name: name})
		}
		v, now := &i.values[at], is.value
		if v.sum = is.sum; is.sum && is.delta {
			now += v.value
		}
		if !finite(now) {
			dropped += uint64(is.n)
			continue
		}
		v.value = now
	}
	return dropped
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }

// Pushed is what the client of a connection pushed, as JSON.
type Pushed struct {
	Instance        string             `json:"client_instance_id"`
	IntervalSeconds float64            `json:"push_interval_seconds"`
	Pushes          uint64             `json:"pushes"`
	At              *time.Time         `json:"last_push,omitempty"` // nil: it has pushed nothing
	Values          map[string]float64 `json:"values"`              // the last of each metric; of counters the total
}

// Of is what the client of a connection pushed; false: nothing is known of it. A nil State
// knows nothing.
func (s *State) Of(conn reqchan.ConnID) (Pushed, bool) {
	if s == nil {
		return Pushed{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byConn[conn]
	if e == nil {
		return Pushed{}, false
	}
	i := e.Value.(*instance)
	p := Pushed{Instance: i.id.String(), IntervalSeconds: i.interval.Seconds(), Pushes: i.pushes, Values: map[string]float64{}}
	if !i.pushed.IsZero() {
		at := i.pushed.UTC()
		p.At = &at
	}
	for _, v := range i.values {
		p.Values[s.names.all[v.name]] = v.value
	}
	return p, true
}

// Total is one metric over all client instances that pushed it.
type Total struct {
	Name          string
	Counter       bool
	Instances     int
	Sum, Min, Max float64
}

// Totals are the aggregates of all metrics, by name, and what was counted. A nil State has
// none.
func (s *State) Totals() (all []Total, counts Counts) {
	if s == nil {
		return nil, Counts{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	by := make(map[uint16]*Total, len(s.names.by))
	for e := s.recent.Front(); e != nil; e = e.Next() {
		for _, v := range e.Value.(*instance).values {
			t := by[v.name]
			if t == nil {
				t = &Total{Name: s.names.all[v.name], Min: v.value, Max: v.value}
				by[v.name] = t
			}
			t.Counter = v.sum
			t.Instances++
			t.Sum, t.Min, t.Max = t.Sum+v.value, min(t.Min, v.value), max(t.Max, v.value)
		}
	}
	for _, t := range by {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b Total) int { return cmp.Compare(a.Name, b.Name) })
	counts = s.counts
	counts.Instances, counts.Rejected = len(s.instances), maps.Clone(s.counts.Rejected)
	return all, counts
}
