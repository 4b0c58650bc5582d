package kring

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"kring/processor"
)

// connOpened tells who wants to know. A panic there ends nothing: the connection
// is open, whoever listens.
func (s *Server) connOpened(c *Conn) {
	defer s.watcherPanicked()
	if s.watcher != nil {
		s.watcher.ConnOpened(c)
	}
	if s.events.ConnOpened != nil {
		s.events.ConnOpened(c)
	}
}

func (s *Server) connClosed(c *Conn, why CloseReason) {
	defer s.watcherPanicked()
	if s.watcher != nil {
		s.watcher.ConnClosed(c, why)
	}
	if s.events.ConnClosed != nil {
		s.events.ConnClosed(c, why)
	}
}

func (s *Server) watcherPanicked() {
	if v := recover(); v != nil {
		s.watcherPanics.Add(1)
	}
}

// listingPatience is how long Conns waits for a processor: it answers between
// two passes, so only a Handler that blocks it (inline) can keep it for longer.
const listingPatience = time.Second

// Conns lists the open connections, by processor and age. Each processor
// answers for its own, some hundreds in a pass; none is held up, and none is
// asked that has ended. The error names the processors that did not answer
// before ctx ended, or within a second; the list is then without theirs. Any
// goroutine, at any time.
func (s *Server) Conns(ctx context.Context) ([]ConnInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, listingPatience)
	defer cancel()
	processors := s.everyProcessor()
	asked := make([]*processor.Listing, len(processors))
	for i, p := range processors {
		asked[i] = p.List()
	}
	var all []ConnInfo
	var silent []int
	for i := range asked {
		select {
		case <-asked[i].Done():
			all = append(all, asked[i].Conns()...)
		case <-ctx.Done():
			silent = append(silent, i)
		}
	}
	slices.SortFunc(all, func(a, b ConnInfo) int {
		return cmp.Or(cmp.Compare(a.ID.Processor, b.ID.Processor), cmp.Compare(a.ID.Index, b.ID.Index))
	})
	if len(silent) > 0 {
		return all, fmt.Errorf("kring: processors %v did not list their connections: %w; does the Handler block them?", silent, ctx.Err())
	}
	return all, nil
}
