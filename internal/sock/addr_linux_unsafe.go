//go:build linux

package sock

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// askAddr is getsockname(2) or getpeername(2).
func askAddr(call uintptr, fd engine.FD, raw *rawAddr) unix.Errno {
	size := uint32(len(raw))
	_, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(raw)), uintptr(unsafe.Pointer(&size)))
	return errno
}
