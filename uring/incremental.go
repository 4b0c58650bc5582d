//go:build linux

package uring

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"kring/internal/invariants"
)

// incremental has receives share a buffer, one behind the other.
//
// Kernel: 6.12, and completions in the order of the bytes (6.15, or its fix).
//
// Cost: one slow request keeps a buffer that others lie in. Off: a frame that lies in
// buffers of many connections can't be handed on without a copy, and no scenario of bench
// needs more from its buffers.
var incremental = technique{asked: func(c *Config) bool { return c.Incremental }, probe: (*Network).probeIncremental}

// ringFlags are those of the buffer ring's registration.
func (w *window) ringFlags() uint16 {
	if w.shares != nil {
		return bufRingIncremental
	}
	return 0
}

// share is the state of an incremental buffer: receives fill it one behind the
// other, whichever connection they are of, and it goes back to the kernel when
// the kernel has let go of it and every completion that lent a part of it was
// recycled.
//
// Kernel: since 6.12. A CQE says how much it brought and not where: that is
// behind the one before, so CQEs must come in the order in which the bytes
// were taken. They do since 6.15, and where its fix was brought to older ones; probeIncremental asks.
type share struct {
	used  int // bytes that lie in it
	parts int // completions that lend of it
	over  bool
}

// lendShare takes the next n bytes of buffer bid. kept: the kernel goes on with
// the rest.
func (w *window) lendShare(bid uint16, n int, kept bool) []byte {
	s := &w.shares[bid]
	if invariants.Enabled {
		invariants.Assert(!s.over && s.used+n <= w.size, "uring: the kernel put %d bytes into buffer %d, which holds %d (over: %t)", n, bid, s.used, s.over)
	}
	data := w.buffer(bid)[s.used : s.used+n : s.used+n]
	s.used += n
	if s.parts++; s.parts == 1 {
		w.lent++
	}
	if !kept {
		s.over = true
		w.given--
	}
	return data
}

// giveShareBack ends a loan, and says whether it was the last of a buffer that
// the kernel has let go of.
func (w *window) giveShareBack(bid uint16) bool {
	s := &w.shares[bid]
	if invariants.Enabled {
		invariants.Assert(s.parts > 0, "uring: lease %d recycled twice or never lent", bid+1)
	}
	if s.parts--; s.parts > 0 {
		return false
	}
	if !s.over {
		w.lent--
		return false
	}
	*s = share{}
	return true
}

// probeIncremental asks for what Config.Incremental needs.
func (n *Network) probeIncremental() error {
	const lacks = "incremental buffers (6.12) whose completions come in order (6.15)"
	if !n.kernel.incremental {
		return demand("Incremental", n.config.Incremental, lacks)
	}
	p, err := newProber()
	if err != nil {
		return err
	}
	defer p.close()
	var none *absence
	err = p.on(Params{}, p.tryInOrder)
	if errors.As(err, &none) {
		return demand("Incremental", n.config.Incremental, lacks+": "+none.says)
	}
	if err != nil {
		return fmt.Errorf("io_uring: asking for incremental buffers: %w", err)
	}
	return nil
}

// tryInOrder submits a receive that completes once and one that stays, which
// older kernels answered in the other order.
func (p *prober) tryInOrder(r *Ring) error {
	return p.withBuffers(r, bufRingIncremental, func() error {
		return pair(func(ours, peer int) error {
			if _, err := unix.Write(peer, make([]byte, 8)); err != nil {
				return refusal("write", err)
			}
			const once, stays = 2, 3 // endAll has 1
			q := r.GetSQE()
			q.PrepRecv(int32(ours), 0, 4, 0)
			q.Flags, q.BufGroup, q.UserData = SQEBufferSelect, bufRingProbeGroup, once
			q = r.GetSQE()
			q.PrepRecvMultishot(int32(ours), 0, 0, 0)
			q.Flags, q.BufGroup, q.UserData = SQEBufferSelect, bufRingProbeGroup, stays
			first, err := next(r)
			if err := verdict("recv", first, err); err != nil {
				return err
			}
			second, err := next(r)
			if err := verdict("recv", second, err); err != nil {
				return err
			}
			if first.UserData == stays {
				first, second = second, first
				err = &absence{"recv: completions come in another order than bytes"}
			} else if first.Flags&CQEBufMore == 0 || first.BufferID() != second.BufferID() {
				err = &absence{"recv: the buffer is not shared"}
			}
			return errors.Join(err, endAll(r))
		})
	})
}
