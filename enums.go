package kring

import (
	"fmt"
	"slices"

	"kring/processor"
)

// Engine names an engine. Like the other choices below it marshals as text; the empty
// text is the default.
type Engine string

// The engines.
const (
	// EngineAuto is io_uring if this system lets us, else epoll, else portable.
	EngineAuto Engine = "auto"
	// EngineURing is io_uring, on Linux from 5.19.
	EngineURing Engine = "io_uring"
	// EngineEpoll is epoll, on any Linux.
	EngineEpoll Engine = "epoll"
	// EnginePortable is Go's own net package, on any system.
	EnginePortable Engine = "portable"
)

// DispatchMode is where the Handler runs: DispatchConfig.Mode.
type DispatchMode string

// The ways to dispatch.
const (
	// DispatchPool runs the Handler on a pool of goroutines behind the request
	// channel, as Kafka does. The Handler may block.
	DispatchPool DispatchMode = "pool"
	// DispatchInline runs the Handler on the processor: the lowest latency, for a
	// Handler that never blocks and never calls runtime.Goexit, which would end the
	// processor (Failed tells).
	DispatchInline DispatchMode = "inline"
)

// Accept says who accepts connections: ProcessorsConfig.Accept.
type Accept string

// The ways to accept.
const (
	// AcceptApart has a goroutine and an engine for each listener, which hand
	// connections to the processors in turn.
	AcceptApart Accept = "apart"
	// AcceptPerProcessor has a listening socket for each processor, on its own
	// engine.
	AcceptPerProcessor Accept = "per-processor"
)

// Gosched says whether a processor lets other goroutines run before it sends and
// sleeps: ProcessorsConfig.Gosched.
type Gosched string

// The ways to yield.
const (
	// GoschedAuto yields for a batch, and for a single request only when the processor
	// waits locked or Go has one P.
	GoschedAuto Gosched = "auto"
	// GoschedOn always yields.
	GoschedOn Gosched = "on"
	// GoschedOff never yields.
	GoschedOff Gosched = "off"
)

// Wait is how processors sleep: ProcessorsConfig.Wait.
type Wait string

// The ways to wait.
const (
	// WaitAuto is WaitLocked when the Handler runs inline and no listener speaks TLS, else
	// WaitParked: a TLS handshake costs a quarter more beside processors that are locked.
	WaitAuto Wait = "auto"
	// WaitLocked holds an OS thread for each processor.
	WaitLocked Wait = "locked"
	// WaitParked sleeps on the poller of the Go runtime.
	WaitParked Wait = "parked"
)

// SlowReader is what happens to a connection whose peer reads too slowly:
// LimitsConfig.SlowReader.
type SlowReader string

// The ways to treat slow readers.
const (
	// SlowReaderPause starts no further request until the peer reads on.
	SlowReaderPause SlowReader = "pause"
	// SlowReaderThrottle also mutes the connection for a second.
	SlowReaderThrottle SlowReader = "throttle"
	// SlowReaderClose closes the connection.
	SlowReaderClose SlowReader = "close"
)

// WhenFull is what happens to a connection that there is no slot for:
// ConnsConfig.WhenFull.
type WhenFull string

// The ways to treat it.
const (
	// WhenFullWait accepts nothing more until a slot is free.
	WhenFullWait WhenFull = "wait"
	// WhenFullRefuse closes it at once.
	WhenFullRefuse WhenFull = "refuse"
)

// Assignment is which processor gets a new connection: ProcessorsConfig.Assignment.
type Assignment string

// The ways to assign.
const (
	// AssignLeastConns gives it to the processor that has the fewest.
	AssignLeastConns Assignment = "least-connections"
	// AssignRoundRobin gives it to the processors in turn.
	AssignRoundRobin Assignment = "round-robin"
)

// The choices of each type, the default first.
var (
	engines     = []Engine{EngineAuto, EngineURing, EngineEpoll, EnginePortable}
	dispatches  = []DispatchMode{DispatchPool, DispatchInline}
	accepts     = []Accept{AcceptApart, AcceptPerProcessor}
	goscheds    = []Gosched{GoschedAuto, GoschedOn, GoschedOff}
	waits       = []Wait{WaitAuto, WaitLocked, WaitParked}
	slowReaders = []SlowReader{SlowReaderPause, SlowReaderThrottle, SlowReaderClose}
	whenFulls   = []WhenFull{WhenFullWait, WhenFullRefuse}
	assignments = []Assignment{AssignLeastConns, AssignRoundRobin}
)

// processorSlowReaders says it to processors.
var processorSlowReaders = map[SlowReader]processor.SlowReader{
	SlowReaderPause: processor.SlowReaderPause, SlowReaderThrottle: processor.SlowReaderThrottle, SlowReaderClose: processor.SlowReaderClose,
}

// marshal gives a choice as text.
func marshal[T ~string](v T, choices []T) ([]byte, error) {
	if err := oneOf(v, choices); err != nil {
		return nil, err
	}
	return []byte(v), nil
}

// unmarshal reads a choice; v is left as it was when text is none.
func unmarshal[T ~string](v *T, text []byte, choices []T) error {
	if err := oneOf(T(text), choices); err != nil {
		return err
	}
	*v = T(text)
	return nil
}

func oneOf[T ~string](v T, choices []T) error {
	if v == "" || slices.Contains(choices, v) {
		return nil
	}
	return fmt.Errorf("kring: %q is no %T: choose one of %q", string(v), v, choices)
}

// MarshalText gives the name; an error when e is none of the choices.
func (e Engine) MarshalText() ([]byte, error) { return marshal(e, engines) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (e *Engine) UnmarshalText(text []byte) error { return unmarshal(e, text, engines) }

// MarshalText gives the name; an error when d is none of the choices.
func (d DispatchMode) MarshalText() ([]byte, error) { return marshal(d, dispatches) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (d *DispatchMode) UnmarshalText(text []byte) error { return unmarshal(d, text, dispatches) }

// MarshalText gives the name; an error when a is none of the choices.
func (a Accept) MarshalText() ([]byte, error) { return marshal(a, accepts) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (a *Accept) UnmarshalText(text []byte) error { return unmarshal(a, text, accepts) }

// MarshalText gives the name; an error when g is none of the choices.
func (g Gosched) MarshalText() ([]byte, error) { return marshal(g, goscheds) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (g *Gosched) UnmarshalText(text []byte) error { return unmarshal(g, text, goscheds) }

// MarshalText gives the name; an error when w is none of the choices.
func (w Wait) MarshalText() ([]byte, error) { return marshal(w, waits) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (w *Wait) UnmarshalText(text []byte) error { return unmarshal(w, text, waits) }

// MarshalText gives the name; an error when s is none of the choices.
func (s SlowReader) MarshalText() ([]byte, error) { return marshal(s, slowReaders) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (s *SlowReader) UnmarshalText(text []byte) error { return unmarshal(s, text, slowReaders) }

// MarshalText gives the name; an error when w is none of the choices.
func (w WhenFull) MarshalText() ([]byte, error) { return marshal(w, whenFulls) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (w *WhenFull) UnmarshalText(text []byte) error { return unmarshal(w, text, whenFulls) }

// MarshalText gives the name; an error when a is none of the choices.
func (a Assignment) MarshalText() ([]byte, error) { return marshal(a, assignments) }

// UnmarshalText takes a name; an error that has the choices when text is none of them.
func (a *Assignment) UnmarshalText(text []byte) error { return unmarshal(a, text, assignments) }
