package contract

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// smallWindow makes a client whose system takes little at a time: over the loopback
// interface segments are so large that it would take nothing for a long time otherwise.
func smallWindow(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400)
	})
}

// Kernel: tcp(7): a sender learns of room when a third of its buffer is free, which for
// a slow reader is seldom.
func TestAPeerThatReadsSlowlyIsNotCutForAWriteTimeout(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const response, steps = 600 << 10, 160
		cfg.Timeouts.Write = patient
		cfg.Socket.SendBufferBytes = 100 << 10
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.Respond(r.Buffer(response))
		}))
		// Its system tells of room when that has doubled, at the latest when all of it is free.
		steadily(t, steps, 16, patient/40, func(t *testing.T) (step func(i int) error, end func() error) {
			c := servertest.DialWith(t, &net.Dialer{Control: smallWindow}, s.Addrs()[0].String())
			c.Send("much")
			b := make([]byte, 2<<10)
			step = func(int) error {
				if _, err := io.ReadFull(c, b); err != nil {
					return fmt.Errorf("%w%s", err, whyClosed(s))
				}
				return nil
			}
			return step, func() error {
				if _, err := io.CopyN(io.Discard, c, response+reqchan.SizeBytes-steps*int64(len(b))); err != nil {
					return fmt.Errorf("the rest: %w%s", err, whyClosed(s))
				}
				return nil
			}
		})
	})
}
