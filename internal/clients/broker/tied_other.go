//go:build !linux

package broker

import "syscall"

// tied has nothing to offer here: a killed test may leave its server behind.
func tied() *syscall.SysProcAttr { return nil }
