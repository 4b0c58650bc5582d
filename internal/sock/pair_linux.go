package sock

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// Pair makes a connection within the process: see engine.Pairer. (socketpair(2))
func Pair() (engine.FD, net.Conn, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, fmt.Errorf("socketpair: %w", err)
	}
	file := os.NewFile(uintptr(ends[1]), "in-process")
	client, err := net.FileConn(file) // of a duplicate
	_ = file.Close()
	if err != nil {
		_ = unix.Close(ends[0])
		return 0, nil, fmt.Errorf("socketpair: %w", err)
	}
	return engine.FD(ends[0]), client, nil
}
