package epoll

import (
	"kring/engine"
	"kring/internal/sock"
)

// Progress is engine.ProgressTeller's.
func (e *Engine) Progress(fd engine.FD) (engine.Progress, bool) {
	e.tally.enters += progressCalls
	return sock.Progress(int(fd))
}

// progressCalls is how many system calls Progress makes.
const progressCalls = 3
