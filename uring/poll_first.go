//go:build linux

package uring

import "kring/engine"

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
