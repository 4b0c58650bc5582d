//go:build !linux

package load

import "net"

// link is the part of a connection that is Go's net's.
const nativeThreads = false

type link struct {
	net.Conn
	kick chan struct{}
}

func newNativeThread(tm *timing, x *core, number int) (thread, error) {
	return newPortableThread(tm, x, number), nil
}
