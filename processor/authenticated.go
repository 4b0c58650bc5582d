package processor

// unauthenticated says that c has to make do with less until a handler vouches
// for it.
func (c *conn) unauthenticated() bool {
	return c.set.FrameBytesMaxUnauthenticated > 0 && !c.info.Authenticated()
}

// pipelineMax is 1 while c is not authenticated: what follows the request that
// authenticates it is judged by what comes of that. It is never more than the
// order that c began with has room for.
func (c *conn) pipelineMax() int {
	if c.order == nil || c.unauthenticated() {
		return 1
	}
	return min(c.set.PipelineMax, c.order.depth)
}

func (c *conn) frameBytesMax() int {
	if c.unauthenticated() {
		return c.set.FrameBytesMaxUnauthenticated
	}
	return c.set.FrameBytesMax
}
