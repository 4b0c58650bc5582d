package kring

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/internal/fault"
	"kring/internal/rate"
)

// AddressLimit has other bounds for some remote addresses. Where several fit an
// address, the one with the longest prefix holds.
type AddressLimit struct {
	// Source is an address (192.0.2.7), a prefix (192.0.2.0/24, each address in
	// it counts for itself) or a host's name, which is resolved once, when the
	// configuration is taken.
	Source string
	// ConnsMax is as Config.Conns.PerIPMax; 0: as that one says.
	ConnsMax int
	// ConnRateMax is as Config.Conns.RatePerIPMax; 0: as that one says.
	ConnRateMax float64
}

// resolvePatience bounds the resolving of one host's name.
const resolvePatience = 5 * time.Second

// validateLimits names the faults that can be seen without a name service.
func (c *Config) validateLimits(fault faulter) {
	notNegative := "choose 0 (no bound) or more a second"
	fault(!(c.Conns.RateMax >= 0), "Conns.RateMax", c.Conns.RateMax, notNegative)
	fault(!(c.Conns.RatePerIPMax >= 0), "Conns.RatePerIPMax", c.Conns.RatePerIPMax, notNegative)
	fault(c.Conns.PerIPMax < NoConns, "Conns.PerIPMax", c.Conns.PerIPMax, "choose 0 (no bound), more, or NoConns")
	fault(c.Conns.PerIPMax == NoConns && len(c.Conns.PerIP) == 0, "Conns.PerIPMax", c.Conns.PerIPMax, "name in Conns.PerIP who may connect, or nobody could")
	for _, l := range c.Conns.PerIP {
		at := "Conns.PerIP[" + l.Source + "]."
		_, err := netip.ParsePrefix(l.Source)
		fault(l.Source == "" || strings.Contains(l.Source, "/") && err != nil, at+"Source", strconv.Quote(l.Source), "give an address, a prefix such as 192.0.2.0/24, or a host's name")
		fault(l.ConnsMax < NoConns, at+"ConnsMax", l.ConnsMax, "choose 0 (as Conns.PerIPMax), more, or NoConns")
		fault(!(l.ConnRateMax >= 0), at+"ConnRateMax", l.ConnRateMax, "choose 0 (as Conns.RatePerIPMax) or more a second")
	}
	known := c.Conns.ProtectedListener == ""
	for _, l := range c.Listeners {
		known = known || l.Name == c.Conns.ProtectedListener
	}
	fault(!known, "Conns.ProtectedListener", c.Conns.ProtectedListener, "name one of Listeners")
}

// partFaults gives the faults of what other packages judge, each under the name of
// its field here.
func (c *Config) partFaults() (faults fault.List) {
	quota := map[string]string{"Count": "Conns.RateWindows", "Size": "Conns.RateWindow"}
	for _, f := range faultsOf(c.windows().Validate()) {
		faults = append(faults, fault.Fault{Field: quota[f.Field], Says: f.Says})
	}
	may := func(e Engine) bool { return c.Engine == EngineAuto || c.Engine == e }
	if may(EngineEpoll) {
		faults = append(faults, faultsOf(c.Epoll.Validate()).In("Epoll.")...)
	}
	if may(EnginePortable) {
		faults = append(faults, faultsOf(c.Portable.Validate()).In("Portable.")...)
	}
	if may(EngineURing) {
		wait := engine.WaitParked
		if c.Processors.Wait == WaitLocked {
			wait = engine.WaitLocked
		}
		faults = append(faults, faultsOf(c.URing.Validate()).In("URing.")...)
		faults = append(faults, faultsOf(c.URing.ValidateFor(wait)).In("URing.")...)
	}
	return faults
}

func (c *Config) windows() rate.Windows {
	return rate.Windows{Count: c.Conns.RateWindows, Size: c.Conns.RateWindow}
}

// limits are what the acceptors go by; c has its defaults and is valid. It
// resolves names.
func (c *Config) limits() (acceptor.Limits, error) {
	l := acceptor.Limits{
		Server:    acceptor.Bounds{ConnsMax: int64(max(c.Conns.Max, 0)), RateMax: c.Conns.RateMax},
		PerIP:     acceptor.Bounds{ConnsMax: int64(c.Conns.PerIPMax), RateMax: c.Conns.RatePerIPMax},
		Listeners: map[string]acceptor.Bounds{},
		Protected: c.Conns.ProtectedListener, Refuse: c.Conns.WhenFull == WhenFullRefuse, ThrottledConnsMax: int64(max(c.Conns.ThrottledConnsMax, 0)),
	}
	for _, of := range c.Listeners {
		l.Listeners[of.Name] = acceptor.Bounds{ConnsMax: int64(of.ConnsMax), RateMax: of.ConnRateMax}
	}
	var faults fault.List
	for _, of := range c.Conns.PerIP {
		prefixes, err := resolve(of.Source)
		faults.Add(err != nil, "Conns.PerIP["+of.Source+"].Source", "can't be resolved: %v: give an address, a prefix or a name that resolves", err)
		for _, p := range prefixes {
			l.Overrides = append(l.Overrides, acceptor.Override{
				Prefix: p, Bounds: acceptor.Bounds{ConnsMax: int64(of.ConnsMax), RateMax: of.ConnRateMax},
			})
		}
	}
	return l, configError(faults)
}

// resolve gives the prefixes that an AddressLimit's Source stands for.
func resolve(source string) ([]netip.Prefix, error) {
	if p, err := netip.ParsePrefix(source); err == nil {
		return []netip.Prefix{p}, nil
	}
	ips := make([]netip.Addr, 1)
	var err error
	if ips[0], err = netip.ParseAddr(source); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), resolvePatience)
		defer cancel()
		if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", source); err != nil {
			return nil, err
		}
	}
	var prefixes []netip.Prefix
	for _, ip := range ips {
		prefixes = append(prefixes, netip.PrefixFrom(ip.WithZone(""), ip.BitLen()))
	}
	return prefixes, nil
}

// addListeners adds what the quotas of all listeners have counted.
func (st *Stats) addListeners(a *acceptor.Admission) {
	st.Listeners = a.Stats()
	for i := range st.Listeners {
		l := &st.Listeners[i]
		unassigned := l.Refused[acceptor.Unassigned]
		st.Accepted += l.Accepted
		st.Unassigned += unassigned
		st.Refused += l.RefusedTotal() - unassigned
		st.AcceptFailures += l.Failures
		st.Waiting += l.WaitingNow
		st.Waited += l.Waited
		st.ThrottledConns += l.ThrottledNow
	}
}

// RefusedBy gives the accepted connections that were closed unserved per
// reason, by the reason's name, those that happened only.
func (st Stats) RefusedBy() map[string]uint64 {
	by := map[string]uint64{}
	for _, l := range st.Listeners {
		for r, n := range l.Refused {
			if n > 0 {
				by[acceptor.Refusal(r).String()] += n
			}
		}
	}
	return by
}

// What a server holds, as counted on Linux and rounded up: of the process the
// standard streams, the Go runtime's poller and what it reads of cgroups; of an
// engine its ring, and what wakes it.
const (
	ofProcess  = 16
	ofEngine   = 4
	ofListener = 2
)

// Descriptors plans what this process's descriptors are for (RLIMIT_NOFILE): the
// server's own, Conns.HandlerFiles, and connections. Conns.Max goes by it when it is 0.
func (c Config) Descriptors() Descriptors {
	conns := c.Conns.Max
	c = c.withDefaults()
	d := c.descriptors(conns)
	if conns == 0 {
		d.Conns = min(d.Conns, c.Conns.Max) // where memory is less than descriptors
	}
	return d
}

// descriptors plans for a Config that has its defaults, but perhaps Conns.Max.
func (c *Config) descriptors(conns int) Descriptors {
	engines, sockets := c.Processors.Count+len(c.Listeners), len(c.Listeners)
	if c.Processors.Accept == AcceptPerProcessor {
		engines, sockets = c.Processors.Count, c.Processors.Count*len(c.Listeners)
	}
	own := ofProcess + ofEngine*engines + ofListener*sockets
	return acceptor.PlanDescriptors(acceptor.DescriptorLimit(), own, c.Conns.HandlerFiles, conns)
}
