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
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

// Server is a network layer at work: New, Start, Shutdown, once each.
type Server struct {
	cfg     Config
	handler Handler
	watcher ConnWatcher // the handler, if it is one

	watcherPanics atomic.Uint64
	network       engine.Network
	why           string

	memory     *slab.Pool
	channel    *reqchan.Channel
	pool       *handler.Pool // nil when inline
	admission  *acceptor.Admission
	listeners  []*listener
	processors []*processor.Processor

	accepting  sync.WaitGroup
	processing sync.WaitGroup
	failed     chan error // what an acceptor or a processor died of, the first
	finish     sync.Once
	finished   chan struct{}
}

// New checks cfg, reporting every fault at once, and chooses the engine. It
// opens nothing yet.
func New(cfg Config, h Handler) (*Server, error) {
	if h == nil {
		return nil, errors.New("kring: Handler is nil: give one")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kring: configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	network, why, err := chooseNetwork(cfg)
	if err != nil {
		return nil, fmt.Errorf("kring: %w", err)
	}
	limits, err := cfg.limits()
	if err != nil {
		return nil, fmt.Errorf("kring: configuration: %w", err)
	}
	s := &Server{
		cfg: cfg, handler: h, network: network, why: why,
		memory: &slab.Pool{},
		channel: reqchan.New(reqchan.Config{
			RequestsMax: cfg.QueuedRequestsMax, BytesMax: cfg.QueuedRequestBytesMax,
		}),
		failed:   make(chan error, 1),
		finished: make(chan struct{}),
	}
	s.admission, err = acceptor.NewAdmission(acceptor.AdmissionConfig{Limits: limits, Windows: cfg.windows()})
	if err != nil {
		return nil, fmt.Errorf("kring: configuration: %w", err)
	}
	s.watcher, _ = h.(ConnWatcher)
	return s, nil
}

// Start binds the listeners and begins to serve; it returns when every part
// stands, or with the error of the first that could not, and then nothing of
// the Server is left.
func (s *Server) Start() error {
	if err := s.startProcessors(); err != nil {
		s.kill()
		return err
	}
	if s.cfg.Dispatch == DispatchPool {
		s.pool = handler.NewPool(handler.Config{
			Handlers: s.cfg.Handlers, BatchMax: s.cfg.HandlerBatchMax, Handle: s.handler.Handle, Panicked: s.cfg.Events.HandlerPanicked,
		}, s.channel)
		s.pool.Start()
	}
	if err := s.startAcceptors(); err != nil {
		s.kill()
		return err
	}
	return nil
}

// startProcessors comes before the acceptors: who accepts must have somebody to
// assign to (KAFKA-9796).
func (s *Server) startProcessors() error {
	opened := make(chan error, s.cfg.Processors)
	for i := range s.cfg.Processors {
		p := processor.New(s.processorConfig(uint32(i)))
		s.processors = append(s.processors, p)
		s.processing.Go(func() { s.fail(p.Run(func(err error) { opened <- err })) })
	}
	var faults []error
	for range s.processors {
		faults = append(faults, <-opened)
	}
	return errors.Join(faults...)
}

func (s *Server) startAcceptors() error {
	for _, cfg := range s.cfg.Listeners {
		l, err := s.newListener(cfg)
		if err != nil {
			return fmt.Errorf("kring: %w", err)
		}
		a, err := acceptor.New(s.acceptorConfig(l))
		if err != nil {
			return fmt.Errorf("kring: %w", err)
		}
		opened := make(chan error, 1)
		l.acceptor = a
		s.listeners = append(s.listeners, l)
		s.accepting.Go(func() { s.fail(a.Run(func(err error) { opened <- err })) })
		if err := <-opened; err != nil {
			return fmt.Errorf("kring: listener %s: %w", l.cfg.Name, err)
		}
	}
	return nil
}

// Addrs are the addresses that the listeners are bound to, in their order.
func (s *Server) Addrs() []netip.AddrPort {
	addrs := make([]netip.AddrPort, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.addr()
	}
	return addrs
}

// Failed gives the error that an acceptor or a processor died of. A program
// should then shut down: the connections of that part are gone.
func (s *Server) Failed() <-chan error { return s.failed }

// Shutdown stops accepting, lets every connection finish what it has in flight
// and closes it, and ends when all is closed. When ctx ends first, what is left
// is cut off, and the error says so; Stats counts it. A second call waits for
// the first.
func (s *Server) Shutdown(ctx context.Context) error {
	var err error
	s.finish.Do(func() {
		defer close(s.finished)
		s.stopAccepting()
		for _, p := range s.processors {
			p.Drain()
		}
		err = errors.Join(s.awaitDrained(ctx), s.stopProcessing(ctx))
	})
	<-s.finished
	return err
}

// kill ends what Start has begun.
func (s *Server) kill() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ended) // cuts at once: that it says so is no news
}

func (s *Server) stopAccepting() {
	for _, l := range s.listeners {
		l.acceptor.Stop()
	}
	s.accepting.Wait()
}

func (s *Server) awaitDrained(ctx context.Context) error {
	for _, p := range s.processors {
		select {
		case <-p.Drained():
		case <-ctx.Done():
			return fmt.Errorf("kring: not everything in flight was finished: %w", ctx.Err())
		}
	}
	return nil
}

// stopProcessing cuts what is left and ends the handlers before the
// processors, so that every answer comes home. A Handler that never answers is
// not waited for beyond ctx and a little.
func (s *Server) stopProcessing(ctx context.Context) error {
	for _, p := range s.processors {
		p.Cut()
	}
	for _, p := range s.processors {
		<-p.Drained()
	}
	s.channel.Close()
	for _, p := range s.processors {
		p.Stop()
	}
	home := make(chan struct{})
	go func() {
		if s.pool != nil {
			s.pool.Close()
		}
		s.processing.Wait()
		close(home)
	}()
	var err error
	select {
	case <-home:
	case <-expired(ctx, answerGrace):
		err = errors.New("kring: the Handler has not answered every request: what it holds is abandoned")
		for _, p := range s.processors {
			p.Abandon()
		}
		s.processing.Wait()
	}
	s.memory.Close()
	return err
}

// answerGrace is how long a Handler has, after Shutdown's context ended and the
// connections were cut, to answer what it holds.
const answerGrace = time.Second

// expired is closed some time after ctx ended.
func expired(ctx context.Context, grace time.Duration) <-chan struct{} {
	late := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { close(late) }) })
	return late
}

func (s *Server) fail(err error) {
	if err != nil {
		select {
		case s.failed <- err:
		default: // the first one stands for all
		}
	}
}

func (s *Server) acceptorConfig(l *listener) acceptor.Config {
	c := acceptor.Config{
		Name: l.cfg.Name, Network: s.network, Gate: l.gate,
		Assigners: l.assigners(s.processors), LeastConns: s.cfg.Assignment == AssignLeastConns,
		Listen: engine.ListenConfig{Address: l.cfg.Address, Backlog: l.cfg.Backlog, Socket: l.cfg.Socket},
	}
	if f := s.cfg.Events.AcceptFailed; f != nil {
		c.Failed = func(err error, pause time.Duration) { f(l.cfg.Name, err, pause) }
	}
	return c
}

func (s *Server) processorConfig(id uint32) processor.Config {
	c := processor.Config{
		ID: id, Network: s.network, Wait: waitOf(s.cfg.Wait), Memory: s.memory, Channel: s.channel,
		AssignedMax: assignedMax,
		Hooks: processor.Hooks{
			Opened: s.connOpened, Closed: s.connClosed,
			Panicked: s.cfg.Events.HandlerPanicked,
		},
	}
	if s.cfg.Dispatch == DispatchInline {
		c.Handle = s.handler.Handle
	}
	return c
}

// assignedMax bounds the sockets that wait on one processor to be adopted.
const assignedMax = 1024

func waitOf(name string) engine.Wait {
	if name == WaitLocked {
		return engine.WaitLocked
	}
	return engine.WaitParked
}
