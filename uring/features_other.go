//go:build !linux

package uring

// Features are none: this system has no io_uring.
func Features() []Feature { return nil }
