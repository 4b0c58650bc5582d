//go:build !linux

package embedded

// dataDir is kfake's way to the data directory. Here it can't be cut: after a
// failed write nothing is written until the process was started anew.
type dataDir struct{ path string }

func openDataDir(name string) (dataDir, error) { return dataDir{path: name}, nil }

func (d dataDir) cut() bool                   { return d.path == "" }
func (d dataDir) close()                      {}
func (d dataDir) named(message string) string { return message }
