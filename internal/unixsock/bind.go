package unixsock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// ModeDefault lets the owner and the group connect.
	ModeDefault fs.FileMode = 0o660
	// PathBytesMax is what the smallest sun_path takes (unix(7): 108 with its
	// end; elsewhere 104).
	PathBytesMax = 103

	askPatience = time.Second
)

// Bind binds a socket to path. bind creates it there. listen, nil if bind does both,
// opens it to clients after it got its mode (0: ModeDefault). A socket that nobody
// listens on any more is replaced. remove removes the file, unless another file has its
// place by now. Call remove while the socket is open: then the file's inode number can't
// be used again.
func Bind(path string, mode fs.FileMode, bind, listen func() error) (remove func(), err error) {
	switch {
	case path == "" || path == "@":
		return nil, errors.New("it has no path: write it as unix:PATH, such as unix:/run/kring.sock")
	case len(path) > PathBytesMax:
		return nil, fmt.Errorf("the path has %d bytes: at most %d are possible", len(path), PathBytesMax)
	case path[0] == '@':
		return func() {}, both(bind, listen)
	}
	unlock := lock(filepath.Dir(path))
	defer unlock()
	if err := makeRoom(path); err != nil {
		return nil, err
	}
	if err := bind(); err != nil {
		return nil, err
	}
	if mode == 0 {
		mode = ModeDefault
	}
	err = os.Chmod(path, mode.Perm())
	if err == nil {
		err = both(listen, nil)
	}
	ours, statErr := os.Lstat(path)
	if err = errors.Join(err, statErr); err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	return func() { removeOurs(path, ours) }, nil
}

// Own returns what Bind returned, for a socket that another process bound to path and that
// is this one's by now.
func Own(path string) (remove func()) {
	ours, err := os.Lstat(path)
	if err != nil || path[0] == '@' {
		return func() {}
	}
	return func() { removeOurs(path, ours) }
}

func both(first, second func() error) error {
	for _, f := range []func() error{first, second} {
		if f != nil {
			if err := f(); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeRoom removes a socket that nobody listens on, and nothing else.
func makeRoom(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is no socket: remove it, or choose another path")
	}
	peer, err := net.DialTimeout("unix", path, askPatience)
	switch {
	case err == nil:
		_ = peer.Close()
		return fmt.Errorf("another process listens there: stop it, or choose another path (%w)", syscall.EADDRINUSE)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("there is a socket, and nobody can say whether another process listens on it: remove it if none does (%w)", err)
	}
	return os.Remove(path)
}

// removeOurs removes the file, unless another one has its place.
func removeOurs(path string, ours fs.FileInfo) {
	unlock := lock(filepath.Dir(path))
	defer unlock()
	if now, err := os.Lstat(path); err == nil && os.SameFile(now, ours) {
		_ = os.Remove(path) // whoever starts next finds it dead
	}
}
