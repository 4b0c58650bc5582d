package load

import (
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// shakeFD runs the handshake on a socket that blocks.
func (c *Config) shakeFD(fd int) (*records, error) {
	limit := unix.NsecToTimeval(int64(connectTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return c.shakeRecords(blocking(fd))
}

// blocking is a socket as the net.Conn of a handshake, which has the time of its options.
type blocking int

func (b blocking) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(b), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (b blocking) Write(p []byte) (int, error) {
	for done := 0; ; {
		n, err := unix.Write(int(b), p[done:])
		if err != nil && err != unix.EINTR {
			return done, os.NewSyscallError("write", err)
		}
		if done += max(n, 0); done == len(p) {
			return done, nil
		}
	}
}

func (blocking) Close() error                     { return nil } // whoever opened it does
func (blocking) LocalAddr() net.Addr              { return nil }
func (blocking) RemoteAddr() net.Addr             { return nil }
func (blocking) SetDeadline(time.Time) error      { return nil }
func (blocking) SetReadDeadline(time.Time) error  { return nil }
func (blocking) SetWriteDeadline(time.Time) error { return nil }

// sendSealed is send of a connection that speaks TLS: all that may leave is sealed
// together.
func (th *epollThread) sendSealed(c *conn) {
	for c.alive {
		wire := c.tls.unsent
		if len(wire) == 0 {
			b := th.toSend(c)
			if len(b) == 0 {
				return
			}
			wire = c.tls.seal(th.sealed[:0], b)
			th.took(c, len(b))
		}
		n, errno := sendNow(c.fd, wire)
		switch {
		case errno == unix.EINTR, errno == unix.EAGAIN:
			n = 0
		case errno != 0:
			th.drop(c, &th.rec.errors.Closed, func() string { return "sending: " + errno.Error() })
			return
		}
		c.tls.unsent = append(c.tls.unsent[:0], wire[n:]...)
		if errno == unix.EAGAIN {
			return // epoll tells when there is room
		}
	}
}

// receivedSealed works off bytes that came on a connection that speaks TLS; false: they are not
// what must come.
func (th *epollThread) receivedSealed(c *conn, b []byte, look bool, now int64) bool {
	ok, err := c.tls.take(b, look,
		func(plain []byte) bool { return th.got(c, plain, now) },
		func(n int) bool { return th.skip(c, n, now) })
	if err != nil {
		th.rec.fail(&th.rec.errors.Mismatch, err.Error)
	}
	return ok && err == nil
}
