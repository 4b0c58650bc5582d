//go:build !unix || solaris || aix

package embedded

import (
	"os"
	"path/filepath"
	"time"
)

// lockDir marks the directory; this system has no lock that ends with its
// process, so two processes are not kept apart here.
func lockDir(dir string, _ time.Duration) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, ".kring.lock"), os.O_CREATE|os.O_RDWR, 0o644)
}
