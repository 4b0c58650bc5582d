//go:build !unix && !windows

package portable

import "syscall"

// holdsWhileWaiting says that a connection that waits for bytes holds a buffer for them:
// here nothing says that there are some but reading them.
const holdsWhileWaiting = true

func (o *operation) readWhenReady(syscall.RawConn) error { return o.readBlocking() }

func (o *operation) tryRead(uintptr) bool { return true }
