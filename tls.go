package kring

import (
	"crypto/tls"
	"runtime"
	"slices"
	"time"

	"kring/internal/tlsconn"
	"kring/processor"
)

// TLSConfig has the connections of a listener speak TLS 1.2 or 1.3, by the standard
// library's crypto/tls. Handshakes run on goroutines of their own, a few at a time;
// after that records are opened and sealed on the processor.
//
// What the connection turned out to be is Conn.TLS.
type TLSConfig struct {
	// Config gives the configuration of a new connection. It is called once for each, on
	// the goroutine of its handshake; any number of them at once. To reload
	// certificates, give another from then on. What it gives must not be changed
	// afterwards, and should be the same pointer until something changes: crypto/tls
	// keeps the keys of session tickets with it. Certificates, client authentication, ALPN and
	// tickets are as it says; versions below TLS 1.2 are refused whatever it says.
	Config func() *tls.Config
	// Principal, if set, says who the peer is by what the handshake found, in the form of
	// Conn.Principal ("User:NAME"); "" leaves it as it is. It is called once, after the
	// handshake and before the first request, on the goroutine of the handshake. An error
	// closes the connection, for ReasonAuthenticationFailed.
	Principal func(*tls.ConnectionState) (string, error)
	// HandshakesMax is how many handshakes of the listener compute at once. Those that
	// wait for their peer don't count. Default: half of GOMAXPROCS, at least 1.
	HandshakesMax int
	// HandshakesWaitingMax is how many more may have begun: they wait for their peer, or
	// for their turn. When there are as many, one makes way for the next, and is closed for
	// ReasonHandshakesFull: of the address (IPv6: /64) that has most, the one that has
	// waited for its peer longest. If none waits, the next is closed for that reason. Each
	// takes up to 64 KiB. A handshake begins when the client's first message has come: until
	// then it takes no place. Default 4096, or less where Memory.BytesMax is little.
	HandshakesWaitingMax int
	// HandshakeTimeout is how long a connection may take from its accept to the end of its
	// handshake. Time in which the handshake computes or waits for its turn to does not count, up
	// to once this time in sum. Default 30 seconds, negative: for ever.
	HandshakeTimeout time.Duration
}

// settings are what l's processors need to know when it goes by cfg.
func (l *listener) settings(cfg *ListenerConfig, all *Config) processor.Settings {
	set := cfg.settings(all)
	if cfg.TLS == nil {
		return set
	}
	of := tlsconn.Settings{Config: cfg.TLS.Config, Principal: cfg.TLS.Principal, RunningMax: cfg.TLS.HandshakesMax, WaitingMax: cfg.TLS.HandshakesWaitingMax}
	shakes := l.shakes.Load()
	if shakes == nil {
		shakes = tlsconn.New(of)
		l.shakes.Store(shakes)
	} else {
		shakes.Change(of)
	}
	set.Transport, set.HandshakeTimeout = shakes.Transport, max(cfg.TLS.HandshakeTimeout, 0)
	return set
}

// awaitHandshakes waits for the goroutines of handshakes; all connections are closed.
func (l *listener) awaitHandshakes() {
	if shakes := l.shakes.Load(); shakes != nil {
		shakes.Wait()
	}
}

// HandshakeStats counts the TLS handshakes of a listener. Each that had Begun ends as one of
// Succeeded, Failed, Left and MadeWay.
type HandshakeStats struct {
	Listener  string
	Begun     uint64 // the first message had come as a whole, and there was room
	Succeeded uint64
	Failed    uint64 // by what the peer sent, or for who it is
	Left      uint64 // the peer went away, or the time was over
	MadeWay   uint64 // for another, when as many had begun as may
	Full      uint64 // found as many begun as may, and none that would make way
	Now       int    // have begun and not ended
}

// handshakeStats are those of the listeners that speak TLS, in their order.
func handshakeStats(of []*listener) (all []HandshakeStats) {
	for _, l := range of {
		if shakes := l.shakes.Load(); shakes != nil {
			n := shakes.Counts()
			all = append(all, HandshakeStats{l.conns.Name(), n.Begun, n.Succeeded, n.Failed, n.Left, n.MadeWay, n.Full, n.Now})
		}
	}
	return all
}

// planTLS derives how many handshakes may wait, and counts their memory.
func (c *Config) planTLS(m *MemoryPlan) {
	for i, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		t := *l.TLS
		if t.HandshakesWaitingMax == 0 && m.Max > 0 {
			t.HandshakesWaitingMax = int(max(min(m.Max/handshakesPart/memoryOfHandshake, handshakesWaitingDefault), handshakesWaitingLeast))
		}
		c.Listeners[i].TLS = t.withDefaults()
		m.Handshakes += int64(tlsconn.PlacesMax(c.Listeners[i].TLS.HandshakesMax, c.Listeners[i].TLS.HandshakesWaitingMax)) * memoryOfHandshake
	}
}

// speaksTLS says that a listener does.
func (c *Config) speaksTLS() bool {
	return slices.ContainsFunc(c.Listeners, func(l ListenerConfig) bool { return l.TLS != nil })
}

const (
	// memoryOfHandshake is what one takes at most that has begun: its goroutine, what
	// crypto/tls allocates, and bytes that wait for it. memoryOfTLS is what a connection
	// has more than one in plain text, while it is idle.
	memoryOfHandshake = 64 << 10
	memoryOfTLS       = 8 << 10
	// handshakesPart of all is for handshakes that wait, with no smaller default than this.
	handshakesPart         = 16
	handshakesWaitingLeast = 64
)

const (
	handshakesWaitingDefault = 4096
	handshakeTimeoutDefault  = 30 * time.Second
)

// withDefaults fills what is zero, in a copy.
func (t *TLSConfig) withDefaults() *TLSConfig {
	if t == nil {
		return nil
	}
	d := *t
	orElse(&d.HandshakesMax, max(1, runtime.GOMAXPROCS(0)/2))
	orElse(&d.HandshakesWaitingMax, handshakesWaitingDefault)
	orElse(&d.HandshakeTimeout, handshakeTimeoutDefault)
	return &d
}

// validate passes over what is 0.
func (t *TLSConfig) validate(at string, fault faulter) {
	if t == nil {
		return
	}
	fault(t.Config == nil, at+"TLS.Config", "nil", "give a func that returns the *tls.Config of a new connection")
	fault(t.HandshakesMax < 0 || t.HandshakesMax > 1<<16, at+"TLS.HandshakesMax", t.HandshakesMax, "choose 1 to 65536, or 0 for half of the CPUs")
	fault(t.HandshakesWaitingMax < 0 || t.HandshakesWaitingMax > 1<<20, at+"TLS.HandshakesWaitingMax", t.HandshakesWaitingMax, "choose 1 to 1048576, or 0 for the default")
	fault(t.HandshakeTimeout > 0 && t.HandshakeTimeout < time.Millisecond, at+"TLS.HandshakeTimeout", t.HandshakeTimeout, "choose at least 1ms, 0 for the default, or a negative number for no end")
}
