package broker

import "syscall"

// tied makes the server end with the test's process, also when that is killed.
//
// Kernel: PR_SET_PDEATHSIG, man 2 prctl; it follows the thread that forked,
// which Go ends only for a goroutine that exits while locked to it.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
