//go:build !linux

package contestant

import "os/exec"

// StartPinned starts cmd; this system has no pinning that we use.
func StartPinned(cmd *exec.Cmd, cpus []int) error { return cmd.Start() }

// CPUs is empty: nothing is pinned here.
func CPUs() []int { return nil }

// Siblings is unknown here.
func Siblings(a, b int) bool { return false }

// OpenFilesMax knows nothing here.
func OpenFilesMax() int { return 0 }
