package kring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"kring/processor"
)

// part is something that a Server consists of.
type part struct {
	start func() error    // nil: it begins by itself. What fails leaves nothing of its part
	undo  func()          // a later part did not start; nil: another engine may go on with it
	stop  func(*shutdown) // of Shutdown; nil: it has ended by then
}

// parts start in this order, in which each finds what it needs: who accepts must have
// somebody to assign to (KAFKA-9796). They stop in the reverse order.
func (s *Server) parts() []part {
	return []part{
		{start: s.shareMemory, stop: s.freeMemory},
		{stop: s.awaitRest}, // goroutines beside the others
		{start: s.startProcessors, undo: s.undoProcessors, stop: s.stopProcessors},
		{start: s.startHandlers, stop: s.stopHandlers},
		{stop: s.drainConns},
		{start: s.takeOver},
		{start: s.startListeners, undo: s.undoListeners, stop: s.stopListeners},
		{start: s.checkRoom},
		{start: s.succeed},        // Order: everything that may fail has started
		{start: s.startRebalance}, // Order: Shutdown ends it first, by Server.ending
	}
}

// Start begins to serve. It returns when every listener accepts that has
// nothing to wait for (see ListenerConfig.Ready), or with the error of the first
// part that could not, and then nothing of the Server is left. When Config
// leaves the engine to the Server, one that could be chosen and then has no
// memory for all parts is replaced by the next; Why says so.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != fresh {
		return s.stage.errStarted("Start")
	}
	return s.start()
}

// start is Start for a Server that is fresh. mu is held.
func (s *Server) start() error {
	s.starting.Store(true)
	err := s.startParts()
	for err != nil && s.fallBack(err) {
		err = s.startParts()
	}
	s.starting.Store(false)
	s.stage = started
	if err != nil {
		for _, l := range s.now().cfg.Listeners {
			l.closeGiven()
		}
		s.stage = ended
		s.end()
		s.closeHandlers()
		s.memory.Close()
	}
	return err
}

func (s *Server) startParts() error {
	parts := s.parts()
	for i, p := range parts {
		if p.start == nil {
			continue
		}
		if err := p.start(); err != nil {
			for _, done := range slices.Backward(parts[:i]) {
				if done.undo != nil {
					done.undo()
				}
			}
			return err
		}
	}
	return nil
}

// fallBack replaces an engine that failed to open all parts, although it could
// be chosen, by the next one that works here. It says whether there is one. One
// that found no descriptors is not replaced: clients would find none either.
func (s *Server) fallBack(failure error) bool {
	now := s.now()
	if !errors.As(failure, new(*EngineError)) || len(now.others) == 0 ||
		errors.Is(failure, syscall.EMFILE) || errors.Is(failure, syscall.ENFILE) {
		return false
	}
	network, why, others, err := chooseNetwork(now.cfg, now.others, alongside("", failure))
	if err != nil {
		return false
	}
	s.change(func(next *state) { next.network, next.why, next.others = network, why, others })
	return true
}

// cutGrace is how long what is left has, after Shutdown's context ended, to be cut
// off, and a Handler to answer what it holds; returnGrace when Shutdown returns
// whatever is left.
const (
	cutGrace    = 300 * time.Millisecond
	returnGrace = 500 * time.Millisecond
)

var errNotAnswered = errors.New("kring: the Handler has not answered every request, or not returned: what it holds is abandoned")

// Shutdown stops accepting, lets every connection finish what it has in flight
// and closes it, and ends when all is closed. A peer that takes nothing of what it was
// answered, for a fifth of the time that ctx leaves (a second at least), is not waited for. When
// ctx ends first, what is left is cut off, and the error says so; Stats counts it. It returns
// half a second after ctx has ended at the latest. What a Handler has not given back by then
// ends when it does, and leaves nothing behind: so a Handler that blocks an inline
// processor keeps that, and its connections, until it returns. A second call
// waits for the first, as long as its own ctx lets it. Before Start it only sees
// to it that there is none.
func (s *Server) Shutdown(ctx context.Context) error {
	first := false
	s.finish.Do(func() {
		first = true
		s.end() // Order: before the lock, so that a Start that waits for something stops waiting
		go s.shutDown(ctx)
	})
	late, stop := expired(ctx, returnGrace)
	defer stop()
	select {
	case <-s.finished:
	case <-late:
		return fmt.Errorf("%w: %w", errNotAnswered, ctx.Err())
	}
	if first {
		return s.endError
	}
	return nil
}

// Close is Shutdown that waits for nobody: connections that are open are cut off, whatever
// they have in flight, and then the error says so.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.Shutdown(ctx)
}

// shutDown is Shutdown's own goroutine.
func (s *Server) shutDown(ctx context.Context) {
	defer close(s.finished)
	s.mu.Lock()
	began := s.stage == started || s.stage == handedOver
	s.stage = ended // nobody changes anything from here on
	s.mu.Unlock()
	if began {
		s.endError = s.stop(ctx)
	}
}

// shutdown is one that is under way.
type shutdown struct {
	ctx        context.Context // what is in flight may finish until it ends
	late       <-chan struct{} // closed cutGrace after that
	listeners  []*listener     // all that there were when it began
	processors []*processor.Processor
	dropped    uint64 // requests that had been lost by then
	cut        bool   // connections were left when ctx ended
	abandoned  bool   // the Handler still has something, or does not return
}

// stop ends everything that Start began.
func (s *Server) stop(ctx context.Context) error {
	late, cancel := expired(ctx, cutGrace)
	defer cancel()
	now := s.now()
	d := &shutdown{ctx: ctx, late: late, listeners: now.everyListener(), processors: now.everyProcessor()}
	for _, p := range slices.Backward(s.parts()) {
		if p.stop != nil {
			p.stop(d)
		}
	}
	return d.err()
}

// A peer may take nothing of what it was answered for a share of the time that a drain has:
// unreadShare of it, and not less than unreadLeast.
const (
	unreadShare = 5
	unreadLeast = time.Second
)

// drain has p drain. Without an end of ctx peers have their write timeout, as ever.
func (d *shutdown) drain(p *processor.Processor) {
	deadline, bounded := d.ctx.Deadline()
	if !bounded {
		p.Drain()
		return
	}
	p.DrainPatiently(max(time.Until(deadline)/unreadShare, unreadLeast))
}

func (d *shutdown) err() error {
	var cut, abandoned error
	if d.cut || d.ctx.Err() != nil && dropped(d.processors) > d.dropped { // of a connection that nobody had heard of
		cut = fmt.Errorf("kring: connections that were still open were cut off: %w", d.ctx.Err())
	}
	if d.abandoned {
		abandoned = errNotAnswered
	}
	return errors.Join(cut, abandoned)
}

// dropped is how many requests were in flight on connections that were cut off.
func dropped(processors []*processor.Processor) (n uint64) {
	for _, p := range processors {
		n += p.Stats().Dropped
	}
	return n
}

func each[T any](all []T, do func(T)) {
	for _, one := range all {
		do(one)
	}
}

func await[T any](all []T, done func(T) <-chan struct{}) {
	for _, one := range all {
		<-done(one)
	}
}

// comesBefore waits for done, and says whether it came before late did.
func comesBefore(done, late <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
	}
	select {
	case <-done:
		return true
	case <-late:
		return false
	}
}

// expired is closed some time after ctx ended, unless stop was called before.
func expired(ctx context.Context, grace time.Duration) (late <-chan struct{}, stop func()) {
	end, cancel := context.WithCancel(context.Background())
	quit := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(end, func() { timer.Stop() })
	})
	return end.Done(), func() { quit(); cancel() }
}
