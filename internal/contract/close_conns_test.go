package contract

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// ends remembers why connections ended.
type ends struct {
	mu  sync.Mutex
	all map[kring.ConnID]kring.CloseReason // guarded by mu
	did map[kring.ConnID]uint64            // guarded by mu; requests
}

func (e *ends) closed(c *kring.Conn, why kring.CloseReason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all, e.did = map[kring.ConnID]kring.CloseReason{}, map[kring.ConnID]uint64{}
	}
	e.all[c.ID], e.did[c.ID] = why, c.Totals().Requests
}

func (e *ends) of(id kring.ConnID) kring.CloseReason {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[id]
}

// TestWhoRunsTheServerClosesConnections, whatever they have in flight: what is answered
// later goes nowhere, and nobody else notices.
func TestWhoRunsTheServerClosesConnections(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		var told ends
		cfg.Events.ConnClosed = told.closed
		g := newGated()
		s := servertest.Start(t, cfg, g)
		busy, idle, stays := servertest.Dial(t, s), servertest.Dial(t, s), servertest.Dial(t, s)
		busy.Ask("now", "now")
		idle.Ask("now", "now")
		stays.Ask("now", "now")
		busy.Send("later")
		r := <-g.held
		ids := map[string]kring.ConnID{}
		for _, c := range list(t, s) {
			ids[c.Remote.String()] = c.ID
		}
		of := func(c *servertest.Client) kring.ConnID { return ids[c.LocalAddr().String()] }
		closed, err := s.CloseConns(t.Context(), []kring.ConnID{of(busy), of(idle), {Processor: 7, Index: 7}})
		slices.SortFunc(closed, func(a, b kring.ConnID) int { return int(a.Index) - int(b.Index) })
		if len(closed) != 2 || !slices.Contains(closed, of(busy)) || !slices.Contains(closed, of(idle)) || err != nil {
			t.Fatalf("closed %v, %v", closed, err)
		}
		busy.AwaitClose()
		idle.AwaitClose()
		servertest.Eventually(t, "the context of what was in flight ends", func() bool { return r.Context().Err() != nil })
		servertest.Eventually(t, "two have ended", func() bool { return s.Stats().Total.Closed[kring.ReasonClosedByAdmin] == 2 })
		if n := s.Stats().Total.Dropped; n != 1 {
			t.Errorf("%d requests were dropped", n)
		}
		r.Respond([]byte("late"))
		servertest.Eventually(t, "the late answer is counted", func() bool { return s.Stats().Total.Late == 1 })
		stays.Ask("now", "now")
		if told.of(of(busy)) != kring.ReasonClosedByAdmin || told.of(of(idle)) != kring.ReasonClosedByAdmin || told.did[of(busy)] != 2 {
			t.Errorf("%v, %v", told.all, told.did)
		}
		if again, err := s.CloseConns(t.Context(), closed); len(again) != 0 || err != nil {
			t.Errorf("closed again: %v, %v", again, err)
		}
	})
}

// TestClosingConnectionsDoesNotWaitForABlockedProcessor.
func TestClosingConnectionsDoesNotWaitForABlockedProcessor(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Mode, cfg.Processors.Count = kring.DispatchInline, 1
		entered, leave := make(chan kring.ConnID), make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			entered <- r.Conn().ID
			<-leave
			r.NoResponse()
		}))
		c := servertest.Dial(t, s)
		c.Send("block")
		id := <-entered
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		defer cancel()
		if closed, err := s.CloseConns(ctx, []kring.ConnID{id}); !errors.Is(err, context.DeadlineExceeded) || len(closed) != 0 {
			t.Errorf("closed %v, %v", closed, err)
		}
		close(leave)
		c.AwaitClose()
	})
}

// TestManyConnectionsAreClosedAtOnce, in several passes, and each is told once.
func TestManyConnectionsAreClosedAtOnce(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count = 1
		s := servertest.Start(t, cfg, servertest.Echo)
		const n = 700 // more than are looked at in a pass
		for range n {
			servertest.Dial(t, s)
		}
		servertest.Eventually(t, "all are open", func() bool { return s.Stats().Total.Opened == n })
		var ids []kring.ConnID
		for _, c := range list(t, s) {
			ids = append(ids, c.ID)
		}
		closed, err := s.CloseConns(t.Context(), ids)
		if len(closed) != n || err != nil {
			t.Errorf("%d closed, %v", len(closed), err)
		}
		servertest.Eventually(t, "all have ended", func() bool { return s.Stats().Total.Closed[kring.ReasonClosedByAdmin] == n })
	})
}
