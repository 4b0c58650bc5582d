//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// noIOWait keeps a sleeping engine from being counted as waiting for I/O, which makes an
// idle machine look busy.
//
// Kernel: 6.15.
//
// Cost: none. On where the kernel has it.
var noIOWait = technique{
	asked: func(c *Config) bool { return c.NoIOWait != Off },
	open: func(e *ringEngine, _ engine.Wait) error {
		if e.config.NoIOWait == On && e.ring.Params().Features&FeatureNoIOWait == 0 {
			return demand("NoIOWait", e.config.NoIOWait, "NO_IOWAIT (6.15)")
		}
		return nil
	},
}

// minWait makes a sleeping engine gather completions.
//
// Kernel: 6.12.
//
// Cost: up to MinWait of latency for a quiet connection. Off: it is worth its price only
// under a load that never lets the engine sleep.
var minWait = technique{
	asked: func(c *Config) bool { return c.MinWait > 0 },
	open: func(e *ringEngine, w engine.Wait) error {
		e.sendsLater, e.quietWaits = true, false
		if w != engine.WaitLocked {
			return nil
		}
		if e.ring.Params().Features&featureMinTimeout == 0 {
			return demand("MinWait", e.config.MinWait, "MIN_TIMEOUT (6.12)")
		}
		e.ring.SetMinWait(uint32(e.config.MinWaitCompletions), e.config.MinWait)
		return nil
	},
}

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
