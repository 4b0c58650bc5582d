//go:build !linux && !darwin

package embedded

// volumeOf does not know.
func volumeOf(string) (total, usable int64) { return unknownBytes, unknownBytes }
