package portable

import (
	"errors"
	"syscall"
)

// holdsWhileWaiting says that a connection that waits for bytes holds a buffer for them.
const holdsWhileWaiting = false

var errWaits = errors.New("it waits for bytes")

// readWhenReady waits for bytes, as Go's net does on Windows by a receive of none, and reads
// them then.
func (o *operation) readWhenReady(raw syscall.RawConn) error {
	o.failed = nil
	if err := raw.Read(o.look); err != nil {
		return err
	}
	if o.e.allLent() {
		return errAllLent
	}
	return o.readBlocking()
}

// tryRead is RawConn.Read's: false has it wait for bytes, and call again.
func (o *operation) tryRead(uintptr) bool {
	waited := o.failed == errWaits
	o.failed = errWaits
	return waited
}
