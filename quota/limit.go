package quota

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
)

// Kind is what a Limit bounds.
type Kind uint8

// The kinds, with Kafka's names where it has one.
const (
	BytesIn     Kind = iota // bytes a second that are produced [producer_byte_rate]
	BytesOut                // bytes a second that are fetched [consumer_byte_rate]
	Requests                // requests a second (Kafka has none)
	HandlerTime             // percent of one handler's time [request_percentage]
	kinds
)

var kindNames = [kinds]string{"produce-bytes", "fetch-bytes", "requests", "handler-percent"}

// String is the name that ParseLimits knows.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Default is an Entity's part that stands for all who have no limit of their own.
const Default = "*"

// Entity is whom a Limit is for: a user, a client id, a user together with a
// client id, or an IP address. A part is a name, Default, or empty (any). Each client
// for which Default stands is measured by itself.
type Entity struct {
	// User is the name of a principal, without its type: ANONYMOUS.
	User     string
	ClientID string
	// IP goes with no other part.
	IP string
}

func (e Entity) String() string {
	text := ""
	for _, part := range [...]struct{ name, value string }{{"user", e.User}, {"client-id", e.ClientID}, {"ip", e.IP}} {
		if part.value != "" {
			if text != "" {
				text += ","
			}
			text += part.name + "=" + part.value
		}
	}
	return text
}

// Limit bounds what an Entity may use.
//
// Of the limits of one kind for users and client ids exactly one applies to a
// request: the first one in Kafka's order, which is user and client id,
// user and default client id, user, default user and client id, default user
// and default client id, default user, client id, default client id. The limit
// of its IP address applies too; a client over both waits for the longer time.
type Limit struct {
	Entity Entity
	Kind   Kind
	// PerSecond is in bytes, in requests, or in percent of one handler: 200 is
	// all the time of two.
	PerSecond float64
}

// Validate returns what is wrong with a Limit.
func (l Limit) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("limit of %s for %q: "+format, append([]any{l.Kind, l.Entity}, args...)...))
		}
	}
	fault(l.Kind >= kinds, "there is no such kind: choose one of %v", kindNames)
	fault(l.Entity == Entity{}, "nobody is meant: name a user, a client id or an IP address, or %q for everybody else", Default)
	fault(l.Entity.IP != "" && (l.Entity.User != "" || l.Entity.ClientID != ""),
		"an IP address goes with no user and no client id: give two limits")
	if l.Entity.IP != "" && l.Entity.IP != Default {
		_, err := netip.ParseAddr(l.Entity.IP)
		fault(err != nil, "%v: give an IP address or %q", err, Default)
	}
	fault(!(l.PerSecond > 0) || math.IsInf(l.PerSecond, 0), "PerSecond is %v: choose a positive number, or leave the limit out for no bound", l.PerSecond)
	return errors.Join(faults...)
}

// units is how many units of a meter are one unit of the Limit: time is measured in
// nanoseconds.
func (k Kind) units() float64 {
	if k == HandlerTime {
		return 1e9 / 100
	}
	return 1
}

// table is a set of limits; it never changes.
type table struct {
	limits []Limit
	by     [kinds]map[Entity]float64 // in units of the meters
	// names are the users, client ids and addresses that limits name, each alone.
	names map[Entity]bool
	// user and ip report whether any limit depends on it.
	user, ip bool
}

func newTable(limits []Limit) (*table, error) {
	t := &table{limits: append([]Limit(nil), limits...), names: map[Entity]bool{}}
	var faults []error
	for _, l := range t.limits {
		if err := l.Validate(); err != nil {
			faults = append(faults, err)
			continue
		}
		if a, err := netip.ParseAddr(l.Entity.IP); err == nil {
			l.Entity.IP = a.Unmap().WithZone("").String()
		}
		if t.by[l.Kind] == nil {
			t.by[l.Kind] = map[Entity]float64{}
		}
		if _, twice := t.by[l.Kind][l.Entity]; twice {
			faults = append(faults, fmt.Errorf("limit of %s for %q is there twice: give it once", l.Kind, l.Entity))
		}
		t.by[l.Kind][l.Entity] = l.PerSecond * l.Kind.units()
		t.names[Entity{User: l.Entity.User}] = true
		t.names[Entity{ClientID: l.Entity.ClientID}] = true
		t.names[Entity{IP: l.Entity.IP}] = true
		t.ip = t.ip || l.Entity.IP != ""
		t.user = t.user || l.Entity.IP == ""
	}
	return t, errors.Join(faults...)
}

// ofUser finds the limit of one kind for a user and client id, and the entity whose
// meter counts; ok is false if there is none.
func (t *table) ofUser(k Kind, user, client string) (limit float64, shared Entity, ok bool) {
	user, client = nameOrNobody(user), nameOrNobody(client)
	both, byUser, byClient := Entity{User: user, ClientID: client}, Entity{User: user}, Entity{ClientID: client}
	for _, step := range [...]struct{ limit, shared Entity }{
		{both, both},
		{Entity{User: user, ClientID: Default}, both},
		{byUser, byUser},
		{Entity{User: Default, ClientID: client}, both},
		{Entity{User: Default, ClientID: Default}, both},
		{Entity{User: Default}, byUser},
		{byClient, byClient},
		{Entity{ClientID: Default}, byClient},
	} {
		if limit, ok = t.by[k][step.limit]; ok {
			return limit, step.shared, true
		}
	}
	return 0, Entity{}, false
}

// nameOrNobody replaces an empty name, so that only defaults apply to it.
func nameOrNobody(name string) string {
	if name == "" {
		return "<none>"
	}
	return name
}

// ofIP is ofUser for an address.
func (t *table) ofIP(k Kind, ip string) (limit float64, shared Entity, ok bool) {
	if ip == "" {
		return 0, Entity{}, false
	}
	if limit, ok = t.by[k][Entity{IP: ip}]; !ok {
		limit, ok = t.by[k][Entity{IP: Default}]
	}
	return limit, Entity{IP: ip}, ok
}
