//go:build !linux

package main

// unfit says why a descriptor is no socket to be served on; there is no systemd here.
func unfit(int) string { return "can't be taken: there is no systemd on this system" }

func monotonicMicros() (int64, bool) { return 0, false }
