package portable

import (
	"syscall"

	"kring/engine"
	"kring/internal/sock"
)

// Progress implements engine.ProgressTeller. Other systems don't have it.
func (e *Engine) Progress(fd engine.FD) (p engine.Progress, known bool) {
	s := e.network.socket(fd)
	c, ok := s.conn.(syscall.Conn)
	if !ok {
		return p, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return p, false
	}
	if err := raw.Control(func(fd uintptr) { p, known = sock.Progress(int(fd)) }); err != nil {
		return p, false
	}
	p.Unread += int(s.undelivered.Load())
	return p, known
}
