//go:build linux

package uring

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// zeroCopy sends without a copy from ZeroCopyBytes on.
//
// Kernel: 6.0; 6.1 for gathered sends, 6.2 for reports of whether a send was copied.
//
// Cost: two CQEs for each, and a connection's next send waits for the peer's
// acknowledgement. Off: on loopback the kernel copies after all (28 to 29 µs against 9.4
// to 11 µs for 64 KiB); other machines gain from about 16 KiB on.
var zeroCopy = technique{
	asked:      func(c *Config) bool { return c.ZeroCopyBytes > 0 },
	probe:      (*Network).probeZeroCopy,
	operations: func(_ *Config, can *abilities) []uint8 { return can.zeroCopyOps },
	hooks: hooks{
		prepare: (*ringEngine).prepareZeroCopy, complete: (*ringEngine).zeroCopyDone,
		disconnect: (*ringEngine).disconnectZeroCopy,
	},
}

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

// prepareZeroCopy fills the SQE of a send that is large enough, and whose connection's
// last ones were not copied all the same.
func (e *ringEngine) prepareZeroCopy(q *SQE, fd engine.FD, s *socket, op engine.Op, out outgoing) bool {
	gathered := len(out.bufs) > 1
	if op != engine.OpSend || out.n < e.config.ZeroCopyBytes || s.copiedInVain >= zeroCopyVainMax || gathered && len(e.can.zeroCopyOps) == 1 {
		return false
	}
	if gathered {
		q.PrepSendMsgZC(int32(fd), out.at, sendFlags)
		q.IOPrio |= e.can.zeroCopyFlags
	} else {
		q.PrepSendZC(int32(fd), out.at, uint32(out.n), sendFlags, e.can.zeroCopyFlags)
	}
	if e.config.ZeroCopyFixed && e.registered(out) {
		q.IOPrio |= RecvSendFixedBuf
		q.BufGroup = e.fixed.index
		e.total.registered++
	}
	s.out.zeroCopy = true
	e.total.zeroCopySends++
	return true
}

// zeroCopyDone takes both CQEs of a zero-copy send, and says that the other is
// still to come.
func (e *ringEngine) zeroCopyDone(_ engine.FD, s *socket, q *CQE, c *engine.Completion) bool {
	o := &s.out
	if c.Op != engine.OpSend || !o.zeroCopy {
		return false
	}
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

// disconnectZeroCopy throws away what the connection still has to send, so that the
// notification of a zero-copy send comes now, and not when its peer, or the
// last retransmission, has it.
func (e *ringEngine) disconnectZeroCopy(fd engine.FD, s *socket) {
	if s.out.op == engine.OpSend && s.out.zeroCopy {
		_ = connectToNobody(int(fd))
		e.total.enters++
	}
}
