package processor_test

import "kring/handler"

// startHandlers runs the pool of handlers of a stage that is not inline.
func (s *stage) startHandlers(c stageConfig) {
	if c.inline {
		return
	}
	pool := handler.NewPool(handler.Config{Handlers: c.handlers, Handle: c.handle, Responses: s.responses}, s.channel)
	pool.Start()
	s.handling.Go(pool.Close)
}
