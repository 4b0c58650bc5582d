package sock

import (
	"fmt"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// Share returns another descriptor of a socket, close-on-exec and the caller's to close.
func Share(fd engine.FD) (int, error) {
	shared, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("fcntl(F_DUPFD_CLOEXEC): %w", err)
	}
	return shared, nil
}

// SetNonblock sets the mode of a socket, for all who share it.
func SetNonblock(fd engine.FD, on bool) error {
	if err := unix.SetNonblock(int(fd), on); err != nil {
		return fmt.Errorf("fcntl(F_SETFL): %w", err)
	}
	return nil
}
