//go:build linux || darwin

package embedded

import "syscall"

// spaceOf asks the kernel (statfs(2)); it costs about a microsecond.
func spaceOf(dir string) (space, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return space{}, err
	}
	block := int64(st.Bsize)
	return space{
		free: int64(st.Bavail) * block, total: int64(st.Blocks) * block,
		inodes: int64(st.Ffree), inodesTotal: int64(st.Files),
	}, nil
}
