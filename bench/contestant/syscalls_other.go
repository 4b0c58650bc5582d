//go:build !linux

package contestant

// SyscallCounter does not exist here.
type SyscallCounter struct{}

// NewSyscallCounter says that there is none.
func NewSyscallCounter(pid int) (*SyscallCounter, error) {
	return nil, &Absent{"system calls are counted on Linux only", "run it there"}
}

// Enable does nothing.
func (*SyscallCounter) Enable() error { return nil }

// Disable does nothing.
func (*SyscallCounter) Disable() error { return nil }

// Count is nothing.
func (*SyscallCounter) Count() (uint64, error) { return 0, nil }

// Close does nothing.
func (*SyscallCounter) Close() {}
