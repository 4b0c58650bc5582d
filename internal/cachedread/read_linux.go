package cachedread

import (
	"os"

	"golang.org/x/sys/unix"
)

// At reads what of a file is in the page cache, which may be less than fits into buf.
// false: nothing is, or the file system can't tell without waiting for its disk.
//
// Source: preadv2(2), RWF_NOWAIT, Linux 4.14.
func At(file *os.File, buf []byte, offset int64) (n int, cached bool) {
	conn, err := file.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = conn.Control(func(fd uintptr) {
		var failed error
		n, failed = unix.Preadv2(int(fd), [][]byte{buf}, offset, unix.RWF_NOWAIT)
		cached = failed == nil
	})
	return n, cached && err == nil
}
