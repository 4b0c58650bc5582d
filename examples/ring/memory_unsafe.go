//go:build linux

package main

import "unsafe"

// address is what an SQE says of b. Sound: b is mapped memory, which never
// moves and stays until the program ends; only the kernel uses the number.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
