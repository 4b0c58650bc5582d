package kring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kring/engine"
	"kring/processor"
)

// ListenerConfig is one listening socket, and what its connections go by. What
// is 0 is as Config says for all listeners [listener.name.<name>.<setting>].
type ListenerConfig struct {
	// Name of the listener, which its connections carry; default PLAINTEXT.
	// Names must differ.
	Name string
	// Address is host:port; port 0 picks a free one. Or it is unix:PATH, for a
	// Unix domain socket, or unix:@NAME for one without a file (Linux). A socket at
	// PATH that nobody listens on is replaced, and the file goes with the listener.
	// Its connections have no addresses: Local and Remote are zero values, and no
	// bound per IP holds for them; all others do. Not with AcceptPerProcessor.
	Address string
	// Listener, if set, is a listening socket that somebody else made (socket activation,
	// a test, a process that this one takes over from): a *net.TCPListener, or a
	// *net.UnixListener of network "unix". Leave Address out; Backlog is as it was made.
	// From Start, Serve, AddListener or Reconfigure on it is the Server's, which closes
	// it as soon as it accepts no more, and if it can't begin. The file of a Unix domain
	// socket stays: another process may still listen there. While the Server accepts,
	// O_NONBLOCK of the socket is the engine's to set, also for others who share it; it
	// is set back at the end. Not with AcceptPerProcessor.
	Listener net.Listener
	// ProxyProtocol names the networks of forwarders (load balancers) that are trusted to say
	// who their client is: each connection from them must begin with a PROXY protocol header,
	// version 1 or 2, before TLS. From it on Conn.Remote and Conn.Local are the client's ends,
	// Conn.Proxy is the forwarder, and all bounds, quotas and listings are about the client;
	// a forwarder's own address has no bound. A header from anywhere else ends its
	// connection. On a Unix domain socket, whose clients have no address, any network means
	// all of them. Default: nobody looks for a header.
	ProxyProtocol []netip.Prefix
	// SocketMode of a Unix domain socket's file says who may connect; default 0660,
	// the user and the group of this process.
	SocketMode fs.FileMode
	// Privileged marks its requests for the Handler, in Conn.Privileged: the
	// control plane's listener, or the brokers' own.
	Privileged bool
	// Priority: its requests go before those of other listeners, as if
	// Config.Dispatch.Priority said so.
	Priority bool
	// Ready, if set, is called on a goroutine of its own and waited for before
	// the listener accepts: nil says that what it needs is there, an error that
	// it never will be (AwaitListeners and Failed tell). Its ctx ends when the
	// listener is to be stopped. The port opens only then, so that an open port
	// means a ready one; port 0 is picked at once, and those who connect wait.
	Ready func(ctx context.Context) error

	// ConnsMax and ConnRateMax bound the connections of this listener, beside
	// what bounds the whole server [max.connections,
	// max.connection.creation.rate]; 0: no bound of its own.
	ConnsMax    int
	ConnRateMax float64
	// Backlog is as Config.Conns.Backlog.
	Backlog int

	// TLS has its connections speak TLS; nil: they are in plain text. Reconfigure changes
	// it for connections that are made afterwards.
	TLS *TLSConfig

	// Limits, Timeouts and Socket are as in Config.
	Limits   LimitsConfig
	Timeouts TimeoutsConfig
	Socket   engine.SocketOptions
}

// withDefaults fills what is zero with what cfg says for all listeners.
func (l ListenerConfig) withDefaults(cfg *Config) ListenerConfig {
	orElse(&l.Backlog, cfg.Conns.Backlog)
	orElse(&l.Socket.SendBufferBytes, cfg.Socket.SendBufferBytes)
	orElse(&l.Socket.ReceiveBufferBytes, cfg.Socket.ReceiveBufferBytes)
	orElse(&l.Socket.KeepAlive, cfg.Socket.KeepAlive)
	orElse(&l.Socket.KeepAliveInterval, cfg.Socket.KeepAliveInterval)
	orElse(&l.Socket.KeepAliveProbes, cfg.Socket.KeepAliveProbes)
	l.TLS = l.TLS.withDefaults()
	l.Limits.orElse(&cfg.Limits)
	l.Timeouts.orElse(&cfg.Timeouts)
	return l
}

// orElse fills what is zero.
func (l *LimitsConfig) orElse(all *LimitsConfig) {
	orElse(&l.PipelineMax, all.PipelineMax)
	orElse(&l.FrameBytesMax, all.FrameBytesMax)
	orElse(&l.FrameBytesMaxUnauthenticated, all.FrameBytesMaxUnauthenticated)
	orElse(&l.HeldBytesMax, all.HeldBytesMax)
	orElse(&l.QueuedResponseBytesMax, all.QueuedResponseBytesMax)
	orElse(&l.SlowReader, all.SlowReader)
	orElse(&l.ThrottleMax, all.ThrottleMax)
}

// orElse fills what is zero.
func (t *TimeoutsConfig) orElse(all *TimeoutsConfig) {
	orElse(&t.Idle, all.Idle)
	orElse(&t.Frame, all.Frame)
	orElse(&t.Write, all.Write)
	orElse(&t.Proxy, all.Proxy)
	orElse(&t.Authentication, all.Authentication)
	orElse(&t.Drain, all.Drain)
}

// validateListeners reports the faults of what Config says for all listeners,
// and of what each says for itself.
func (c *Config) validateListeners(fault faulter) {
	all := ListenerConfig{}.withDefaults(c)
	all.Backlog = 0 // has a name of its own in Config
	all.validate("", fault)
	fault(c.Conns.Backlog < 1 || c.Conns.Backlog > math.MaxInt32, "Conns.Backlog", c.Conns.Backlog, "choose at least 1")
	names := map[string]bool{}
	for _, l := range c.Listeners {
		at := "Listeners[" + l.Name + "]."
		fault(l.Address == "" && l.Listener == nil, at+"Address", `""`, "give host:port, port 0 picks a free one, or unix:PATH")
		c.validateGiven(at, l, fault)
		path, isUnix := engine.UnixPath(l.Address)
		why, malformed := malformedTCP(l.Address)
		fault(malformed && !isUnix && l.Address != "", at+"Address", strconv.Quote(l.Address), "give host:port, such as 127.0.0.1:9092, [::1]:9092 or :9092: "+why)
		fault(isUnix && strings.Trim(path, "@") == "", at+"Address", strconv.Quote(l.Address), "give the socket a path, such as unix:/run/kring.sock")
		fault(isUnix && c.Processors.Accept == AcceptPerProcessor, at+"Address", l.Address, "a Unix domain socket can't be shared: choose Processors.Accept apart, or a TCP address")
		fault(l.SocketMode&^fs.ModePerm != 0 || l.SocketMode != 0 && !isUnix, at+"SocketMode", l.SocketMode,
			"choose permissions such as 0660, for a unix:PATH only")
		fault(names[l.Name], "Listeners.Name", l.Name, "give each listener a name of its own")
		names[l.Name] = true
		for _, p := range l.ProxyProtocol {
			fault(!p.IsValid(), at+"ProxyProtocol", p, "give networks, such as 10.0.0.0/8")
		}
		l.validate(at, fault)
	}
}

// malformedTCP says why an address is no host:port; whether there is such a host is for
// Start to find out.
func malformedTCP(address string) (why string, is bool) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port) // a number, or a name that the system knows
	}
	if err == nil {
		return "", false
	}
	if a := (*net.AddrError)(nil); errors.As(err, &a) {
		return a.Err, true
	}
	return err.Error(), true
}

// validateGiven judges a socket that somebody else made.
func (c *Config) validateGiven(at string, l ListenerConfig, fault faulter) {
	if l.Listener == nil {
		return
	}
	kind := fmt.Sprintf("a %T", l.Listener)
	usable := false
	switch l := l.Listener.(type) {
	case *net.TCPListener:
		usable = l != nil
	case *net.UnixListener:
		usable = l != nil && l.Addr().Network() == "unix"
		if !usable && l != nil {
			kind += " of " + l.Addr().Network()
		}
	}
	fault(!usable, at+"Listener", kind, "give a *net.TCPListener, or a *net.UnixListener of network \"unix\", not one that wraps it")
	fault(l.Address != "", at+"Address", l.Address, "leave it out: Listener is bound already")
	fault(l.SocketMode != 0, at+"SocketMode", l.SocketMode, "leave it out: Listener has its file already")
	fault(c.Processors.Accept == AcceptPerProcessor, at+"Listener", kind, "one socket can't be shared by processors: choose Processors.Accept apart")
}

// validate passes over what is 0: that is the default's, which has been seen.
func (l ListenerConfig) validate(at string, fault faulter) {
	within := func(field string, v, least, most int, remedy string) {
		fault(v != 0 && (v < least || v > most), at+field, v, remedy)
	}
	fault(l.ConnsMax < 0, at+"ConnsMax", l.ConnsMax, "choose at least 1, or 0 for no bound of its own")
	fault(!(l.ConnRateMax >= 0), at+"ConnRateMax", l.ConnRateMax, "choose more than 0 a second, or 0 for no bound of its own")
	within("Backlog", l.Backlog, 1, math.MaxInt32, "choose at least 1")
	within("Socket.SendBufferBytes", l.Socket.SendBufferBytes, 1, math.MaxInt32, "choose a size, or 0 for the system's own sizing")
	within("Socket.ReceiveBufferBytes", l.Socket.ReceiveBufferBytes, 1, math.MaxInt32, "choose a size, or 0 for the system's own sizing")
	within("Socket.KeepAliveProbes", l.Socket.KeepAliveProbes, 1, 127, "choose 1 to 127, or 0 for 3")
	fault(l.Socket.KeepAliveInterval < 0, at+"Socket.KeepAliveInterval", l.Socket.KeepAliveInterval, "choose an interval, or 0 for half of the idle time")
	within("Limits.PipelineMax", l.Limits.PipelineMax, 1, 1<<12, "choose 1 to 4096")
	within("Limits.FrameBytesMax", l.Limits.FrameBytesMax, 1, 1<<30, "choose 1 byte to 1 GiB")
	within("Limits.FrameBytesMaxUnauthenticated", l.Limits.FrameBytesMaxUnauthenticated, 1, 1<<30, "choose 1 byte to 1 GiB, or 0 for no difference")
	within("Limits.HeldBytesMax", l.Limits.HeldBytesMax, 4<<10, math.MaxInt, "choose at least 4 KiB")
	within("Limits.QueuedResponseBytesMax", l.Limits.QueuedResponseBytesMax, 1, math.MaxInt, "choose at least 1 byte")
	fault(oneOf(l.Limits.SlowReader, slowReaders) != nil, at+"Limits.SlowReader", strconv.Quote(string(l.Limits.SlowReader)), fmt.Sprintf("choose one of %q", slowReaders))
	l.TLS.validate(at, fault)
	fault(l.Limits.ThrottleMax != 0 && l.Limits.ThrottleMax < time.Millisecond, at+"Limits.ThrottleMax", l.Limits.ThrottleMax, "choose at least 1ms")
}

// faulter notes that a field is wrong, if it is, and what to do.
type faulter func(bad bool, field string, value any, remedy string)

// settings are what its processors need to know; l has its defaults.
func (l *ListenerConfig) settings(cfg *Config) processor.Settings {
	return processor.Settings{
		// Also without ProxyProtocol: a connection may have begun while there was one.
		ProxyTimeout: max(l.Timeouts.Proxy, 0), AuthTimeout: max(l.Timeouts.Authentication, 0),
		FrameBytesMax: l.Limits.FrameBytesMax, FrameBytesMaxUnauthenticated: l.Limits.FrameBytesMaxUnauthenticated, BigFrameBytes: cfg.Processors.BigFrameBytes, PackedBytesMax: cfg.Processors.PackedBytesMax,
		Priority:     l.Priority,
		PipelineMax:  l.Limits.PipelineMax,
		HeldBytesMax: l.Limits.HeldBytesMax, QueuedBytesMax: l.Limits.QueuedResponseBytesMax,
		SlowReader: processorSlowReaders[l.Limits.SlowReader], ThrottleMax: l.Limits.ThrottleMax,
		IdleTimeout: max(l.Timeouts.Idle, 0), WriteTimeout: max(l.Timeouts.Write, 0), FrameTimeout: max(l.Timeouts.Frame, 0),
	}
}

func listenerName(i int) string {
	if i == 0 {
		return "PLAINTEXT"
	}
	return fmt.Sprintf("PLAINTEXT_%d", i+1)
}
