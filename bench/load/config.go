package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Kind is what a request is.
type Kind string

// The kinds of request.
const (
	Frames       Kind = "frames"         // any bytes behind a size; the server answers with the same
	ApiVersions0 Kind = "apiversions-v0" // Kafka ApiVersions v0
	ApiVersions3 Kind = "apiversions-v3" // Kafka ApiVersions v3
	Metadata     Kind = "metadata"       // Kafka Metadata of one topic
	ListOffsets  Kind = "listoffsets"    // Kafka ListOffsets of one partition
	ProduceNone  Kind = "produce-acks0"  // Kafka Produce without an answer, fenced (see FenceRequests)
	ProduceOne   Kind = "produce-acks1"  // Kafka Produce, acks=1
	ProduceAll   Kind = "produce-all"    // Kafka Produce, acks=-1
	Fetch        Kind = "fetch"          // Kafka Fetch of the topic's first batch
	// Recording is what Config.Recording has; it is not in Kinds, which need nothing else.
	Recording Kind = "recording"
)

// Kinds lists every kind that needs nothing else.
func Kinds() []Kind {
	return []Kind{Frames, ApiVersions0, ApiVersions3, Metadata, ListOffsets, ProduceNone, ProduceOne, ProduceAll, Fetch}
}

// FenceRequests is how many unanswered Produce requests share one ApiVersions
// request behind them. Its answer proves that they were taken, because a broker
// works on the requests of a connection in their order.
const FenceRequests = 16

// Config says what to send and how. The zero value of each field but Address
// has a meaning.
type Config struct {
	// Address is the server's host and port.
	Address string `json:"address"`
	// Kind is what to send; default Frames.
	Kind Kind `json:"kind"`
	// PayloadBytes is the size of a frame without its size (Frames), or of a
	// record's value (Produce, Fetch); default 128. -1 means empty.
	PayloadBytes int `json:"payload_bytes"`
	// Sizes is a distribution in place of PayloadBytes, for Frames: WEIGHT*BYTES,
	// separated by commas, such as "90*128,9*4096,1*1048576". Each connection has
	// one of the sizes.
	Sizes string `json:"sizes,omitempty"`
	// Topic is the Kafka topic to use; it is created on demand. Default
	// "kring-bench".
	Topic string `json:"topic,omitempty"`

	// Recording is a file that --record of kring has written, for Kind Recording: it is played whole,
	// and all of that is the window. Conns, Depth, Rate, WarmUp and Duration are the file's.
	Recording string `json:"recording,omitempty"`
	// RecordingSpeed divides its times; 0: each connection sends its next request when the last one
	// is answered.
	RecordingSpeed float64 `json:"recording_speed,omitempty"`

	// TLS has the connections speak TLS 1.3, by any certificate of the server. On Linux
	// the records are sealed and opened by the generator's own code, which costs less than
	// crypto/tls (see records).
	TLS bool `json:"tls,omitempty"`
	// Handshakes makes each request a connection of its own, with a TLS handshake: the
	// request, its answer, and an orderly end. Conns is then how many are under way.
	Handshakes Handshakes `json:"handshakes,omitempty"`

	// Conns is the number of busy connections; default 1.
	Conns int `json:"conns"`
	// IdleConns are opened beside them and never used.
	IdleConns int `json:"idle_conns"`
	// ChurnRate is how many connections a second are opened beside them, ask
	// once and are closed again, every fourth with an RST.
	ChurnRate float64 `json:"churn_rate,omitempty"`
	// SlowConns are connections beside them that ask and never read.
	SlowConns int `json:"slow_conns,omitempty"`
	// SlowPayloadBytes is the size of what those ask, for Frames; default: as the
	// others'.
	SlowPayloadBytes int `json:"slow_payload_bytes,omitempty"`
	// Depth is the number of requests in flight per connection in the closed
	// loop, and of those that leave together in the open one; default 1.
	Depth int `json:"depth"`
	// Rate makes the loop an open one: requests per second over all
	// connections, evenly spaced in groups of Depth.
	Rate float64 `json:"rate,omitempty"`
	// InFlightMax bounds, per connection, what the open loop has outstanding;
	// requests beyond wait in the generator, and their latency goes on
	// counting. Default: 262,144 over all connections, 16 to 4,096 each.
	InFlightMax int `json:"in_flight_max,omitempty"`

	// WarmUp is served and compared, byte by byte, but not recorded; default
	// 300 ms.
	WarmUp time.Duration `json:"warm_up"`
	// Duration is the measured window; default 2 s.
	Duration time.Duration `json:"duration"`
	// Slice, if set, has the window's latencies told apart by when requests were due, in slices of this
	// length; open loop only. Result.Slices has them.
	Slice time.Duration `json:"slice,omitempty"`
	// DrainTimeout is how long answers may come after the window before they
	// count as missing; default 2 s.
	DrainTimeout time.Duration `json:"drain_timeout"`

	// Threads is the number of generator threads, and so of cores that it was
	// given; default 1.
	Threads int `json:"threads"`
	// Spin makes the threads poll without sleeping: sharper send times, for a
	// core each. The share of time without work is then not counted as busy.
	Spin bool `json:"spin,omitempty"`
	// Look is how long a thread looks for answers before it sleeps, for who has a
	// processor to himself: a server that is about to answer finds it awake. What it
	// looks in vain is not counted as busy. Default: not at all.
	Look time.Duration `json:"look,omitempty"`
	// Realtime has this whole process go before everything else on its
	// processors from now on (SCHED_FIFO), so that what else runs there is not
	// measured. Result.Realtime says whether the system let it.
	Realtime bool `json:"realtime,omitempty"`
	// Verify compares every byte of every response. Else that is done in the warm-up
	// and to one receive of 16 in the window, in which the bytes of the others are
	// counted and not fetched from the kernel, where it can do so (Frames on Linux).
	Verify bool `json:"verify,omitempty"`
	// Portable uses Go's net where epoll would be.
	Portable bool `json:"portable,omitempty"`

	// Boundary, when set, is called right before the window begins and right
	// after it ended, while nothing is sent; thread 0 waits for it. It is where
	// a caller reads the server's counters.
	Boundary func(begin bool) `json:"-"`
	// Cut, when set, ends the window as soon as it is closed, before Duration is
	// over: for what lasts as long as something else does.
	Cut <-chan struct{} `json:"-"`
}

// connsMax bounds both kinds of connections together: 20 loopback addresses of
// the generator's own, 16,384 connections each, is beyond any limit on open
// files that is usual.
const connsMax = 20 * connsPerSource

// connsPerSource is how many connections share one source address; Linux hands
// out 28,232 ports for an address by default.
const connsPerSource = 16384

func (c Config) withDefaults() Config {
	c.Kind = def(c.Kind, Frames)
	c.PayloadBytes = def(c.PayloadBytes, 128)
	c.Topic = def(c.Topic, "kring-bench")
	c.Conns = def(c.Conns, 1)
	c.Depth = def(c.Depth, 1)
	c.WarmUp = def(c.WarmUp, 300*time.Millisecond)
	c.Duration = def(c.Duration, 2*time.Second)
	c.DrainTimeout = def(c.DrainTimeout, 2*time.Second)
	c.Threads = min(def(c.Threads, 1), c.Conns)
	c.InFlightMax = def(c.InFlightMax, min(max(1<<18/max(c.Conns, 1), 16), 4096))
	return c
}

func def[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// payload is PayloadBytes with its -1 resolved.
func (c *Config) payload() int { return max(c.PayloadBytes, 0) }

// IsOpen says whether the loop is an open one.
func (c *Config) IsOpen() bool { return c.Rate > 0 }

func (c *Config) validateLoop(fault func(field, format string, args ...any)) {
	if c.Rate < 0 {
		fault("Rate", "%v is negative: 0 means the closed loop", c.Rate)
	}
	if c.Slice < 0 || c.Slice > 0 && (!c.IsOpen() || c.Kind == Recording || c.Duration/c.Slice > slicesMax) {
		fault("Slice", "%v of %v: an open loop has up to %d of them", c.Slice, c.Duration, slicesMax)
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("load: "+field+": "+format, args...))
	}
	if c.Address == "" {
		fault("Address", "is missing: give the server's host:port")
	} else if !strings.Contains(c.Address, ":") {
		fault("Address", "%q has no port: give host:port", c.Address)
	}
	if (c.Kind == Recording) != (c.Recording != "") {
		fault("Recording", "%q with requests of kind %s: give both a file and kind recording, or neither", c.Recording, c.Kind)
	}
	if !c.Kind.known() {
		fault("Kind", "%q is not one of %v", c.Kind, Kinds())
	}
	if c.PayloadBytes < -1 || c.PayloadBytes > payloadBytesMax {
		fault("PayloadBytes", "%d is outside -1 to %d", c.PayloadBytes, payloadBytesMax)
	}
	if c.Sizes != "" {
		if _, err := parseSizes(c.Sizes); err != nil {
			fault("Sizes", "%v", err)
		}
		if c.Kind != Frames {
			fault("Sizes", "%q with requests of kind %s: sizes are for frames, leave it empty", c.Sizes, c.Kind)
		}
	}
	if !(c.ChurnRate >= 0) || c.ChurnRate > churnRateMax {
		fault("ChurnRate", "%v is outside 0 to %d connections a second", c.ChurnRate, churnRateMax)
	}
	if c.SlowPayloadBytes < 0 || c.SlowPayloadBytes > payloadBytesMax {
		fault("SlowPayloadBytes", "%d is outside 0 to %d", c.SlowPayloadBytes, payloadBytesMax)
	}
	if c.SlowConns < 0 || c.SlowConns > slowConnsMax {
		fault("SlowConns", "%d is outside 0 to %d", c.SlowConns, slowConnsMax)
	}
	if c.Conns < 1 || c.IdleConns < 0 || c.Conns+c.IdleConns > connsMax {
		fault("Conns", "%d busy and %d idle: at least 1 busy, at most %d together", c.Conns, c.IdleConns, connsMax)
	}
	if c.Depth < 1 || c.Depth > depthMax || c.InFlightMax < 1 || c.InFlightMax > depthMax {
		fault("Depth", "%d in flight (open loop: %d) is outside 1 to %d", c.Depth, c.InFlightMax, depthMax)
	}
	if c.TLS && (c.IdleConns > 0 || c.ChurnRate > 0 || c.SlowConns > 0) {
		fault("TLS", "%d idle, %d slow and %v connections a second beside it would speak none: leave them out", c.IdleConns, c.SlowConns, c.ChurnRate)
	}
	switch c.Handshakes {
	case "":
	case FullHandshakes, ResumedHandshakes:
		if !c.TLS || c.Kind != Frames || c.Depth != 1 || c.IsOpen() || c.IdleConns > 0 {
			fault("Handshakes", "%q is for TLS, requests of kind frames, one in flight, in the closed loop and without idle connections", c.Handshakes)
		}
	default:
		fault("Handshakes", "%q: choose full or resumed, or leave it empty", c.Handshakes)
	}
	c.validateLoop(fault)
	if c.WarmUp < 0 || c.Duration < time.Millisecond || c.DrainTimeout < 0 {
		fault("Duration", "%v (warm-up %v, drain %v): at least 1ms, nothing negative", c.Duration, c.WarmUp, c.DrainTimeout)
	}
	if c.Look < 0 {
		fault("Look", "%v is negative: 0 sleeps at once", c.Look)
	}
	if c.Threads < 1 {
		fault("Threads", "%d: at least 1", c.Threads)
	}
	return errors.Join(faults...)
}

const (
	// payloadBytesMax is Kafka's default socket.request.max.bytes, less room
	// for the headers.
	payloadBytesMax = 100<<20 - 4096
	depthMax        = 1 << 16
	// churnRateMax: beyond it ports run out before their TIME_WAIT ends.
	churnRateMax = 5000
	slowConnsMax = 10_000
)

func (k Kind) known() bool {
	return k == Recording || slices.Contains(Kinds(), k)
}

// sourceFor is the local address of connection i: the system's choice until
// one loopback address would run out of ports.
func sourceFor(server netip.Addr, i, conns int) netip.Addr {
	if conns <= connsPerSource || !server.Is4() || !server.IsLoopback() {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i/connsPerSource)})
}
