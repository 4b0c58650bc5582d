//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syncGuard decides, fsync by fsync, whether those of a process in the cage "sync"
// fail: the kernel asks (seccomp's user notification, Linux 5.5). So a fault begins
// and ends when a test says so, whatever the descriptors are.
type syncGuard struct {
	failing atomic.Bool
	failed  atomic.Int64 // how many were answered with EIO
}

// cageSocket is the descriptor by which the cage hands over what the kernel asks
// through: the first behind the standard ones.
const cageSocket = 3

// failNowAndThen has fsync fail for some time, and not for some, until ctx ends.
func (g *syncGuard) failNowAndThen(ctx context.Context) {
	for {
		select {
		case <-time.After(rand.N(time.Second)):
			g.failing.Store(!g.failing.Load())
		case <-ctx.Done():
			g.failing.Store(false)
			return
		}
	}
}

// startGuarded starts kring in the cage.
func startGuarded(t *testing.T, args ...string) (c *child, lines <-chan string, g *syncGuard) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c, g = startCaged(t, "sync", args...), new(syncGuard)
	c.cmd.ExtraFiles = []*os.File{theirs}
	lines = c.lines()
	_ = theirs.Close() // the child has its own
	listener, err := received(conn.(*net.UnixConn))
	if err != nil {
		t.Fatalf("%v; standard error:\n%s", err, c.stderr.String())
	}
	go g.answer(listener)
	return c, lines, g
}

// received takes one descriptor from a socket.
func received(conn *net.UnixConn) (fd int, err error) {
	space := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), space)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(space[:n])
	if err != nil || len(messages) == 0 {
		return 0, errors.Join(err, errors.New("the cage did not hand over a descriptor"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

// The kernel's struct seccomp_notif and seccomp_notif_resp (seccomp_unotify(2)).
type (
	syncQuestion struct {
		id         uint64
		pid, flags uint32
		number     int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	syncAnswer struct {
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
)

// answer serves the kernel's questions until the last process of the cage has ended.
func (g *syncGuard) answer(listener int) {
	defer unix.Close(listener)
	for {
		// Where nobody can ask any more RECV would wait for ever (before Linux 6.11).
		polled := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, -1); err == unix.EINTR {
			continue
		} else if err != nil || polled[0].Revents&unix.POLLIN == 0 {
			return
		}
		var q syncQuestion
		if errno := listenerCall(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q)); errno != 0 {
			continue // who asked has ended
		}
		a := syncAnswer{id: q.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if g.failing.Load() {
			g.failed.Add(1)
			a.flags, a.err = 0, -int32(unix.EIO)
		}
		_ = listenerCall(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a)) // who asked may have ended
	}
}

// Sound: the kernel reads or writes the struct during the call.
func listenerCall(listener int, request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), request, uintptr(arg))
	return errno
}

// letSyncBeAsked has the kernel ask whoever has the other end of cageSocket about
// each fsync.
func letSyncBeAsked() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := []unix.SockFilter{loadWord(offNumber), unlessEqual(unix.SYS_FSYNC, 1), answer(unix.SECCOMP_RET_USER_NOTIF), answer(unix.SECCOMP_RET_ALLOW)}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Sound: the program is read during the call.
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	err := unix.Sendmsg(cageSocket, []byte{0}, unix.UnixRights(int(fd)), nil, 0)
	return errors.Join(err, unix.Close(int(fd)), unix.Close(cageSocket))
}
