//go:build linux

package uring

import (
	"kring/engine"
	"kring/internal/sock"
)

// Progress is engine.ProgressTeller's.
func (e *ringEngine) Progress(fd engine.FD) (engine.Progress, bool) {
	e.total.enters += sock.ProgressCalls
	return sock.Progress(int(fd))
}
