//go:build linux

package uring

import (
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
)

// TestAConnectOutlivesTheThreadThatSubmittedIt: the kernel may fail the operation of a
// thread that is gone when there is something to do for it, while the connect goes on.
func TestAConnectOutlivesTheThreadThatSubmittedIt(t *testing.T) {
	listens, at, fill := fullListener(t)
	n := newTestNetwork(t, Config{})
	r, e := enginetest.NewRig(t, n, engine.WaitParked)
	fd, err := n.Socket(at, engine.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token := engine.MakeToken(3, 4)
	over := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks it, so it ends with its goroutine
		e.Connect(fd, token, at)
		_, err := e.Poll(make([]engine.Completion, 1), 0)
		over <- err
	}()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	r.Silent()
	accepted, _, err := unix.Accept(listens) // now there is room, and the kernel asks again
	if err != nil {
		t.Fatal(err)
	}
	_, _ = unix.Close(accepted), unix.Close(fill)
	r.Want(r.Await(token, engine.OpConnect), 0, false)
	e.CloseFD(fd, token)
	r.Want(r.Await(token, engine.OpClose), 0, false)
}

// fullListener listens with a queue that is full: it answers nobody until somebody is
// accepted.
func fullListener(t *testing.T) (fd int, at netip.AddrPort, filled int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	loopback := [4]byte{127, 0, 0, 1}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := bound.(*unix.SockaddrInet4).Port
	if filled, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(filled, bound); err != nil {
		t.Fatal(err)
	}
	for { // Kernel: of a listener, what is queued
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		if info.Unacked > 0 {
			return fd, netip.AddrPortFrom(netip.AddrFrom4(loopback), uint16(port)), filled
		}
	}
}
