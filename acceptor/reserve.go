package acceptor

// reserve is a descriptor that is kept for the time when there is no other.
// Without it, accepting fails when descriptors have run out, and clients hang in
// the kernel's queue until some are free. With it, one is accepted in its place
// and closed, so that the client sees a close, one after the other.
//
// Owner: the goroutine that accepts.
type reserve struct {
	open func() (release func(), err error)
	held func() // releases it; nil when it is not held
}

// hold opens it, if it is not open. The error says why it could not: when
// descriptors are scarce, the one that was accepted last is the last there is;
// for any other reason clients can be served without a reserve.
func (r *reserve) hold() error {
	if r.held != nil {
		return nil
	}
	release, err := r.open()
	if err == nil {
		r.held = release
	}
	return err
}

// release makes its descriptor free; false when it has none.
func (r *reserve) release() bool {
	if r.held == nil {
		return false
	}
	r.held()
	r.held = nil
	return true
}
