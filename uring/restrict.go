//go:build linux

package uring

import "kring/engine"

// restrict lets a ring run only the operations that its engine uses, for good: whoever
// takes over the process can't use it for more.
//
// Kernel: 5.10.
//
// Cost: the look at a bitmap for each operation. Off: it keeps nobody from setting up
// another ring, which only a seccomp filter does.
var restrict = technique{
	asked: func(c *Config) bool { return c.Restrict },
	setup: func(_ *Network, p *Params) { p.Flags |= SetupRDisabled },
	open: func(e *ringEngine, _ engine.Wait) error {
		var more []uint8
		for _, operations := range e.use.operations {
			more = append(more, operations(&e.config, e.can)...)
		}
		if err := e.ring.registerRestrictions(allowances(more...)); err != nil {
			return registerError("RESTRICTIONS", err)
		}
		if err := e.ring.EnableRings(); err != nil {
			return registerError("ENABLE_RINGS", err)
		}
		return nil
	},
}

// allowances are all that an engine's ring does once it runs, and more.
func allowances(more ...uint8) []restriction {
	allowed := []restriction{
		{Opcode: restrictionSQEFlagsAllowed, SQEOp: SQEBufferSelect | SQECQESkipSuccess | SQEFixedFile | SQEAsync},
		{Opcode: restrictionRegisterOp, SQEOp: unregisterRingFDs},
	}
	for _, o := range append(more, OpcodeAccept, OpcodeRecv, OpcodeSend, OpcodeSendMsg, OpcodeAsyncCancel, OpcodeClose,
		OpcodeConnect, OpcodeRead, OpcodePollAdd, OpcodeTimeout, OpcodeTimeoutRemove) {
		allowed = append(allowed, restriction{Opcode: restrictionSQEOp, SQEOp: o})
	}
	return allowed
}
