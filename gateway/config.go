package gateway

import (
	"errors"
	"fmt"
	"time"

	"kring"
	"kring/kafka"
)

// Mode is how clients' connections and upstream ones belong together.
type Mode uint8

// The modes.
const (
	// Multiplexed: many clients share few upstream connections, by lanes.
	Multiplexed Mode = iota
	// Dedicated: every client's connection has its own upstream. For everything that binds
	// to a connection.
	Dedicated
)

// Config of a Gateway. The zero value of a bound means its default.
type Config struct {
	// Bootstrap are brokers of the upstream cluster: any that answers says who all are.
	Bootstrap []kafka.Address
	// Addressing is how clients reach brokers; Own are further addresses that lead to the
	// gateway: an upstream that advertises one is a loop.
	Addressing Addressing
	Own        []kafka.Address
	// NodeOf says which broker the clients of a connection mean, NoNode: any. nil: the name
	// of the TLS handshake decides, by Addressing.
	NodeOf func(c *kring.Conn) int32
	Mode   Mode

	// Connections is how many upstream connections serve short requests, and as many
	// writes, for each broker and principal; 0 means 8.
	Connections int
	// Waiting is how many serve requests that wait, each one at a time; 0 means 64.
	Waiting int
	// Joining is how many members of groups may wait for their group at once, for each
	// broker and principal; 0 means 1024. Members of one group wait for each other, so it
	// must be more than the largest group has.
	Joining int
	// Dedicated is how many clients may have an upstream connection of their own, for each
	// broker; 0 means 1024, in mode Dedicated 65536.
	Dedicated int
	// Depth is how many requests may be under way on one shared connection; 0 means 8. The
	// broker serves one of them at a time.
	Depth int
	// PoolByClientID keeps clients apart by their client id as well: for an upstream whose
	// quotas are per client id.
	PoolByClientID bool

	// OpenTimeout is for an upstream connection until it can be used; 0 means 10 s.
	OpenTimeout time.Duration
	// RequestTimeout is how long a broker may take for a request, beyond what the request
	// itself says that it waits; 0 means 30 s. ChangeTimeout is for changes of the cluster;
	// 0 means 2 min. GroupTimeout is for a rebalance, at least; 0 means 10 min.
	RequestTimeout, ChangeTimeout, GroupTimeout time.Duration
	// WaitTimeout is how long a request waits for a connection, or for a broker that is
	// away; 0 means 10 s. Then its client is told to try again.
	WaitTimeout time.Duration
	// FetchWaitMax bounds what a Fetch may wait for data on a shared upstream connection; 0
	// means 5 s. When clients wait for a connection, the gateway asks brokers for less.
	FetchWaitMax time.Duration
	// IdleTimeout closes an upstream connection without requests; 0 means 4 min. It must be
	// less than the brokers' connections.max.idle.ms (10 min).
	IdleTimeout time.Duration
	// TopologyEvery is how often the brokers' addresses are asked for; 0 means 30 s.
	TopologyEvery time.Duration
	// BackoffMin and BackoffMax are between attempts to connect; 0 means 100 ms and 10 s.
	BackoffMin, BackoffMax time.Duration
	// FrameBytesMax is the largest response; 0 means 100 MiB.
	FrameBytesMax int
	// FrameTimeout is how long a response may take from its first byte to its last, and
	// WriteTimeout how long a broker may take nothing; 0 means 30 s.
	FrameTimeout, WriteTimeout time.Duration

	// IdentityOf says by whose credentials a client's requests go upstream; nil: the zero
	// Identity, without SASL. Any goroutine; it must not block.
	IdentityOf func(c *kring.Conn) *Identity
	// HasSASL says that clients authenticate at the gateway on the listener of a connection;
	// nil: none do.
	HasSASL func(c *kring.Conn) bool
	// PassSASL passes the clients' own SASL exchanges to the broker. Only in mode Dedicated.
	PassSASL bool

	Events Events
	// Now is the clock, in nanoseconds; nil: the monotonic one. For tests.
	Now func() int64
	// Seed is of the jitter; 0: random. For tests.
	Seed uint64
}

// Events are called when something happens that somebody should know; nil ones are not
// called. Any goroutine, one at a time for a broker; they must not block.
type Events struct {
	// BrokerUp: a broker can be used, again or for the first time. BrokerDown: it can't be;
	// err says why, and what can be done about it.
	BrokerUp   func(node int32, at kafka.Address)
	BrokerDown func(node int32, at kafka.Address, err error)
	// BrokerMoved: the upstream advertises another address for a node.
	BrokerMoved func(node int32, from, to kafka.Address)
	// Warning: something is wrong that clients will notice; each text once.
	Warning func(text string)
}

// WithDefaults is c with its zero bounds filled in.
func (c Config) WithDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Connections, 8)
	def(&c.Waiting, 64)
	def(&c.Joining, 1024)
	if c.Mode == Dedicated {
		def(&c.Dedicated, 1<<16)
	}
	def(&c.Dedicated, 1024)
	def(&c.Depth, 8)
	def(&c.FrameBytesMax, 100<<20)
	span(&c.OpenTimeout, 10*time.Second)
	span(&c.RequestTimeout, 30*time.Second)
	span(&c.ChangeTimeout, 2*time.Minute)
	span(&c.GroupTimeout, 10*time.Minute)
	span(&c.WaitTimeout, 10*time.Second)
	span(&c.FetchWaitMax, 5*time.Second)
	span(&c.IdleTimeout, 4*time.Minute)
	span(&c.TopologyEvery, 30*time.Second)
	span(&c.BackoffMin, 100*time.Millisecond)
	span(&c.BackoffMax, 10*time.Second)
	span(&c.FrameTimeout, 30*time.Second)
	span(&c.WriteTimeout, 30*time.Second)
	return c
}

// Validate reports every fault of c with its defaults at once.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var faults []error
	fault := func(format string, values ...any) { faults = append(faults, fmt.Errorf(format, values...)) }
	if len(c.Bootstrap) == 0 {
		fault("gateway: Bootstrap: there is no upstream; name a broker at least")
	}
	for _, at := range c.Bootstrap {
		if c.Addressing.loops(at, c.Own) {
			fault("gateway: Bootstrap %s leads to the gateway itself; name a broker", at)
		}
	}
	for name, v := range map[string]int{"Connections": c.Connections, "Waiting": c.Waiting, "Joining": c.Joining, "Dedicated": c.Dedicated, "Depth": c.Depth} {
		if v < 1 || v > 1<<20 {
			fault("gateway: %s %d: must be from 1 to %d", name, v, 1<<20)
		}
	}
	for name, v := range map[string]time.Duration{"OpenTimeout": c.OpenTimeout, "RequestTimeout": c.RequestTimeout, "ChangeTimeout": c.ChangeTimeout,
		"GroupTimeout": c.GroupTimeout, "WaitTimeout": c.WaitTimeout, "FetchWaitMax": c.FetchWaitMax, "IdleTimeout": c.IdleTimeout,
		"TopologyEvery": c.TopologyEvery, "BackoffMin": c.BackoffMin, "BackoffMax": c.BackoffMax, "FrameTimeout": c.FrameTimeout, "WriteTimeout": c.WriteTimeout} {
		if v < time.Millisecond {
			fault("gateway: %s %v: must be a millisecond at least", name, v)
		}
	}
	if c.BackoffMin > c.BackoffMax {
		fault("gateway: BackoffMin %v: must not be more than BackoffMax, %v", c.BackoffMin, c.BackoffMax)
	}
	if c.PassSASL && c.Mode != Dedicated {
		fault("gateway: PassSASL: who a client is belongs to its connection, which must not be shared; set Mode to Dedicated")
	}
	return errors.Join(append(faults, c.Addressing.Validate())...)
}

// Sizing is what the bounds allow, for each broker and principal.
type Sizing struct {
	Brokers, Principals int
	Connections         int     // that a broker may see at most, without those of clients' own
	Writes              float64 // a second, for each broker, when one takes 5 ms
	Fetches             float64 // a second, when each waits 500 ms
}

// Sizing says what the bounds come to with so many principals, for each broker: one upstream
// connection serves one request at a time, so N of them serve N / (service time + round trip).
func (c Config) Sizing(principals int) Sizing {
	c = c.WithDefaults()
	return Sizing{
		Principals:  principals,
		Connections: principals * (2*c.Connections + c.Waiting + c.Joining),
		Writes:      float64(principals*c.Connections) / 0.005,
		Fetches:     float64(principals*c.Waiting) / 0.5,
	}
}
