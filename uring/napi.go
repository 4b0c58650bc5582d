//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// napiBusyPoll has the kernel poll the network card's queue while a locked engine waits.
//
// Kernel: 6.9, and CONFIG_NET_RX_BUSY_POLL.
//
// Cost: a CPU. Off: loopback has no queue to poll.
var napiBusyPoll = technique{
	asked: func(c *Config) bool { return c.NAPIBusyPoll > 0 },
	open: func(e *ringEngine, w engine.Wait) error {
		if w != engine.WaitLocked {
			return nil
		}
		switch err := e.ring.RegisterNAPI(e.config.NAPIBusyPoll); err {
		case nil:
			return nil
		case unix.EINVAL, unix.EOPNOTSUPP:
			return demand("NAPIBusyPoll", e.config.NAPIBusyPoll, "NAPI (6.9, and CONFIG_NET_RX_BUSY_POLL)")
		default:
			return registerError("NAPI", err)
		}
	},
}
