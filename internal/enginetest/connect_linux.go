package enginetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"kring/engine"
)

// canBeSilent says that listenSilent works here.
const canBeSilent = true

// listenSilent makes a listener that never answers. Kernel: one whose queue of connections is
// full drops what asks for another, and the peer asks again, for minutes. A queue of 0 has
// room for one.
func listenSilent() (PeerListener, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "silent")
	defer file.Close()
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		return nil, err
	}
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	filled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &tcpListener{Listener: l, filled: filled}
	if err := awaitQueued(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// awaitQueued waits until a connection is in the queue of a listener.
func awaitQueued(l *tcpListener) error {
	local := fmt.Sprintf(" 0100007F:%04X 00000000:0000 0A 00000000:00000001 ", l.AddrPort().Port())
	for end := time.Now().Add(patience); time.Now().Before(end); {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			return err
		}
		if strings.Contains(string(table), local) {
			return nil
		}
	}
	return fmt.Errorf("the queue of %v has no connection", l.Addr())
}

// exhaustDescriptors has the process be out of descriptors.
func exhaustDescriptors(engine.Network) (restore func(), err error) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		return nil, err
	}
	free, err := syscall.Dup(0) // the lowest number that is free
	if err != nil {
		return nil, err
	}
	_ = syscall.Close(free)
	now := before
	now.Cur = uint64(free)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return nil, err
	}
	return func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }, nil
}

// bindRefusing binds an address, and nobody listens there. Kernel: it refuses connections, and
// nobody else gets it.
var bindRefusing = func() (PeerListener, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b := &bound{fd: fd}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	in := at.(*syscall.SockaddrInet4)
	b.at = netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
	return b, nil
}

// bound is a socket that has an address and does not listen.
type bound struct {
	fd int
	at netip.AddrPort
}

func (b *bound) AddrPort() netip.AddrPort { return b.at }
func (b *bound) Accept() (Peer, error)    { return nil, errors.ErrUnsupported }
func (b *bound) Close() error             { return syscall.Close(b.fd) }
