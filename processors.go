package kring

import (
	"slices"

	"kring/processor"
)

// everyProcessor are those that serve and those on their way out.
func (s *Server) everyProcessor() []*processor.Processor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Concat(s.processors, s.leaving.processors)
}
