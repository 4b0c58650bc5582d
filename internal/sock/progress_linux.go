package sock

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// ProgressCalls is how many system calls Progress makes, at most.
const ProgressCalls = 3

// Progress asks the kernel how far the bytes of a connected socket have come; false if
// fd is not one. Kernel: tcp(7), unix(7): SIOCINQ, SIOCOUTQ; TCP_INFO has
// tcpi_bytes_acked since 4.1.
func Progress(fd int) (p engine.Progress, known bool) {
	var err error
	if p.Unread, err = unix.IoctlGetInt(fd, unix.TIOCINQ); err != nil {
		return p, false
	}
	if p.Unsent, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ); err != nil {
		return p, false
	}
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		p.Acked = info.Bytes_acked
	}
	return p, true
}
