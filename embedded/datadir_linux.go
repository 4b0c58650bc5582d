package embedded

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// dataDir is kfake's way to the data directory, by a descriptor. It can be cut,
// so that a kfake whose memory no longer says what is on disk can't save it.
type dataDir struct {
	path   string // empty: none
	name   string // as the operator wrote it
	handle *os.File
}

func openDataDir(name string) (dataDir, error) {
	if name == "" {
		return dataDir{}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return dataDir{}, err
	}
	d := dataDir{path: fmt.Sprintf("/proc/self/fd/%d", f.Fd()), name: name, handle: f}
	if info, err := os.Stat(d.path); err != nil || !info.IsDir() {
		_ = f.Close()                               // only read
		return dataDir{path: name, name: name}, nil // no /proc here
	}
	return d, nil
}

// cut makes every path of d lead nowhere (ENOTDIR). False: it can't be.
func (d dataDir) cut() bool {
	if d.handle == nil {
		return d.path == ""
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return false
	}
	defer null.Close()
	return syscall.Dup3(int(null.Fd()), int(d.handle.Fd()), syscall.O_CLOEXEC) == nil
}

func (d dataDir) close() {
	if d.handle != nil {
		_ = d.handle.Close() // only read
	}
}

// named puts the directory's own name into a message of kfake's.
func (d dataDir) named(message string) string {
	if d.handle == nil {
		return message
	}
	return strings.ReplaceAll(message, d.path, d.name)
}
