//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// registeredRing calls the kernel with an index of the ring's descriptor that is the
// thread's own, which saves the look-up and its reference count.
//
// Kernel: 5.18.
//
// Cost: one of the 16 indices of a thread. Off: no gain was measured with few threads.
var registeredRing = technique{
	asked: func(c *Config) bool { return c.RegisteredRing },
	open: func(e *ringEngine, w engine.Wait) error {
		if w != engine.WaitLocked {
			return nil
		}
		switch err := e.ring.RegisterRingFD(); err {
		case nil:
			return nil
		case unix.EINVAL, unix.EOPNOTSUPP:
			return demand("RegisteredRing", e.config.RegisteredRing, "RING_FDS (5.18)")
		default:
			return registerError("RING_FDS", err)
		}
	},
}
