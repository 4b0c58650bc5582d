//go:build linux

package uring

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// bySetup: a ring with these flags.
func bySetup(flags uint32) func(*prober) error {
	return func(p *prober) error {
		if p.setup != nil {
			return unasked(p.setup)
		}
		return p.on(Params{Flags: flags, CQEntries: 4 * probeRingEntries}, func(*Ring) error { return nil })
	}
}

// byBit: a feature bit of a ring that was set up.
func byBit(bit uint32) func(*prober) error {
	return func(p *prober) error {
		switch {
		case p.setup != nil:
			return unasked(p.setup)
		case p.params.Features&bit == 0:
			return &absence{"the kernel does not report it"}
		}
		return nil
	}
}

// byOpcode: the kernel's own list of operations.
func byOpcode(opcodes ...uint8) func(*prober) error {
	return func(p *prober) error {
		if p.setup != nil {
			return unasked(p.setup)
		}
		if p.opcodes != nil {
			return p.opcodes
		}
		for _, o := range opcodes {
			if !p.known.Has(o) {
				return &absence{fmt.Sprintf("operation %d is not in the kernel's list", o)}
			}
		}
		return nil
	}
}

// byRegister: a registration on a ring with these flags.
func byRegister(name string, flags uint32, register func(*prober, *Ring) error) func(*prober) error {
	return byRing(flags, func(p *prober, r *Ring) error {
		return refusal("io_uring_register "+name, register(p, r))
	})
}

// byRing: whatever try does with a ring with these flags.
func byRing(flags uint32, try func(*prober, *Ring) error) func(*prober) error {
	return func(p *prober) error {
		if p.setup != nil {
			return unasked(p.setup)
		}
		return p.on(Params{Flags: flags}, func(r *Ring) error { return try(p, r) })
	}
}

// unasked: without a ring there is nobody to ask. Never an absence.
func unasked(setup error) error {
	return errors.New("could not be asked: " + setup.Error())
}

// tryAnyRing says no, and not just that it failed, when io_uring itself is
// refused: this process has none.
func tryAnyRing(p *prober) error {
	var none *absence
	if p.setup == nil || errors.As(p.setup, &none) {
		return p.setup
	}
	r, err := NewRing(probeRingEntries, &Params{})
	if err == nil {
		return r.Close()
	}
	return refusal("io_uring_setup", err, unix.ENOSYS, unix.EPERM, unix.EACCES)
}

func trySysctl(*prober) error {
	_, err := os.Stat("/proc/sys/kernel/io_uring_disabled")
	if os.IsNotExist(err) {
		return &absence{"the kernel has no such setting"}
	}
	return err
}

func tryAttach(p *prober) error {
	if p.setup != nil {
		return unasked(p.setup)
	}
	return p.on(Params{}, func(r *Ring) error {
		return p.on(Params{Flags: setupAttachWQ, WQFD: uint32(r.FD())}, func(*Ring) error { return nil })
	})
}

// tryMultishotAccept takes one connection with an accept that stays.
func tryMultishotAccept(_ *prober, r *Ring) error {
	listener, client, err := unixPair()
	if err != nil {
		return err
	}
	defer unix.Close(client)
	defer unix.Close(int(listener))
	c, err := single(r, func(q *SQE) { q.PrepAcceptMultishot(int32(listener), unix.SOCK_CLOEXEC) })
	if err := verdict("accept", c, err); err != nil {
		return err
	}
	_ = unix.Close(int(c.Res))
	if c.Flags&CQEMore == 0 {
		return &absence{"accept: it ended after one connection"}
	}
	return endAll(r) // before the listener is closed: nobody else may be accepted
}

// tryAcceptDontWait asks an empty listener, which must say so at once.
func tryAcceptDontWait(_ *prober, r *Ring) error {
	l, err := emptyListener()
	if err != nil {
		return err
	}
	defer unix.Close(int(l))
	c, err := single(r, func(q *SQE) {
		q.PrepAccept(int32(l), unix.SOCK_CLOEXEC)
		q.IOPrio = acceptDontWait
	})
	if err == nil && c.Res == -int32(unix.EAGAIN) {
		return nil
	}
	return verdict("accept", c, err)
}

func emptyListener() (engine.FD, error) {
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, refusal("socket", err)
	}
	if err := errors.Join(unix.Bind(l, &unix.SockaddrUnix{}), unix.Listen(l, 1)); err != nil {
		_ = unix.Close(l)
		return -1, refusal("listen", err)
	}
	return engine.FD(l), nil
}

// tryReceive receives 4 of 8 bytes; prioritized is the IOPrio to do it with,
// and flagged a flag that the completion must carry.
func tryReceive(prioritized uint16, flagged uint32) func(*prober, *Ring) error {
	return func(p *prober, r *Ring) error {
		return pair(func(ours, peer int) error {
			if _, err := unix.Write(peer, make([]byte, 8)); err != nil {
				return refusal("write", err)
			}
			c, err := single(r, func(q *SQE) {
				q.PrepRecv(int32(ours), address(p.data), 4, 0)
				q.IOPrio = prioritized
			})
			if err := verdict("recv", c, err); err != nil {
				return err
			}
			if c.Flags&flagged != flagged {
				return &absence{"recv: the completion does not say it"}
			}
			return nil
		})
	}
}

// tryMultishotRecv receives 8 bytes with a receive that stays, in completions
// of at most limit bytes (0: as much as there is).
func tryMultishotRecv(limit uint32) func(*prober, *Ring) error {
	return func(p *prober, r *Ring) error {
		return p.withBuffers(r, 0, func() error {
			return pair(func(ours, peer int) error {
				if _, err := unix.Write(peer, make([]byte, 8)); err != nil {
					return refusal("write", err)
				}
				c, err := single(r, func(q *SQE) {
					q.PrepRecvMultishot(int32(ours), 0, limit, 0)
					q.Flags, q.BufGroup = SQEBufferSelect, bufRingProbeGroup
				})
				if err := verdict("recv", c, err); err != nil {
					return err
				}
				if c.Flags&CQEMore == 0 {
					return &absence{"recv: it ended after one completion"}
				}
				if limit > 0 && c.Res != int32(limit) {
					err = &absence{fmt.Sprintf("recv: %d bytes where %d were asked for", c.Res, limit)}
				}
				return errors.Join(err, endAll(r)) // while its buffers are there
			})
		})
	}
}

// tryFixed sends 4 bytes from registered memory and receives them into it.
func tryFixed(p *prober, r *Ring) error {
	if err := r.RegisterBuffers(p.data); err != nil {
		return refusal("io_uring_register BUFFERS", err)
	}
	return pair(func(ours, peer int) error {
		c, err := single(r, func(q *SQE) { q.PrepWriteFixed(int32(ours), address(p.data), 4, 0, 0) })
		if err := verdict("write", c, err); err != nil {
			return err
		}
		c, err = single(r, func(q *SQE) { q.PrepReadFixed(int32(peer), address(p.data), 4, 0, 0) })
		return verdict("read", c, err)
	})
}

// tryCancelAll cancels a receive as whatever there is on the ring.
func tryCancelAll(p *prober, r *Ring) error {
	return pair(func(ours, peer int) error {
		const cancel = 1
		r.GetSQE().PrepRecv(int32(ours), address(p.data), 4, 0)
		q := r.GetSQE()
		q.PrepCancel(0, CancelAny|CancelAll)
		q.UserData = cancel
		var says error
		for range 2 {
			c, err := next(r)
			if err != nil {
				return errors.Join(err, hangUp(r, peer))
			}
			if c.UserData == cancel && c.Res != 1 {
				says = verdict("cancel", c, nil)
				// The receive is still there: let it end.
				_ = unix.Shutdown(peer, unix.SHUT_RDWR)
			}
		}
		return says
	})
}

// hangUp ends a receive whose cancelling failed.
func hangUp(r *Ring, peer int) error {
	_ = unix.Shutdown(peer, unix.SHUT_RDWR)
	_, err := next(r)
	return err
}

// endAll cancels what stays and waits until it is gone: its memory is used
// again. The CQEs of one such operation and of the cancel come in any order.
func endAll(r *Ring) error {
	const cancel = 1
	q := r.GetSQE()
	q.PrepCancel(0, CancelAny|CancelAll)
	q.UserData = cancel
	cancelled, ended := false, false
	for !cancelled || !ended {
		c, err := next(r)
		if err != nil {
			return err
		}
		if c.UserData == cancel {
			cancelled = true
		} else if c.Flags&CQEMore == 0 {
			ended = true
		}
	}
	return nil
}

func tryMultishotTimeout(p *prober, r *Ring) error {
	storeTimespec(p.data, timespec{Nsec: 1000})
	c, err := single(r, func(q *SQE) { q.PrepTimeout(address(p.data), 0, timeoutMultishot) })
	if err == nil && c.Res == -int32(unix.ETIME) && c.Flags&CQEMore != 0 {
		return nil // the kernel has copied the time; the ring's end ends the timeout
	}
	return verdict("timeout", c, err, unix.ETIME)
}

// tryRestrict allows a ring only what an engine needs, and starts it.
func tryRestrict(_ *prober, r *Ring) error {
	if err := r.registerRestrictions(allowances()); err != nil {
		return err
	}
	return r.EnableRings()
}

func tryBufRingStatus(p *prober, r *Ring) error {
	return p.withBuffers(r, 0, func() error {
		return refusal("io_uring_register PBUF_STATUS", r.tryBufRingStatus(bufRingProbeGroup))
	})
}

func tryBufRing(flags uint16) func(*prober, *Ring) error {
	return func(p *prober, r *Ring) error {
		return p.withBuffers(r, flags, func() error { return nil })
	}
}

func trySyncCancel(_ *prober, r *Ring) error {
	err := r.RegisterSyncCancel(0, -1, CancelAny, operationLimit)
	if err == unix.ENOENT {
		return nil // there is nothing to cancel, and it knows
	}
	return err
}

func tryBPF(p *prober) error {
	if p.setup != nil {
		return unasked(p.setup)
	}
	err := tryBPFFilter()
	if err == unix.EFAULT || err == unix.EACCES {
		return nil // it looked at the argument, or at who asks
	}
	return refusal("io_uring_register BPF_FILTER", err, unix.EBADF)
}

func trySendMsgRing(_ *prober, r *Ring) error {
	err := r.message(1)
	return refusal("io_uring_register SEND_MSG_RING", err, unix.EBADF)
}
