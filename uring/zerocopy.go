//go:build linux

package uring

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// A zero-copy send has two CQEs: its result, and later, when the peer has
// acknowledged the last byte, the notification that the kernel has let go of
// the memory. The owner's completion is the second with the result of the
// first: until it, the memory is the kernel's.
//
// Kernel: the notification always follows a result that has CQEMore, also that
// of a failure; no cancel brings it earlier. So whatever waits for one on a
// connection that is shut down is cut off, see disconnect.

// zeroCopyVainMax is after how many sends in a row that were copied all the
// same a connection's sends are copied at once. Loopback always copies.
const zeroCopyVainMax = 4

// usageCopied is IORING_NOTIF_USAGE_ZC_COPIED in a notification's result.
const usageCopied = 1 << 31

// probeZeroCopy asks for what Config.ZeroCopyBytes needs, and for reports of
// whether it was worth it (6.2).
func (n *Network) probeZeroCopy() error {
	p, err := newProber()
	if err != nil {
		return err
	}
	defer p.close()
	if err := errors.Join(p.setup, p.opcodes); err != nil {
		return fmt.Errorf("io_uring: asking for SEND_ZC: %w", err)
	}
	n.kernel.limit(&p.known)
	if !p.known.Has(OpcodeSendZC) {
		return demand("ZeroCopyBytes", n.config.ZeroCopyBytes, "SEND_ZC (6.0)")
	}
	n.can.zeroCopyOps = []uint8{OpcodeSendZC}
	if p.known.Has(OpcodeSendMsgZC) {
		n.can.zeroCopyOps = append(n.can.zeroCopyOps, OpcodeSendMsgZC)
	} else {
		n.can.missing = append(n.can.missing, "SENDMSG_ZC (6.1)")
	}
	if !n.kernel.reportUsage || p.on(Params{}, p.tryReportUsage) != nil {
		n.can.missing = append(n.can.missing, "SEND_ZC_REPORT_USAGE (6.2)")
		return nil
	}
	n.can.zeroCopyFlags = SendZCReportUsage
	return nil
}

// tryReportUsage sends on a socket that can't do without a copy: a kernel that
// does not know the flag says so first.
func (p *prober) tryReportUsage(r *Ring) error {
	return pair(func(ours, _ int) error {
		c, err := single(r, func(q *SQE) { q.PrepSendZC(int32(ours), address(p.data), 4, 0, SendZCReportUsage) })
		if err == nil && c.Flags&CQEMore != 0 {
			_, err = next(r) // it can, after all
		}
		if err == nil && c.Res == -int32(unix.EINVAL) {
			err = unix.EINVAL
		}
		return err
	})
}

// zeroCopies says whether a send of n bytes is to go without a copy.
func (e *ringEngine) zeroCopies(s *socket, n int) bool {
	return e.config.ZeroCopyBytes > 0 && n >= e.config.ZeroCopyBytes && s.copiedInVain < zeroCopyVainMax
}

func (e *ringEngine) countZeroCopy(o *operation) {
	o.zeroCopy = true
	e.total.zeroCopySends++
}

// zeroCopyDone takes both CQEs of a zero-copy send, and says that the other is
// still to come.
func (e *ringEngine) zeroCopyDone(s *socket, o *operation, q *CQE, c *engine.Completion) bool {
	if c.More {
		o.result = c.Res
		return true
	}
	if q.Flags&CQENotif != 0 {
		c.Res = o.result
		if uint32(q.Res)&usageCopied != 0 {
			e.total.zeroCopyCopied++
			s.copiedInVain++
		} else {
			s.copiedInVain = 0
		}
	}
	switch c.Errno() {
	case unix.ENOMEM, unix.EOPNOTSUPP:
		// No memory may be pinned (the memlock limit), or this socket can't:
		// nothing was sent, and the owner's next try is copied.
		s.copiedInVain = zeroCopyVainMax
		c.Res = 0
	}
	return false
}

// disconnect throws away what the connection still has to send, so that the
// notification of a zero-copy send comes now, and not when its peer, or the
// last retransmission, has it.
func disconnect(fd engine.FD) { _ = connectToNobody(int(fd)) }

// disconnectSends does so for all that an engine on its way out waits for.
func (e *ringEngine) disconnectSends() {
	for fd, s := range e.sockets.all() {
		if s.out.op == engine.OpSend && s.out.zeroCopy {
			disconnect(fd)
		}
	}
}
