//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// acceptSingle accepts one connection with each submission.
//
// Kernel: 5.5.
//
// Cost: a submission for each connection. Off: only a multishot accept that is in doubt
// (6.6 to 6.8, under a flood) makes it worth that.
var acceptSingle = technique{
	asked: func(c *Config) bool { return c.Accept == AcceptSingleMode },
	hooks: hooks{prepare: func(_ *ringEngine, q *SQE, fd engine.FD, _ *socket, op engine.Op, _ outgoing) bool {
		if op != engine.OpAccept {
			return false
		}
		q.PrepAccept(int32(fd), unix.SOCK_CLOEXEC)
		return true
	}},
}
