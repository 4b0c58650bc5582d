package gateway

import (
	"cmp"
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
	// ListenerOf is the listener by whose name rules know a client; nil: its own.
	ListenerOf func(c *kring.Conn) string
	Mode       Mode

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
	// broker and principal; 0 means 1024, in mode Dedicated 65536.
	Dedicated int
	// DedicatedAll is how many of these one broker may have, over all principals; 0 means 8
	// times Dedicated. A principal has at most half of what others leave.
	DedicatedAll int
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

	// LearnTopics has the gateway remember the names and ids of topics that brokers name, for
	// the rules, or the counts by topic, of a kafka.Filter in front of it: see Gateway.Topics.
	LearnTopics bool
	// Announced are further APIs that clients are told of: what a kafka.Filter in front of the
	// gateway answers. Give them to Served as well.
	Announced []kafka.VersionRange

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
	// Warning: something is wrong that clients will notice; each text once, or once in ten
	// minutes if it is about how much there is of something.
	Warning func(text string)
}

// WithDefaults is c with its zero bounds filled in.
func (c Config) WithDefaults() Config {
	dedicated := 1024
	if c.Mode == Dedicated {
		dedicated = 1 << 16
	}
	c.Connections = cmp.Or(c.Connections, 8)
	c.Waiting = cmp.Or(c.Waiting, 64)
	c.Joining = cmp.Or(c.Joining, 1024)
	c.Dedicated = cmp.Or(c.Dedicated, dedicated)
	c.DedicatedAll = cmp.Or(c.DedicatedAll, 8*c.Dedicated)
	c.Depth = cmp.Or(c.Depth, 8)
	c.FrameBytesMax = cmp.Or(c.FrameBytesMax, 100<<20)
	c.OpenTimeout = cmp.Or(c.OpenTimeout, 10*time.Second)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 30*time.Second)
	c.ChangeTimeout = cmp.Or(c.ChangeTimeout, 2*time.Minute)
	c.GroupTimeout = cmp.Or(c.GroupTimeout, 10*time.Minute)
	c.WaitTimeout = cmp.Or(c.WaitTimeout, 10*time.Second)
	c.FetchWaitMax = cmp.Or(c.FetchWaitMax, 5*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 4*time.Minute)
	c.TopologyEvery = cmp.Or(c.TopologyEvery, 30*time.Second)
	c.BackoffMin = cmp.Or(c.BackoffMin, 100*time.Millisecond)
	c.BackoffMax = cmp.Or(c.BackoffMax, 10*time.Second)
	c.FrameTimeout = cmp.Or(c.FrameTimeout, 30*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 30*time.Second)
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
	if c.DedicatedAll < 1 || c.DedicatedAll > 1<<23 {
		fault("gateway: DedicatedAll %d: must be from 1 to %d", c.DedicatedAll, 1<<23)
	}
	if c.BackoffMin > c.BackoffMax {
		fault("gateway: BackoffMin %v: must not be more than BackoffMax, %v", c.BackoffMin, c.BackoffMax)
	}
	if c.PassSASL && c.Mode != Dedicated {
		fault("gateway: PassSASL: who a client is belongs to its connection, which must not be shared; set Mode to Dedicated")
	}
	return errors.Join(append(faults, c.Addressing.Validate())...)
}

// Sizing is what the bounds allow for each broker.
type Sizing struct {
	Connections int     // that the broker sees at most, without those of clients' own
	Writes      float64 // a second, when each takes 5 ms
	Fetches     float64 // a second, when each waits 500 ms
}

// Sizing is what the bounds allow with so many principals. One upstream connection serves one
// request at a time, so N of them serve N / (service time + round trip).
func (c Config) Sizing(principals int) Sizing {
	c = c.WithDefaults()
	return Sizing{
		Connections: principals * (2*c.Connections + c.Waiting + c.Joining),
		Writes:      float64(principals*c.Connections) / 0.005,
		Fetches:     float64(principals*c.Waiting) / 0.5,
	}
}
