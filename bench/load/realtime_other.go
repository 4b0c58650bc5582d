//go:build !linux

package load

func goFirst() bool { return false }
