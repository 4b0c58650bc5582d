//go:build !linux

package uring

import (
	"errors"

	"kring/engine"
)

// Network exists on this system so that programs compile; New never returns
// one.
type Network struct{ engine.Network }

// New says that this system has no io_uring.
func New(Config) (*Network, error) {
	return nil, errors.New("uring: io_uring needs Linux: use the portable engine here")
}

// KernelThreads are none.
func KernelThreads() int { return 0 }
