//go:build !linux

package unixsock

import (
	"io/fs"
	"net"
)

// Listen is Bind for a listener of Go's net, which binds and listens in one step: the file gets
// its mode a moment after it exists. Closing the listener leaves the file to remove, because
// another process may have the socket, or the path, by then.
func Listen(path string, mode fs.FileMode) (l *net.UnixListener, remove func(), err error) {
	remove, err = Bind(path, mode, func() (err error) {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path}); err == nil {
			l.SetUnlinkOnClose(false)
		}
		return err
	}, nil)
	if err != nil {
		if l != nil {
			_ = l.Close()
		}
		return nil, nil, err
	}
	return l, remove, nil
}
