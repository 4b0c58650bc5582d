package kring

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"kring/processor"
)

const (
	// retirePace is the time between two connections that Retire closes, if there are few.
	retirePace = 10 * time.Millisecond
	// retireTick is how often it closes some. retireShare of the time is for closing one
	// after the other; what is left then has the rest to finish.
	retireTick  = 20 * time.Millisecond
	retireShare = 0.75
	drainLook   = 5 * time.Millisecond
)

// Retire is Shutdown for a Server whose successor serves. It closes the connections one
// after the other, each when it has nothing in flight, so that not all clients connect again
// in one moment: over most of the time that ctx leaves, at 10 ms for each if there are few.
// If the Server has itself taken over from a process that still drains, it waits for the end of
// that: the successor knows by this one how many connections are left there. It ends as
// Shutdown does, which it calls.
func (s *Server) Retire(ctx context.Context) error {
	s.retireConns(ctx)
	if s.predecessor != nil {
		comesBefore(s.predecessor.gone, ctx.Done())
	}
	return s.Shutdown(ctx)
}

func (s *Server) retireConns(ctx context.Context) {
	total := s.connsLeft()
	window := time.Duration(total) * retirePace
	if deadline, bounded := ctx.Deadline(); bounded {
		window = min(window, time.Duration(retireShare*float64(time.Until(deadline))))
	}
	tick := time.NewTicker(retireTick)
	defer tick.Stop()
	began := time.Now()
	for told := 0; told < total; {
		select {
		case <-ctx.Done():
			return
		case <-s.ending.Done():
			return
		case <-tick.C:
		}
		want := total - told
		if spent := time.Since(began); spent < window {
			want = int(float64(total)*float64(spent)/float64(window)) - told
		}
		if want <= 0 {
			continue
		}
		n, later := s.drainSome(ctx, want)
		if n == 0 && later == 0 {
			return // the others left by themselves
		}
		told += n
	}
}

// drainSome has up to n connections close, each when it has nothing in flight, and returns
// how many were left to choose, and how many are to be chosen later: they are about to ask for the
// first time. A successor counts them no more when they close.
func (s *Server) drainSome(ctx context.Context, n int) (some, later int) {
	processors := s.now().everyProcessor()
	chosen := make(chan func(), len(processors))
	var found, beginning atomic.Int64
	left := max(s.connsLeft(), 1)
	for _, p := range processors {
		share := int(math.Ceil(float64(n) * float64(loadOf(p)) / float64(left)))
		p.DrainSome(share, func(n, later int, drain func()) {
			found.Add(int64(n))
			beginning.Add(int64(later))
			chosen <- drain
		})
	}
	var drains []func()
	for range processors {
		select {
		case drain := <-chosen:
			drains = append(drains, drain)
		case <-ctx.Done(): // a Handler blocks a processor
		}
	}
	s.successor.flush(s.finished)
	for _, drain := range drains {
		drain()
	}
	return int(found.Load()), int(beginning.Load())
}

func loadOf(p *processor.Processor) int {
	select {
	case <-p.Ended():
		return 0
	default:
		return int(p.Load())
	}
}

// connsLeft is how many connections processors have, or are about to have.
func (s *Server) connsLeft() (n int) {
	for _, p := range s.now().everyProcessor() {
		n += loadOf(p)
	}
	return n
}

// drainAll has every connection close, each when it has nothing in flight, and cuts those
// that are left after so long. New ones are not accepted meanwhile. It is false when the Server
// is shut down before: then that drains.
func (s *Server) drainAll(most time.Duration) bool {
	ctx, cancel := context.WithTimeout(s.ending, most)
	defer cancel()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for s.connsLeft() > 0 || s.admission.Queued() > 0 {
		s.drainSome(ctx, math.MaxInt32)
		select {
		case <-tick.C:
		case <-ctx.Done():
			if s.ending.Err() != nil {
				return false
			}
			s.cutAll()
			return true
		}
	}
	return true
}

// cutAll cuts every connection, and waits for their ends, a little.
func (s *Server) cutAll() {
	late, cancel := context.WithTimeout(context.Background(), cutGrace)
	defer cancel()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for s.connsLeft() > 0 {
		for _, p := range s.now().everyProcessor() {
			p.CutAll()
		}
		select {
		case <-tick.C:
		case <-late.Done():
			return
		}
	}
}
