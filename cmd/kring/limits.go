package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"kring"
)

// limitFlags are the limits on connections.
type limitFlags struct {
	MaxConnections        int       `group:"limits" placeholder:"N" help:"Connections open at once [max.connections]; negative: no bound. Default: as many as this process may have descriptors, less a reserve, or fewer if --memory-max is small."`
	MaxConnectionsPerIP   *int      `group:"limits" name:"max-connections-per-ip" placeholder:"N" help:"Connections of one remote address [max.connections.per.ip]. One more is closed. 0: only the addresses of --ip-limit may connect. Default: no bound."`
	ConnectionRate        float64   `group:"limits" placeholder:"R" help:"New connections a second [max.connection.creation.rate]. One more waits, at most one --quota-window. Default: no bound."`
	ConnectionRatePerIP   float64   `group:"limits" name:"connection-rate-per-ip" placeholder:"R" help:"New connections a second of one remote address [connection_creation_rate]. One more is not served, and closed after a while. Default: no bound."`
	IPLimit               []ipLimit `group:"limits" placeholder:"HOST=N[/R]" help:"Other bounds for an address, a prefix (each address in it) or a host: N connections, R new ones a second [max.connections.per.ip.overrides]; N may be 0 (none) or left out. Repeat for more."`
	MaxListenerConnection int       `group:"limits" name:"max-connections-per-listener" placeholder:"N" help:"Connections of each --listen address [listener.name.<name>.max.connections]. Default: no separate bound."`
	ProtectedListener     string    `group:"limits" placeholder:"NAME" help:"Listener that --max-connections and --connection-rate don't bound: a connection of another listener is closed instead [inter.broker.listener.name]."`
	MaxParked             int       `group:"limits" placeholder:"N" help:"Connections over their address's rate that may be held open at once before they are closed. Negative: they are closed at once. Default: 1024, or a twentieth of the descriptors if that is less."`
	WhenFull              string    `group:"limits" enum:"wait, refuse" default:"wait" help:"What happens to a connection when the server is full: ${enum}. wait leaves it in the kernel's queue, as Kafka does; refuse closes it. Default: ${default}."`
	Assignment            string    `group:"limits" enum:"least-connections, round-robin" default:"least-connections" help:"Which processor gets a new connection: ${enum}. Default: ${default}."`
}

// apply sets the limits in cfg, whose listeners are set already.
func (l *limitFlags) apply(cfg *kring.Config) {
	cfg.Conns.Max, cfg.Conns.RateMax = l.MaxConnections, l.ConnectionRate
	cfg.Conns.RatePerIPMax = l.ConnectionRatePerIP
	if most := l.MaxConnectionsPerIP; most != nil {
		cfg.Conns.PerIPMax = noneIfZero(*most)
	}
	for _, of := range l.IPLimit {
		cfg.Conns.PerIP = append(cfg.Conns.PerIP, kring.AddressLimit(of))
	}
	for i := range cfg.Listeners {
		if of := &cfg.Listeners[i]; of.ConnsMax == 0 {
			of.ConnsMax = l.MaxListenerConnection
		}
	}
	cfg.Conns.ThrottledConnsMax = l.MaxParked
	cfg.Conns.ProtectedListener, cfg.Conns.WhenFull, cfg.Processors.Assignment = l.ProtectedListener, kring.WhenFull(l.WhenFull), kring.Assignment(l.Assignment)
}

// validate names what flags say otherwise than the library's fields.
func (l *limitFlags) validate() (faults []error) {
	if most := l.MaxConnectionsPerIP; most != nil && *most < 0 {
		faults = append(faults, fmt.Errorf("--max-connections-per-ip %d: give 0 (only those of --ip-limit) or more, or leave it out for no bound", *most))
	} else if most != nil && *most == 0 && len(l.IPLimit) == 0 {
		faults = append(faults, errors.New("--max-connections-per-ip 0: name in --ip-limit who may connect, or nobody could"))
	}
	if l.MaxListenerConnection < 0 {
		faults = append(faults, fmt.Errorf("--max-connections-per-listener %d: give 1 or more, or leave it out for no bound of its own", l.MaxListenerConnection))
	}
	return faults
}

// noneIfZero turns Kafka's 0 into ours: there it means nobody, here no bound.
func noneIfZero(n int) int {
	if n == 0 {
		return kring.NoConns
	}
	return n
}

// ipLimit is an --ip-limit.
type ipLimit kring.AddressLimit

// UnmarshalText reads HOST=N[/R].
func (l *ipLimit) UnmarshalText(text []byte) error {
	wrong := func(what string) error {
		return fmt.Errorf("%q: %s; give HOST=N[/R], such as 10.0.0.0/8=100/20", text, what)
	}
	source, bounds, ok := strings.Cut(string(text), "=")
	if !ok || source == "" {
		return wrong("it has no host and no =")
	}
	count, rate, hasRate := strings.Cut(bounds, "/")
	*l = ipLimit{Source: source}
	if count != "" {
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 {
			return wrong("N is no count")
		}
		l.ConnsMax = noneIfZero(n)
	}
	if hasRate {
		r, err := strconv.ParseFloat(rate, 64)
		if err != nil || !(r > 0) {
			return wrong("R is no rate over 0")
		}
		l.ConnRateMax = r
	}
	return nil
}

func (l ipLimit) String() string {
	text := l.Source + "="
	switch {
	case l.ConnsMax == kring.NoConns:
		text += "0"
	case l.ConnsMax != 0:
		text += strconv.Itoa(l.ConnsMax)
	}
	if l.ConnRateMax > 0 {
		text += "/" + strconv.FormatFloat(l.ConnRateMax, 'g', -1, 64)
	}
	return text
}
