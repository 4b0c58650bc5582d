package main

import (
	"fmt"
	"log/slog"
	"net/netip"

	"kring/embedded"
	"kring/kafka"
)

// advertiseSetting is the one setting of a listener that the network layer does not
// know: the address that the handler tells this listener's clients (KIP-103).
const advertiseSetting = "advertise"

// advertisable checks it.
func advertisable(value string) error {
	if _, err := kafka.ParseAddress(value); err != nil {
		return fmt.Errorf("%w; give HOST:PORT that clients can connect to, such as broker.example.org:9092", err)
	}
	return nil
}

// ownAddresses are the addresses of --listener NAME.advertise, by listener.
func (c *serveCmd) ownAddresses() map[string]kafka.Address {
	own := map[string]kafka.Address{}
	for _, s := range c.Sockets.Listener {
		if s.setting == advertiseSetting {
			own[s.listener], _ = kafka.ParseAddress(s.value) // checked by UnmarshalText
		}
	}
	return own
}

// validateOwnAddresses refuses one address for listeners of two protocols: the clients of one
// would be sent to the other. Two ways to one broker may have the same name.
func (c *serveCmd) validateOwnAddresses() (faults []error) {
	own, by := c.ownAddresses(), map[kafka.Address]string{}
	for _, l := range c.listeners() {
		at, said := own[l.Name]
		if !said {
			continue
		}
		if other, taken := by[at]; taken && c.security(other) != c.security(l.Name) {
			faults = append(faults, fmt.Errorf("--listener %s.advertise=%s: %s advertises it too, which is %s and not %s; give each its own port", l.Name, at, other, c.security(other), c.security(l.Name)))
		}
		by[at] = l.Name
	}
	return faults
}

// validateAdvertise returns the faults of the advertised addresses.
func (c *serveCmd) validateAdvertise() (faults []error) {
	faults = c.validateOwnAddresses()
	if c.Advertise != "" {
		if _, err := kafka.ParseAddress(c.Advertise); err != nil {
			faults = append(faults, fmt.Errorf("--advertise %q: clients need a host and a port other than 0: %w; give HOST:PORT, such as broker.example.org:9092", c.Advertise, err))
		}
		return faults
	}
	own, tcp := c.ownAddresses(), false
	var mute []string
	for _, l := range c.listeners() {
		unix := isUnix(&l)
		tcp = tcp || !unix
		if _, said := own[l.Name]; unix && !said {
			mute = append(mute, l.Name)
		}
	}
	if len(mute) > 0 && !tcp && c.Handler != handlerEcho {
		faults = append(faults, fmt.Errorf("--advertise: a Unix domain socket has no host and port that clients could be told; give those of their way here, such as localhost:9092, or --listener %s.advertise=, or --listen on TCP as well", mute[0]))
	}
	return faults
}

// advertised are the addresses that clients are told, by listener: the listener's own,
// else that of --advertise, else where it is bound; for a Unix domain socket that of
// the first TCP listener.
//
// A listener that is bound to every address advertises localhost, with a warning (see
// DESIGN.md, "Addresses").
func (c *serveCmd) advertised(log *slog.Logger, bound []netip.AddrPort) map[string]kafka.Address {
	all := c.ownAddresses()
	listeners := c.listeners()
	var forSockets kafka.Address // of the first TCP listener
	for i, l := range listeners {
		if _, said := all[l.Name]; !said && c.Advertise != "" {
			all[l.Name], _ = kafka.ParseAddress(c.Advertise) // checked by Validate
		} else if !said && bound[i].IsValid() {
			all[l.Name] = reachedAt(log, l.Name, bound[i])
		}
		if forSockets.Host == "" && bound[i].IsValid() {
			forSockets = all[l.Name]
		}
	}
	for _, l := range listeners {
		if _, said := all[l.Name]; !said {
			all[l.Name] = forSockets
		}
	}
	return all
}

// reachedAt is the address that a listener advertises by default.
func reachedAt(log *slog.Logger, listener string, bound netip.AddrPort) kafka.Address {
	if !bound.Addr().IsUnspecified() {
		return kafka.Address{Host: bound.Addr().String(), Port: int32(bound.Port())}
	}
	local := kafka.Address{Host: "localhost", Port: int32(bound.Port())}
	log.Warn("clients on other machines, and in other containers, will not find this server: it listens on every address and is told none; name one with --advertise, or --listener "+listener+".advertise=HOST:PORT",
		"listener", listener, "listen", bound.String(), "advertised", local.String())
	return local
}

// advertiseCluster returns what sets the addresses of an embedded cluster, as often as
// they change.
func advertiseCluster(cluster *embedded.Cluster) advertiser {
	said := false
	return func(c *serveCmd, log *slog.Logger, bound []netip.AddrPort) {
		all := c.advertised(log, bound)
		listeners := c.listeners()
		first := all[listeners[0].Name]
		for i, l := range listeners {
			if at := all[l.Name]; said || i > 0 && at != first { // again: each may have had another
				cluster.AdvertiseOn(l.Name, at.Host, uint16(at.Port))
			}
		}
		said = true
		cluster.Advertise(first.Host, uint16(first.Port))
	}
}

// openNull makes the null handler. It advertises the address that a client connected to,
// unless another is set.
func (c *serveCmd) openNull(telemetry bool) (*kafka.Null, error) {
	cfg := kafka.NullConfig{Telemetry: telemetry, Advertise: c.Advertise, AdvertiseOn: map[string]string{}, PartitionsDefault: c.Partitions}
	for listener, at := range c.ownAddresses() {
		cfg.AdvertiseOn[listener] = at.String()
	}
	return kafka.NewNull(cfg)
}

// advertiseNull returns what sets what a connection does not show: the TCP address for
// clients of a Unix domain socket, and addresses of listeners that are new.
func advertiseNull(n *kafka.Null) advertiser {
	return func(c *serveCmd, _ *slog.Logger, bound []netip.AddrPort) {
		for listener, at := range c.ownAddresses() {
			n.AdvertiseOn(listener, at)
		}
		if c.Advertise != "" {
			return
		}
		quiet := slog.New(slog.DiscardHandler) // a TCP connection's own address is what its client is told
		all := c.advertised(quiet, bound)
		for i, l := range c.listeners() {
			if !bound[i].IsValid() && all[l.Name].Host != "" {
				n.AdvertiseOn(l.Name, all[l.Name])
			}
		}
	}
}
