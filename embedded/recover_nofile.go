package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// clearNoFiles moves away what is in the place of a file and is none.
func (m *recovery) clearNoFiles() error {
	names := []string{manifestName, txnLogName, startsName, "session_state.json", "seq_windows.json"}
	for _, f := range stateFiles() {
		names = append(names, f.name)
	}
	var faults []error
	for _, name := range names {
		_, err := m.noFile(name)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// noFile moves away a folder or a link that leads nowhere, if it is accepted that
// the file is lost.
func (m *recovery) noFile(name string) (bool, error) {
	path := filepath.Join(m.dir, name)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := m.missing(name, "is no file: a folder, or a link that leads nowhere"); err != nil {
		return false, err
	}
	_, err = m.copies.moveAway(name)
	return true, err
}

// noFile is that of the recovery for a segment. An index that is no file is moved
// away without a word: it is made anew.
func (p *partition) noFile(name, ext string) (bool, error) {
	if name = filepath.Join(p.name, name); ext != ".idx" {
		return p.m.noFile(name)
	}
	if info, err := os.Stat(filepath.Join(p.m.dir, name)); err == nil && info.Mode().IsRegular() {
		return false, nil
	}
	_, err := p.m.copies.moveAway(name)
	return true, err
}
