package embedded

import (
	"os"
	"path/filepath"
	"strings"
)

// filesHeld is how many descriptors of this process are files below dir, and how
// many of them are older segments: those are open without their index. It is 0
// where there is no /proc.
func filesHeld(dir string) (all, older int) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return 0, 0
	}
	const of = "/proc/self/fd"
	entries, _ := os.ReadDir(of) // none: nobody knows
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(of, e.Name()))
		if err != nil || !strings.HasPrefix(to, dir+"/") {
			continue
		}
		all++
		switch filepath.Ext(to) {
		case ".dat":
			older++
		case ".idx":
			older--
		}
	}
	return all, older
}
