//go:build !linux

package epoll

import (
	"errors"

	"kring/engine"
)

// Network does not exist on this system.
type Network struct{ engine.Network }

// New fails: epoll exists only on Linux.
func New(Config) (*Network, error) {
	return nil, errors.New("epoll: this system is not Linux: use the portable engine")
}
