package sock

import (
	"cmp"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

const (
	keepAliveDefault     = 2 * time.Minute
	keepAliveIntervalMax = time.Minute
	keepAliveProbes      = 3
	// Kernel: tcp(7) refuses more than 32767 seconds (MAX_TCP_KEEPIDLE).
	keepAliveSecondsMax = 32767
)

// Configure applies o to a socket. Sockets accepted from a listening socket inherit all
// of it. Nothing of it applies to Unix domain sockets.
func Configure(fd engine.FD, o engine.SocketOptions) error {
	if o.SendBufferBytes < 0 || o.ReceiveBufferBytes < 0 {
		return fmt.Errorf("socket buffers of %d and %d bytes: use 0 for the system's sizing, or a positive size",
			o.SendBufferBytes, o.ReceiveBufferBytes)
	}
	if isUnix(fd) {
		return nil
	}
	s := setter{fd: int(fd)}
	s.set("TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if o.SendBufferBytes > 0 {
		s.set("SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBufferBytes)
	}
	if o.ReceiveBufferBytes > 0 {
		s.set("SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBufferBytes)
	}
	if o.KeepAlive < 0 {
		s.set("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
		return s.err
	}
	idle := o.KeepAlive
	if idle == 0 {
		idle = keepAliveDefault
	}
	s.set("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	s.set("TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(idle))
	s.set("TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL,
		seconds(cmp.Or(o.KeepAliveInterval, min(idle/2, keepAliveIntervalMax))))
	s.set("TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, cmp.Or(o.KeepAliveProbes, keepAliveProbes))
	return s.err
}

// Close closes fd. Kernel: close(2) frees the number even when it fails, so
// there is nothing to retry and nothing to report.
func Close(fd engine.FD) { _ = unix.Close(int(fd)) }

// setter sets options and keeps the first error.
type setter struct {
	fd  int
	err error
}

func (s *setter) set(name string, level, option, value int) {
	if s.err != nil {
		return
	}
	if err := unix.SetsockoptInt(s.fd, level, option, value); err != nil {
		s.err = fmt.Errorf("set %s to %d: %w", name, value, err)
	}
}

// seconds rounds up: the kernel counts whole seconds and refuses 0.
func seconds(d time.Duration) int {
	return int(min(max((d+time.Second-1)/time.Second, 1), keepAliveSecondsMax))
}
