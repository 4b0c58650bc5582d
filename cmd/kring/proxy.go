package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"kring"
	"kring/engine"
)

// proxyFlags say who may forward connections for others (PROXY protocol).
type proxyFlags struct {
	ProxyProtocol []forwarders  `group:"security" placeholder:"CIDR,…" help:"Networks of load balancers and proxies that say who their client is by the PROXY protocol, version 1 or 2: from them a header is required, before TLS, and limits, quotas and logs are about the client. From anywhere else a header closes the connection. For TCP listeners; for one listener, a Unix domain socket too: --listener NAME.proxy-protocol=CIDR,…, all or off. Default: no headers."`
	ProxyTimeout  time.Duration `group:"security" placeholder:"DURATION" default:"10s" help:"How long such a header may take to come whole before its connection is closed. Negative: for ever. Default: ${default}."`
}

// The settings of one listener.
const (
	proxySetting        = "proxy-protocol"
	proxyTimeoutSetting = "proxy-timeout"
)

func init() {
	listenerSettings[proxySetting] = forwardersOf
	listenerSettings[proxyTimeoutSetting] = duration(func(l *kring.ListenerConfig) *time.Duration { return &l.Timeouts.Proxy })
}

// forwarders are the networks of one word: one, all, or none.
type forwarders []netip.Prefix

// all and off are words for every network and for none.
const (
	forwardersAll  = "all"
	forwardersNone = "off"
)

// UnmarshalText reads CIDR, an address, all or off.
func (f *forwarders) UnmarshalText(text []byte) error {
	switch s := string(text); {
	case s == forwardersAll:
		*f = forwarders{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	case s == forwardersNone:
		*f = forwarders{}
	default:
		p, err := netip.ParsePrefix(s)
		if a, notOne := netip.ParseAddr(s); err != nil && notOne == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("%q is no network; give one such as 10.0.0.0/8 or fd00::/8, an address, %s or %s", s, forwardersAll, forwardersNone)
		}
		*f = forwarders{p}
	}
	return nil
}

// forwardersOf sets those of one listener: CIDR,…
func forwardersOf(l *kring.ListenerConfig, value string) error {
	l.ProxyProtocol = forwarders{} // off, also where all others are on
	for word := range strings.SplitSeq(value, ",") {
		var f forwarders
		if err := f.UnmarshalText([]byte(word)); err != nil {
			return err
		}
		l.ProxyProtocol = append(l.ProxyProtocol, f...)
	}
	return nil
}

// apply gives the networks to TCP listeners that have none of their own: a Unix domain
// socket is for clients of this machine.
func (p *proxyFlags) apply(cfg *kring.Config) {
	cfg.Timeouts.Proxy = p.ProxyTimeout
	var all []netip.Prefix
	for _, f := range p.ProxyProtocol {
		all = append(all, f...)
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		if l.ProxyProtocol == nil && !isUnix(l) {
			l.ProxyProtocol = all
		}
	}
}

// isUnix says that clients come by a Unix domain socket.
func isUnix(l *kring.ListenerConfig) bool {
	if l.Listener != nil {
		return l.Listener.Addr().Network() == "unix"
	}
	_, unix := engine.UnixPath(l.Address)
	return unix
}

// validate refuses 0, which has no meaning.
func (p *proxyFlags) validate() (faults []error) {
	if p.ProxyTimeout == 0 {
		faults = append(faults, errors.New("--proxy-timeout 0s: give how long, or -1s for ever"))
	}
	return faults
}
