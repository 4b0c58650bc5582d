package conn

import (
	"sync"
	"sync/atomic"
	"time"
)

// Settings are what connections go by. A Settings is never changed once a
// Listener has it: a change is another one.
type Settings struct {
	// FrameBytesMax is the largest payload of a frame (socket.request.max.bytes).
	FrameBytesMax int
	// FrameBytesMaxUnauthenticated is the same for connections that no handler
	// has vouched for (Conn.SetAuthenticated), which have one request in flight
	// at a time; 0: all count as authenticated.
	FrameBytesMaxUnauthenticated int
	// BigFrameBytes: a frame of at least this size is received straight into
	// its own memory; a smaller one passes through the engine's buffers.
	BigFrameBytes int
	// PackedBytesMax: a response up to this size, its own included, is copied
	// beside its neighbours, so that many leave in one piece; a larger one is
	// sent from where it lies. 1 to slab.ArenaChunkBytes.
	PackedBytesMax int
	// PipelineMax is how many requests of one connection may be unanswered at
	// once; 1 is Kafka's order. Answers leave in the order of the requests. A
	// connection keeps room for what it began with: more is for new ones.
	PipelineMax int
	// HeldBytesMax is how many received but uncut bytes a connection may have
	// before it is muted (its receive cancelled, so that TCP pushes back).
	HeldBytesMax int
	// QueuedBytesMax is how many response bytes may wait on a connection before
	// no further request of it is started.
	QueuedBytesMax int
	// SlowReader is what happens to a connection that reaches it.
	SlowReader SlowReader
	// ThrottleMax bounds how long one answer may throttle its connection.
	ThrottleMax time.Duration
	// IdleTimeout closes a connection that neither received nor sent anything
	// for so long and has no request in flight; 0: never.
	IdleTimeout time.Duration
	// FrameTimeout closes a connection that has begun a frame, which takes of the
	// channel's capacity, and sends nothing of it for so long, or has not sent all of
	// it after twice that and the time that it takes at frameBytesPerSecond; 0: never.
	FrameTimeout time.Duration
	// WriteTimeout closes a connection whose peer took nothing of a response
	// for so long, and at most twice as long: where completions don't tell, the
	// kernel is asked, and is compared with what it said before. 0: never.
	WriteTimeout time.Duration
	// ProxyTimeout closes a connection whose PROXY protocol header has not come whole for
	// so long, and at most twice as long; 0: never.
	ProxyTimeout time.Duration
	// AuthTimeout closes a connection that no handler has vouched for so long after it was
	// made, or after its transport was open; see FrameBytesMaxUnauthenticated. 0: never.
	AuthTimeout time.Duration
	// Priority: requests go into the priority lane of the request channel.
	Priority bool
	// Transport makes what stands between the wire and the frames of a new connection;
	// nil: nothing does. It must not block.
	Transport MakeTransport
	// HandshakeTimeout closes a connection whose transport is not open so long after it was
	// made; 0: never.
	HandshakeTimeout time.Duration
}

// Shortest is the shortest of the timeouts, 0 when there is none.
func (s *Settings) Shortest() (t time.Duration) {
	for _, of := range [...]time.Duration{s.IdleTimeout, s.WriteTimeout, s.FrameTimeout, s.ProxyTimeout, s.HandshakeTimeout, s.AuthTimeout} {
		if of > 0 && (t == 0 || of < t) {
			t = of
		}
	}
	return t
}

// Listener is what the connections of one listener share, over all processors.
// Its methods may be called by any goroutine.
type Listener struct {
	name       string
	privileged bool
	settings   atomic.Pointer[Settings]
	asked      atomic.Uint32 // the phase that its connections shall be in; it only grows
	open       atomic.Int64  // connections assigned and not ended
	said       sync.Once
	drained    chan struct{}
}

// NewListener makes a Listener. privileged is for handlers to see (Kafka: the
// request came by the control plane's or the brokers' own listener).
func NewListener(name string, privileged bool, s Settings) *Listener {
	l := &Listener{name: name, privileged: privileged, drained: make(chan struct{})}
	l.settings.Store(&s)
	return l
}

// Name is what its connections carry.
func (l *Listener) Name() string { return l.name }

// Privileged is what handlers see.
func (l *Listener) Privileged() bool { return l.privileged }

// Settings are those that new connections get.
func (l *Listener) Settings() Settings { return *l.settings.Load() }

// Change gives new connections other settings, and those that are open too as
// soon as their processor is told to Refresh.
func (l *Listener) Change(s Settings) { l.settings.Store(&s) }

// Open is how many connections are assigned and not ended.
func (l *Listener) Open() int64 { return l.open.Load() }

// Drain lets connections finish what is in flight and close, and Cut ends them
// whatever they have in flight, as soon as their processor is told to Refresh.
// New ones are refused.
func (l *Listener) Drain() { l.ask(Draining) }

// Cut is beside Drain.
func (l *Listener) Cut() { l.ask(Cutting) }

// Drained is closed when the listener was asked to drain (or more) and has no
// connection left.
func (l *Listener) Drained() <-chan struct{} { return l.drained }

// Phase is what its connections shall be in.
func (l *Listener) Phase() Phase { return Phase(l.asked.Load()) }

func (l *Listener) ask(ph Phase) {
	for old := l.asked.Load(); old < uint32(ph); old = l.asked.Load() {
		if l.asked.CompareAndSwap(old, uint32(ph)) {
			break
		}
	}
	l.sayIfDrained()
}

// Enter counts a connection in; false when the listener is ending. Order: it is
// counted before the phase is looked at, and sayIfDrained looks the other way
// round, so one of the two sees the other.
func (l *Listener) Enter() bool {
	l.open.Add(1)
	if l.Phase() != Serving {
		l.Leave()
		return false
	}
	return true
}

// Leave counts a connection out.
func (l *Listener) Leave() {
	l.open.Add(-1)
	l.sayIfDrained()
}

func (l *Listener) sayIfDrained() {
	if l.Phase() != Serving && l.open.Load() == 0 {
		l.said.Do(func() { close(l.drained) })
	}
}
