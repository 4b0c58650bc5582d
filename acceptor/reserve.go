package acceptor

import "os"

// reserve is a descriptor that is kept for the time when there is no other.
// Without it, accepting fails when descriptors have run out, and clients hang in
// the kernel's queue until some are free. With it, one is accepted in its place
// and closed, so that the client sees a close, one after the other.
//
// Owner: the goroutine that accepts.
type reserve struct{ file *os.File }

// hold opens it, if it is not open; false when no descriptor is free.
func (r *reserve) hold() bool {
	if r.file == nil {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return false
		}
		r.file = f
	}
	return true
}

// release makes its descriptor free; false when it has none.
func (r *reserve) release() bool {
	if r.file == nil {
		return false
	}
	_ = r.file.Close() // nothing was written to it
	r.file = nil
	return true
}
