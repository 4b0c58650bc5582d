package portable

import (
	"syscall"

	"kring/engine"
	"kring/internal/sock"
)

// Progress is engine.ProgressTeller's. Other systems don't tell.
func (e *Engine) Progress(fd engine.FD) (p engine.Progress, known bool) {
	c, ok := e.network.socket(fd).conn.(syscall.Conn)
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
	return p, known
}
