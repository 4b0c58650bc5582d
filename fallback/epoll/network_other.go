//go:build !linux

package epoll

import (
	"errors"

	"kring/engine"
)

// Network can't be had on this system.
type Network struct{ engine.Network }

// New says that epoll is a thing of Linux.
func New(Config) (*Network, error) {
	return nil, errors.New("epoll: this system is not Linux: use the portable engine")
}
