//go:build linux

package load

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below that cannot sleep bypass the Go scheduler's book-keeping,
// which costs as much as some of the calls; the one that sleeps does not.
//
// Each pointer is made in the call's own argument list, so the memory behind it
// stays alive and in place for the call; the kernel keeps none of them.

// recvNow receives what is there, into b or, not kept, nowhere.
//
// Kernel: TCP counts what MSG_TRUNC takes, up to the length of b, and copies none of
// it (tcp(7)).
func recvNow(fd int, b []byte, keep bool) (int, unix.Errno) {
	flags := uintptr(unix.MSG_DONTWAIT)
	if !keep {
		flags |= unix.MSG_TRUNC
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	return int(n), errno
}

// sendNow sends what there is room for.
func sendNow(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// epollPeek takes what is ready.
func epollPeek(epoll int, ready []unix.EpollEvent) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll),
		uintptr(unsafe.Pointer(unsafe.SliceData(ready))), uintptr(len(ready)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// epollSleep waits up to d for something to be ready. Kernel: epoll_pwait2
// since 5.11; before, the wait is rounded down to milliseconds, and the last
// one is spun.
func epollSleep(epoll int, ready []unix.EpollEvent, d time.Duration) int {
	ts := unix.NsecToTimespec(int64(d))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll),
		uintptr(unsafe.Pointer(unsafe.SliceData(ready))), uintptr(len(ready)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno == unix.ENOSYS {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll),
			uintptr(unsafe.Pointer(unsafe.SliceData(ready))), uintptr(len(ready)), uintptr(d.Milliseconds()), 0, 0)
	}
	if errno != 0 {
		return 0
	}
	return int(n)
}
