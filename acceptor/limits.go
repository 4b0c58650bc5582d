package acceptor

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// NoConns as a bound on connections admits none (0 means no bound).
const NoConns = -1

// Limits on connections. The zero value limits nothing.
type Limits struct {
	// Server bounds all listeners together [max.connections,
	// max.connection.creation.rate].
	Server Bounds
	// Listeners bounds single listeners, by name [listener.name.<name>.max.connections,
	// listener.name.<name>.max.connection.creation.rate].
	Listeners map[string]Bounds
	// PerIP bounds each remote address [max.connections.per.ip,
	// connection_creation_rate of the default IP]. Overrides has other bounds for
	// some [max.connections.per.ip.overrides, connection_creation_rate of an IP].
	PerIP     Bounds
	Overrides []Override
	// Protected is a listener that neither waits for a slot of Server nor counts in
	// its rate, if there are others [inter.broker.listener.name].
	Protected string
	// Refuse closes a connection for which Server or Listeners has no slot. Without
	// it the connection waits.
	Refuse bool
	// ThrottledConnsMax is how many connections over their address's rate may be held
	// open at once until their delay is over; one more is closed at once.
	ThrottledConnsMax int64
}

// Bounds of one kind.
type Bounds struct {
	// ConnsMax open at once; 0: no bound, NoConns: none is admitted.
	ConnsMax int64
	// RateMax new ones per second, on average over the windows; 0: no bound.
	RateMax float64
}

// Override has other bounds for the addresses of a Prefix; the longest prefix
// wins. What is 0 is as for every address.
type Override struct {
	Prefix netip.Prefix
	Bounds Bounds
}

// Validate names every fault at once.
func (l Limits) Validate() error {
	var faults []error
	check := func(what string, b Bounds, noneMay bool) {
		if b.ConnsMax < 0 && !(noneMay && b.ConnsMax == NoConns) {
			faults = append(faults, fmt.Errorf("%s.ConnsMax is %d: choose 0 (no bound) or more", what, b.ConnsMax))
		}
		if !(b.RateMax >= 0) {
			faults = append(faults, fmt.Errorf("%s.RateMax is %v: choose 0 (no bound) or more a second", what, b.RateMax))
		}
	}
	check("Server", l.Server, false)
	for name, b := range l.Listeners {
		check("Listeners["+name+"]", b, false)
	}
	check("PerIP", l.PerIP, true)
	for _, o := range l.Overrides {
		check("Overrides["+o.Prefix.String()+"]", o.Bounds, true)
		if !o.Prefix.IsValid() {
			faults = append(faults, errors.New("Overrides has a prefix that is none: give an address with the number of its leading bits"))
		}
	}
	if l.PerIP.ConnsMax == NoConns && len(l.Overrides) == 0 {
		faults = append(faults, errors.New("PerIP.ConnsMax lets in nobody, and there are no Overrides: name in them who may connect"))
	}
	if l.ThrottledConnsMax < 0 {
		faults = append(faults, fmt.Errorf("ThrottledConnsMax is %d: choose 0 (close at once) or more", l.ThrottledConnsMax))
	}
	return errors.Join(faults...)
}

// limits is Limits prepared for look-ups. It is immutable.
type limits struct {
	Limits
	lengths   []int // of the prefixes, longest first
	overrides map[netip.Prefix]Bounds
}

func (l Limits) compile() *limits {
	c := &limits{Limits: l, overrides: map[netip.Prefix]Bounds{}}
	for _, o := range l.Overrides {
		p := canonical(o.Prefix)
		c.overrides[p] = Bounds{
			ConnsMax: cmp.Or(o.Bounds.ConnsMax, l.PerIP.ConnsMax), RateMax: cmp.Or(o.Bounds.RateMax, l.PerIP.RateMax),
		}
		c.lengths = append(c.lengths, p.Bits())
	}
	slices.Sort(c.lengths)
	c.lengths = slices.Compact(c.lengths)
	slices.Reverse(c.lengths)
	return c
}

// perIP returns the bounds of one canonical address.
func (l *limits) perIP(ip netip.Addr) Bounds {
	for _, bits := range l.lengths {
		if p, err := ip.Prefix(bits); err == nil {
			if b, ok := l.overrides[p]; ok {
				return b
			}
		}
	}
	return l.PerIP
}

// canonicalAddr gives each client one address: IPv4 inside IPv6 is IPv4, and the
// zone is dropped.
func canonicalAddr(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

const mappedBits = 96 // of an IPv4-mapped IPv6 address, before the IPv4 one

func canonical(p netip.Prefix) netip.Prefix {
	bits := p.Bits()
	if p.Addr().Is4In6() && bits >= mappedBits {
		bits -= mappedBits
	}
	return netip.PrefixFrom(canonicalAddr(p.Addr()), bits).Masked()
}
