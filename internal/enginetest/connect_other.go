//go:build !linux

package enginetest

import (
	"errors"

	"kring/engine"
)

const canBeSilent = false

func listenSilent() (PeerListener, error) { return nil, errors.ErrUnsupported }

var exhaustDescriptors func(engine.Network) (func(), error) // nil: nobody knows how

var bindRefusing func() (PeerListener, error)
