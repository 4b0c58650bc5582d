//go:build linux

package uring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// connectToNobody is connect(2) to AF_UNSPEC, which ends a TCP connection with
// a reset and empties its queues. x/sys has no address of that family.
func connectToNobody(fd int) error {
	var nobody unix.RawSockaddr // AF_UNSPEC is 0
	// Sound: the kernel reads it during the call only.
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&nobody)), unsafe.Sizeof(nobody))
	if errno != 0 {
		return errno
	}
	return nil
}
