package kring

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/handler"
	"kring/internal/budget"
	"kring/internal/capacity"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

// Server is a network layer at work: New, Start, Shutdown, once each. Its
// methods may be called by any goroutine.
type Server struct {
	handler Handler
	watcher ConnWatcher // the handler, if it is one
	events  Events

	watcherPanics atomic.Uint64
	census        reqchan.Census
	clients       atomic.Int64 // open connections that were accepted
	upstreams     upstreams

	given     Config // to New; never changes
	memory    *slab.Pool
	responses *budget.Budget
	held      *capacity.Capacity // bounds held bytes by half of Memory.HeldBytesMax
	channel   *reqchan.Channel
	pool      *handler.Pool // nil when inline; written under mu
	admission *acceptor.Admission

	// changing is held by whoever changes what the Server consists of.
	changing sync.Mutex
	stage    stage // guarded by changing
	// starting: another engine may still be tried, so sockets that were given stay open.
	starting atomic.Bool
	others   []candidate
	nextID   uint32             // of the next processor; guarded by changing
	dials    atomic.Uint32      // calls of Dial
	retiring sync.WaitGroup     // goroutines that see to what leaves
	pacing   context.CancelFunc // ends the rebalancing; guarded by changing
	ending   context.Context
	end      context.CancelFunc // when Shutdown begins

	// mu is held for a moment, to read what follows, and to write it beside
	// changing.
	mu         sync.RWMutex
	cfg        Config                 // guarded by mu
	network    engine.Network         // guarded by mu
	plan       MemoryPlan             // guarded by mu
	why        string                 // guarded by mu
	listeners  []*listener            // guarded by mu
	processors []*processor.Processor // guarded by mu
	leaving    leaving                // guarded by mu

	failed   chan error // what an acceptor or a processor died of, the first
	finish   sync.Once
	finished chan struct{}
	endError error // of the first Shutdown; written before finished is closed
}

// stage is how far a Server's life has come.
type stage uint8

const (
	fresh stage = iota
	started
	ended
)

// New checks cfg, reporting every fault at once, and chooses the engine. It
// opens nothing yet.
func New(cfg Config, h Handler) (*Server, error) {
	if h == nil {
		return nil, errors.New("kring: Handler is nil: give one")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kring: configuration: %w", err)
	}
	given := cfg
	cfg, plan := cfg.planned()
	network, why, others, err := chooseNetwork(cfg, candidates(cfg), "")
	if err != nil {
		return nil, fmt.Errorf("kring: %w", err)
	}
	limits, err := cfg.limits()
	if err != nil {
		return nil, fmt.Errorf("kring: configuration: %w", err)
	}
	s := &Server{
		cfg: cfg, handler: h, events: cfg.Events, network: network, why: why, others: others,
		given: given, memory: &slab.Pool{}, plan: plan, held: capacity.New(cfg.Memory.HeldBytesMax / 2), responses: budget.New(cfg.Memory.ResponseBytesMax),
		channel: reqchan.New(reqchan.Config{
			RequestsMax: cfg.Dispatch.QueuedRequestsMax, PriorityMax: cfg.Dispatch.QueuedPriorityMax, BytesMax: cfg.Memory.RequestBytesMax, ClaimsSpare: cfg.claimsSpare(),
		}),
		failed:   make(chan error, 1),
		finished: make(chan struct{}),
	}
	s.admission, err = acceptor.NewAdmission(acceptor.AdmissionConfig{
		Limits: limits, Windows: cfg.windows(), Evict: (&evictor{server: s}).evict, ServerFull: cfg.Events.ServerFull,
	})
	if err != nil {
		return nil, fmt.Errorf("kring: configuration: %w", err)
	}
	s.memory.SetKeptMax(plan.Reserve / 2)
	s.watcher, _ = h.(ConnWatcher)
	s.ending, s.end = context.WithCancel(context.Background())
	if reader, ok := h.(APIReader); ok && s.cfg.Dispatch.APIOf == nil {
		s.cfg.Dispatch.APIOf = reader.APIOf
	}
	return s, nil
}

// Start begins to serve. It returns when every listener accepts that has
// nothing to wait for (see ListenerConfig.Ready), or with the error of the first
// part that could not, and then nothing of the Server is left. When Config
// leaves the engine to the Server, one that could be chosen and then has no
// memory for all parts is replaced by the next; Why says so.
func (s *Server) Start() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.stage != fresh {
		return s.stage.errStarted("Start")
	}
	return s.start()
}

// start is Start for a Server that is fresh. changing is held.
func (s *Server) start() error {
	s.starting.Store(true)
	err := s.open()
	for err != nil && s.fallBack(err) {
		err = s.open()
	}
	s.starting.Store(false)
	if err != nil {
		for _, l := range s.cfg.Listeners {
			l.closeGiven()
		}
		s.stage = ended
		s.end()
		s.endPool()
		s.memory.Close()
		return err
	}
	s.stage = started
	s.paceRebalance()
	return nil
}

// Addrs are the TCP addresses that the listeners are bound to, in their order; the zero
// value for one that waits to be bound, or is a Unix domain socket. Listeners has all as
// text.
func (s *Server) Addrs() []netip.AddrPort {
	s.mu.RLock()
	defer s.mu.RUnlock()
	addrs := make([]netip.AddrPort, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.addr()
	}
	return addrs
}

// ListenerInfo is a listener and where it is bound.
type ListenerInfo struct {
	Name string
	// Address is as ListenerConfig.Address would take it, with the port that was picked:
	// host:port or unix:PATH; empty while the listener waits to be bound.
	Address string
}

// Listeners are those that there are, in their order, with their addresses as text; for
// TCP alone, Addrs has them as values.
func (s *Server) Listeners() []ListenerInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]ListenerInfo, len(s.listeners))
	for i, l := range s.listeners {
		all[i].Name = l.conns.Name()
		if a := l.acceptor.Load(); a != nil {
			all[i].Address = a.Address()
		}
	}
	return all
}

// Failed gives the error that an acceptor or a processor died of. A program
// should then shut down: the connections of that part are gone.
func (s *Server) Failed() <-chan error { return s.failed }

func (s *Server) fail(err error) {
	if err != nil {
		select {
		case s.failed <- err:
		default: // the first one stands for all
		}
	}
}

func (s *Server) acceptorConfig(l *listener) acceptor.Config {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := acceptor.Config{
		Name: l.cfg.Name, Network: s.network, Quota: l.quota,
		Assigners: l.assigners(s.processors), LeastConns: s.cfg.Processors.Assignment == AssignLeastConns,
		Listen: engine.ListenConfig{Address: l.cfg.Address, Given: l.cfg.Listener, FileMode: l.cfg.SocketMode, Backlog: l.cfg.Backlog, Socket: l.cfg.Socket},
	}
	if f := s.events.AcceptFailed; f != nil {
		c.Failed = func(err error, pause time.Duration) { f(l.conns.Name(), err, pause) }
	}
	return c
}

func (s *Server) processorConfig(id uint32) processor.Config {
	c := processor.Config{
		ID: id, Network: s.network, Wait: waitOf(s.cfg.Processors.Wait), YieldFrom: s.cfg.yieldFrom(), Memory: s.memory, Held: s.held, Responses: s.responses, Channel: s.channel,
		Census: &s.census, Clients: &s.clients, AssignedMax: assignedMax,
		Hooks: processor.Hooks{
			Opened: s.connOpened, Closed: s.connClosed, Refused: s.connRefused,
			Panicked: s.events.HandlerPanicked,
		},
	}
	c.APIOf, c.Deprecated, c.Priority = s.cfg.Dispatch.APIOf, s.cfg.Dispatch.Deprecated, s.cfg.Dispatch.Priority
	c.LongPoll = s.cfg.Dispatch.LongPoll
	c.Latency = processor.LatencyConfig{
		Target: s.cfg.Dispatch.LatencyTarget, Counts: s.cfg.Dispatch.LatencyCounts, Least: 1, Most: s.cfg.Dispatch.QueuedRequestsMax,
	}
	c.InFlightShare = max(1, s.cfg.Dispatch.QueuedRequestsMax/8)
	c.RunMax = s.cfg.Dispatch.BatchMax
	if s.cfg.Dispatch.Mode == DispatchInline {
		c.Handle = handleOf(s.handler)
	}
	return c
}

// assignedMax bounds the sockets that wait on one processor to be adopted.
const assignedMax = 1024
