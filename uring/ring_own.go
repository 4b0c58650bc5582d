//go:build linux && !(giouring && (amd64 || arm64))

package uring

// ring is what the engines run on: our own Ring. The build tag giouring puts
// another one behind the same few methods (ring_giouring_unsafe.go), as an
// independent witness. An alias, so the seam costs nothing.
type ring = Ring

// ringFlavour is part of Network.Features when it is not our own.
const ringFlavour = ""

// ringFlagsRefused are setup flags that this ring can't work with.
const ringFlagsRefused = 0

func openRing(entries uint32, p *Params) (*ring, error) { return NewRing(entries, p) }
