package acceptor

// reserve is a descriptor that is kept for when all others are used. Without it,
// accepting fails when descriptors have run out, and clients hang in the kernel's
// queue until some are free. With it, one client after the other is accepted in its
// place and closed, so that each sees a close.
//
// Owner: the goroutine that accepts.
type reserve struct {
	open func() (release func(), err error)
	held func() // releases it; nil when it is not held
}

// acquire opens the descriptor unless it is open. If the error is outOfDescriptors,
// the descriptor that was accepted last is the last one. After any other error
// clients can be served without a reserve.
func (r *reserve) acquire() error {
	if r.held != nil {
		return nil
	}
	release, err := r.open()
	if err == nil {
		r.held = release
	}
	return err
}

// release frees the descriptor; false if there is none.
func (r *reserve) release() bool {
	if r.held == nil {
		return false
	}
	r.held()
	r.held = nil
	return true
}
