//go:build linux

package epoll

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// rawBytesMax is how much a call may copy without telling the Go scheduler that this
// thread is in the kernel: about 30 µs. Calls that copy more tell it.
const rawBytesMax = 128 << 10

// Every pointer in this file goes to a call that has returned before the
// function does: the kernel keeps none of them, and the conversion in the
// argument list keeps the memory alive until then.

// epollPeek takes the events that are there.
func epollPeek(fd int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// epollSleep waits for events; wait < 0: no limit. Without precise it rounds up
// to milliseconds.
func epollSleep(fd int, events []unix.EpollEvent, wait time.Duration, precise bool) (int, unix.Errno) {
	at := unsafe.Pointer(unsafe.SliceData(events))
	if !precise {
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(at), uintptr(len(events)),
			uintptr(milliseconds(wait)), 0, 0)
		return int(n), errno
	}
	if wait < 0 {
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fd), uintptr(at), uintptr(len(events)), 0, 0, 0)
		return int(n), errno
	}
	ts := timespec(wait)
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fd), uintptr(at), uintptr(len(events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	return int(n), errno
}

// receive reads what is there, without waiting.
func receive(fd engine.FD, b []byte) (int, unix.Errno) {
	at := unsafe.Pointer(unsafe.SliceData(b))
	var n uintptr
	var errno unix.Errno
	if len(b) <= rawBytesMax {
		n, _, errno = unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(at), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(at), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	}
	return int(n), errno
}

// transmit sends b.
func transmit(fd engine.FD, b []byte) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	at := unsafe.Pointer(unsafe.SliceData(b))
	var n uintptr
	var errno unix.Errno
	if len(b) <= rawBytesMax {
		n, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(at), uintptr(len(b)), flags, 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(at), uintptr(len(b)), flags, 0, 0)
	}
	return int(n), errno
}

// iovecs is the argument of a vectored send. Owner: the engine, so that no
// send allocates.
type iovecs struct {
	header unix.Msghdr
	parts  [iovecMax]unix.Iovec
}

// set sets part i to b.
func (g *iovecs) set(i int, b []byte) {
	g.parts[i].Base = unsafe.SliceData(b)
	g.parts[i].SetLen(len(b))
}

// transmit sends the first count parts, size bytes in all.
func (g *iovecs) transmit(fd engine.FD, count, size int) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	g.header.Iov = &g.parts[0]
	g.header.SetIovlen(count)
	at := unsafe.Pointer(&g.header)
	var n uintptr
	var errno unix.Errno
	if size <= rawBytesMax {
		n, _, errno = unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(at), flags)
	} else {
		n, _, errno = unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(at), flags)
	}
	return int(n), errno
}

// accept takes a connection from a listening socket in non-blocking mode. Its
// own mode is blocking.
func accept(fd engine.FD) (engine.FD, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	return engine.FD(n), errno
}

// milliseconds rounds up, so that a short wait does not become busy polling.
func milliseconds(wait time.Duration) int32 {
	if wait < 0 {
		return -1
	}
	return int32(min((wait+time.Millisecond-1)/time.Millisecond, 1<<31-1))
}
