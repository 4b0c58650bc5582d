//go:build linux || darwin

package embedded

import "syscall"

// volumeOf asks the kernel (statfs(2)) how many bytes the volume of dir has, and
// how many of them may still be used.
func volumeOf(dir string) (total, usable int64) {
	var st syscall.Statfs_t
	if dir == "" || syscall.Statfs(dir, &st) != nil {
		return unknownBytes, unknownBytes
	}
	block := int64(st.Bsize)
	return int64(st.Blocks) * block, int64(st.Bavail) * block
}
