package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// damagedDir is where a data directory keeps what was cut from its files.
	damagedDir = "damaged"
	// damagedBytesMax bounds the copies of all starts together. Whoever has
	// looked at them deletes them.
	damagedBytesMax = 1 << 30
)

// copies keeps what a repair cuts out of a data directory, in a folder for each start. It
// is safe for concurrent use.
type copies struct {
	dir string // the data directory
	now time.Time

	mu   sync.Mutex
	to   string // guarded by mu; relative to dir; empty before the first copy
	left int64  // guarded by mu; bytes that may still be kept
}

func newCopies(dir string, now time.Time) *copies { return &copies{dir: dir, now: now} }

// folder makes the folder of this start.
func (c *copies) folder() error {
	if c.to != "" {
		return nil
	}
	c.left = damagedBytesMax
	err := filepath.WalkDir(filepath.Join(c.dir, damagedDir), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			c.left -= info.Size()
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for n := 1; ; n++ {
		to := filepath.Join(damagedDir, c.now.UTC().Format("20060102T150405Z"))
		if n > 1 {
			to = fmt.Sprintf("%s-%d", to, n)
		}
		if err := os.MkdirAll(filepath.Join(c.dir, damagedDir), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(c.dir, to), 0o755); err == nil {
			c.to = to
			return nil
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// keepRange copies bytes at..to of a file; the name of the copy is relative to
// the data directory, and empty if there is no room for it.
func (c *copies) keepRange(name string, at, to int64) (kept string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.folder(); err != nil {
		return "", err
	}
	if c.left < to-at {
		return "", nil
	}
	from, err := os.Open(filepath.Join(c.dir, name))
	if err != nil {
		return "", err
	}
	defer from.Close()
	kept = filepath.Join(c.to, fmt.Sprintf("%s@%d-%d", name, at, to))
	if err := os.MkdirAll(filepath.Dir(filepath.Join(c.dir, kept)), 0o755); err != nil {
		return "", err
	}
	if err := writeFile(filepath.Join(c.dir, kept), io.NewSectionReader(from, at, to-at)); err != nil {
		return "", err
	}
	c.left -= to - at
	return kept, nil
}

// moveAway moves a file or a folder out of the way.
func (c *copies) moveAway(name string) (kept string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.folder(); err != nil {
		return "", err
	}
	kept = filepath.Join(c.to, name)
	if err := os.MkdirAll(filepath.Dir(filepath.Join(c.dir, kept)), 0o755); err != nil {
		return "", err
	}
	return kept, os.Rename(filepath.Join(c.dir, name), filepath.Join(c.dir, kept))
}

// writeFile writes a file and syncs it.
func writeFile(path string, from io.Reader) error { return writeSynced(path, from, (*os.File).Sync) }

func writeSynced(path string, from io.Reader, synced func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, synced(f), f.Close())
}

// replaceFile gives a file new contents, all or none of them.
func replaceFile(path string, from io.Reader) error {
	return replaceSynced(path, from, (*os.File).Sync)
}

// unsynced is for what can be made again.
func unsynced(*os.File) error { return nil }

func replaceSynced(path string, from io.Reader, synced func(*os.File) error) error {
	if err := writeSynced(path+".tmp", from, synced); err != nil {
		_ = os.Remove(path + ".tmp") // kfake removes it as well
		return err
	}
	return os.Rename(path+".tmp", path)
}
