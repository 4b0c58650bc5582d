//go:build unix

package embedded

import "syscall"

// filesMaxDefault leaves half of the process's descriptors to connections.
func filesMaxDefault() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return filesMaxUnknown
	}
	return int(min(uint64(limit.Cur), 1<<20) / 2)
}
