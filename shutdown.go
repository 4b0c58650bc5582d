package kring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kring/processor"
)

// cutGrace is how long what is left has, after Shutdown's context ended, to be cut
// off, and a Handler to answer what it holds; returnGrace when Shutdown returns
// whatever is left.
const (
	cutGrace    = 300 * time.Millisecond
	returnGrace = 500 * time.Millisecond
)

var errNotAnswered = errors.New("kring: the Handler has not answered every request, or not returned: what it holds is abandoned")

// Shutdown stops accepting, lets every connection finish what it has in flight
// and closes it, and ends when all is closed. When ctx ends first, what is left
// is cut off, and the error says so; Stats counts it. It returns half a second
// after ctx has ended at the latest. What a Handler has not given back by then
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
	s.changing.Lock()
	began := s.stage == started
	s.stage = ended // nobody changes anything from here on
	s.changing.Unlock()
	if began {
		s.endError = s.stop(ctx)
	}
}

// stop ends everything that Start began. Each signal goes to all before any is
// waited for.
func (s *Server) stop(ctx context.Context) error {
	listeners, processors := s.everyListener(), s.everyProcessor()
	for _, l := range listeners {
		l.stop()
	}
	for _, l := range listeners {
		comesBefore(l.ended, ctx.Done())
	}
	for _, p := range processors {
		p.Drain()
	}
	before := dropped(processors)
	err := awaitDrained(ctx, processors)
	stopped := s.stopProcessing(ctx, processors)
	if err == nil && ctx.Err() != nil && dropped(processors) > before { // of a connection that nobody had heard of
		err = errCut(ctx)
	}
	err = errors.Join(err, stopped)
	for _, l := range listeners {
		<-l.ended
	}
	s.retiring.Wait()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, l := range listeners {
			l.awaitHandshakes()
		}
		s.upstreams.await()
	}()
	late, stop := expired(ctx, cutGrace)
	defer stop()
	comesBefore(ended, late) // one may be in a function of the user's
	s.memory.Close()
	return err
}

// awaitDrained fails when connections are left as ctx ends. A processor that has none may
// not have had the time to say so.
func awaitDrained(ctx context.Context, processors []*processor.Processor) error {
	for _, p := range processors {
		if comesBefore(p.Drained(), ctx.Done()) {
			continue
		}
		if st := p.Stats(); st.Open() > 0 {
			return errCut(ctx)
		}
	}
	return nil
}

func errCut(ctx context.Context) error {
	return fmt.Errorf("kring: connections that were still open were cut off: %w", ctx.Err())
}

// dropped is how many requests were in flight on connections that were cut off.
func dropped(processors []*processor.Processor) (n uint64) {
	for _, p := range processors {
		n += p.Stats().Dropped
	}
	return n
}

// stopProcessing cuts what is left and ends the handlers before the
// processors, so that every answer comes home. A Handler that never answers is
// not waited for beyond ctx and a little; one that blocks its processor is, but
// not by Shutdown.
func (s *Server) stopProcessing(ctx context.Context, processors []*processor.Processor) error {
	late, stop := expired(ctx, cutGrace)
	defer stop()
	for _, p := range processors {
		p.Cut()
	}
	for _, p := range processors {
		comesBefore(p.Drained(), late)
	}
	s.channel.Close()
	for _, p := range processors {
		p.Stop()
	}
	home := make(chan struct{})
	go func() {
		s.endPool()
		awaitEnded(processors)
		close(home)
	}()
	if comesBefore(home, late) {
		return nil
	}
	for _, p := range processors {
		p.Abandon()
	}
	awaitEnded(processors)
	return errNotAnswered
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

// endPool waits until the handlers have left.
func (s *Server) endPool() {
	s.channel.Close()
	if s.pool != nil {
		s.pool.Close()
	}
}

// cut ends the connections that are left.
func cut(processors []*processor.Processor) {
	for _, p := range processors {
		p.Cut()
	}
	for _, p := range processors {
		<-p.Drained()
	}
}

func awaitEnded(processors []*processor.Processor) {
	for _, p := range processors {
		<-p.Ended()
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
