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

// pollFirst has all receives wait for data before they look, or none, whatever the engine
// knows of their sockets.
//
// Kernel: 5.19.
//
// Cost: Off takes a buffer for each look that finds nothing. Auto is what the engine
// knows: nothing in bench is better with one of the others.
var pollFirst = technique{
	asked: func(c *Config) bool { return c.PollFirst != Auto },
	hooks: hooks{prepared: func(e *ringEngine, q *SQE, _ engine.FD) {
		switch {
		case q.Opcode != OpcodeRecv:
		case e.config.PollFirst == On:
			q.IOPrio |= RecvSendPollFirst
		default:
			q.IOPrio &^= RecvSendPollFirst
		}
	}},
}
