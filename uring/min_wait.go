//go:build linux

package uring

import "kring/engine"

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
