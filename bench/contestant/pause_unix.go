//go:build unix

package contestant

import (
	"os"

	"golang.org/x/sys/unix"
)

func signal(p *os.Process, goOn bool) error {
	if goOn {
		return p.Signal(unix.SIGCONT)
	}
	return p.Signal(unix.SIGSTOP)
}
