package kring

import (
	"context"
	"maps"

	"kring/reqchan"
)

// ConnID names a connection for the life of the server; ParseConnID reads its String.
type ConnID = reqchan.ConnID

// ParseConnID reads a ConnID's String, PROCESSOR-INDEX.
func ParseConnID(s string) (ConnID, error) { return reqchan.ParseConnID(s) }

// closeTries is how often CloseConns looks for connections that it did not find: a
// connection that goes from one processor to another is nowhere for a pass.
const closeTries = 3

// CloseConns closes connections by their ids, whatever they have in flight, for
// ReasonClosedByAdmin: their clients see the end at once, the requests in flight are counted
// as dropped, their Context ends, and their answers go nowhere. It returns those that it told
// to end; Events.ConnClosed follows for each. The others are gone, or closing anyway. The
// error names the processors that did not answer before ctx ended, or within a second: those
// may still close theirs. Any goroutine, at any time.
func (s *Server) CloseConns(ctx context.Context, ids []ConnID) (closed []ConnID, err error) {
	ctx, cancel := context.WithTimeout(ctx, listingPatience)
	defer cancel()
	left := map[ConnID]bool{}
	for _, id := range ids {
		left[id] = true
	}
	for range closeTries {
		if len(left) == 0 {
			break
		}
		found, err := s.closeFound(ctx, left)
		closed = append(closed, found...)
		if err != nil {
			return closed, err
		}
		left = maps.Clone(left) // processors read the old one
		for _, id := range found {
			delete(left, id)
		}
	}
	return closed, nil
}

func (s *Server) closeFound(ctx context.Context, ids map[ConnID]bool) (closed []ConnID, err error) {
	processors := s.now().everyProcessor()
	answers, there := make([][]ConnID, len(processors)), make([]<-chan struct{}, len(processors))
	for i, p := range processors {
		answered := make(chan struct{})
		there[i] = answered
		p.CloseConns(ids, reqchan.ClosedByAdmin, func(closed []ConnID) {
			answers[i] = closed
			close(answered)
		})
	}
	err = awaitEach(ctx, "did not close their connections", there, func(i int) { closed = append(closed, answers[i]...) })
	return closed, err
}
