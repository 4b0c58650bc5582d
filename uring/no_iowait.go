//go:build linux

package uring

import "kring/engine"

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
