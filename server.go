package kring

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

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
	clients       atomic.Int64       // open connections that were accepted
	clientIDs     *reqchan.ClientIDs // nil: nobody counts by client id; it never changes
	upstreams     upstreams

	given     Config // to New; never changes
	memory    *slab.Pool
	responses *budget.Budget
	held      *capacity.Capacity // bounds held bytes by half of Memory.HeldBytesMax
	channel   *reqchan.Channel
	pool      *handler.Pool // nil when inline
	admission *acceptor.Admission

	// current is what the Server consists of. Order: whoever makes another of it (change)
	// has written what it names before.
	current atomic.Pointer[state]

	// mu is held by whoever starts, reconfigures or ends the Server, for as long as that
	// takes. Nobody who only reads needs it.
	mu     sync.Mutex
	stage  stage              // guarded by mu
	nextID uint32             // guarded by mu; of the next processor
	pacing context.CancelFunc // guarded by mu; ends the rebalancing

	// starting: another engine may still be tried, so sockets that were given stay open.
	starting atomic.Bool
	dials    atomic.Uint32  // calls of Dial
	retiring sync.WaitGroup // goroutines that see to what leaves
	ending   context.Context
	end      context.CancelFunc // when Shutdown begins

	successor   successor    // who takes over from this Server
	predecessor *Predecessor // whom it takes over from; nil: nobody. Set before Start

	failed   chan error // what an acceptor or a processor died of, the first
	finish   sync.Once
	finished chan struct{}
	endError error // of the first Shutdown; written before finished is closed
}

// state is what a Server consists of at a moment. It never changes: Server.change puts
// another in its place. So what is read of one belongs together.
type state struct {
	cfg     Config
	network engine.Network
	why     string      // this engine
	others  []candidate // engines that are left to try
	plan    MemoryPlan

	listeners  []*listener            // that serve, in their order
	processors []*processor.Processor // that serve
	leaving    leaving
}

// leaving are the parts that were taken away.
type leaving struct {
	listeners  []*listener            // whose connections still drain
	processors []*processor.Processor // that still have connections
	gone       gone
}

// now is the Server at this moment. Any goroutine.
func (s *Server) now() *state { return s.current.Load() }

// change puts another state in the place of the current one. f makes it of a copy, and is
// called again when another change came first; it copies the slices that it changes. Any
// goroutine.
func (s *Server) change(f func(next *state)) {
	for {
		was := s.current.Load()
		next := *was
		if f(&next); s.current.CompareAndSwap(was, &next) {
			return
		}
	}
}

// everyProcessor are those that serve and those on their way out.
func (n *state) everyProcessor() []*processor.Processor {
	return slices.Concat(n.processors, n.leaving.processors)
}

// everyListener are those that serve and those on their way out.
func (n *state) everyListener() []*listener { return slices.Concat(n.listeners, n.leaving.listeners) }

// without is a copy of all that lacks one.
func without[T comparable](all []T, one T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(o T) bool { return o == one })
}

// stage is how far a Server's life has come.
type stage uint8

const (
	fresh stage = iota
	started
	handedOver // a successor serves; what is left drains
	ended
)

// faultsOfNew is what is wrong with what New is given; nil: nothing is.
func faultsOfNew(cfg Config, h Handler) error {
	err := cfg.Validate()
	if err != nil {
		err = fmt.Errorf("kring: configuration: %w", err)
	}
	if h == nil {
		err = errors.Join(errors.New("kring: Handler is nil: give one"), err)
	}
	return err
}

// New checks cfg and h, reporting every fault at once, and chooses the engine. It
// opens nothing yet.
func New(cfg Config, h Handler) (*Server, error) {
	if err := faultsOfNew(cfg, h); err != nil {
		return nil, err
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
		handler: h, events: cfg.Events,
		given: given, memory: &slab.Pool{}, held: capacity.New(cfg.Memory.HeldBytesMax / 2), responses: budget.New(cfg.Memory.ResponseBytesMax),
		channel: reqchan.New(reqchan.Config{
			RequestsMax: cfg.Dispatch.QueuedRequestsMax, PriorityMax: cfg.Dispatch.QueuedPriorityMax, BytesMax: cfg.Memory.RequestBytesMax, ClaimsSpare: cfg.claimsSpare(),
		}),
		upstreams: newUpstreams(),
		failed:    make(chan error, 1),
		finished:  make(chan struct{}),
	}
	s.successor.begin(s)
	s.admission, err = acceptor.NewAdmission(acceptor.AdmissionConfig{
		Limits: limits, Windows: cfg.windows(), Evict: (&evictor{server: s}).evict, ServerFull: cfg.Events.ServerFull,
	})
	if err != nil {
		return nil, fmt.Errorf("kring: configuration: %w", err)
	}
	if n := cfg.Measure.ClientIDsMax; n > 0 {
		s.clientIDs = reqchan.NewClientIDs(n)
	}
	s.memory.SetKeptMax(plan.Reserve / 2)
	s.watcher, _ = h.(ConnWatcher)
	s.ending, s.end = context.WithCancel(context.Background())
	if reader, ok := h.(APIReader); ok && cfg.Dispatch.APIOf == nil {
		cfg.Dispatch.APIOf = reader.APIOf
	}
	if cfg.Dispatch.Mode == DispatchPool {
		s.pool = s.newPool(&cfg)
	}
	s.current.Store(&state{cfg: cfg, network: network, why: why, others: others, plan: plan})
	return s, nil
}

// Addrs are the TCP addresses that the listeners are bound to, in their order; the zero
// value for one that waits to be bound, or is a Unix domain socket. Listeners has all as
// text.
func (s *Server) Addrs() []netip.AddrPort {
	listeners := s.now().listeners
	addrs := make([]netip.AddrPort, len(listeners))
	for i, l := range listeners {
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
	listeners := s.now().listeners
	all := make([]ListenerInfo, len(listeners))
	for i, l := range listeners {
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
