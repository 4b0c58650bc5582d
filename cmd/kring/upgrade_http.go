package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"kring"
	"kring/internal/unixsock"
)

// pausable is a listener that accepts nothing while another process may.
type pausable struct {
	deadlined
	mu     sync.Mutex
	paused chan struct{} // guarded by mu; closed by resume and Close; nil: it is not paused
	closed bool          // guarded by mu
}

// deadlined is Go's listeners of TCP and of Unix domain sockets.
type deadlined interface {
	net.Listener
	SetDeadline(time.Time) error
}

// Accept waits as long as it is paused.
func (l *pausable) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		paused := l.paused
		l.mu.Unlock()
		if paused != nil {
			<-paused
		}
		conn, err := l.deadlined.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
	}
}

func (l *pausable) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == nil && !l.closed {
		l.paused = make(chan struct{})
		_ = l.SetDeadline(time.Unix(1, 0))
	}
}

func (l *pausable) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		_ = l.SetDeadline(time.Time{})
		close(l.paused)
		l.paused = nil
	}
}

// Close has Accept return, paused or not.
func (l *pausable) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	err := l.deadlined.Close()
	if l.paused != nil {
		close(l.paused)
		l.paused = nil
	}
	return err
}

// httpFile is the side door's socket among those that are handed over.
func (d *sideDoor) httpFile() string { return "http " + d.flags.HTTP }

// files are what the next process gets.
func (d *sideDoor) files() map[string]syscall.Conn {
	if d == nil {
		return nil
	}
	return map[string]syscall.Conn{d.httpFile(): d.socket.deadlined.(syscall.Conn)}
}

// inherit opens the side door on the socket of the process before, or on one of its own if
// that served another address.
func (d *sideDoor) inherit(from *kring.Predecessor) error {
	if d == nil {
		return nil
	}
	f := from.File(d.httpFile())
	if f == nil {
		return d.listen()
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("--http %s: the socket of the process before can't be used: %w", d.flags.HTTP, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		d.owned = unixsock.Own(u.Addr().String())
	}
	d.take(l, func() {})
	d.socket.pause() // begin ends it: the process before may accept until then
	return nil
}

// pause accepts nothing, and says that the server is not ready.
func (d *sideDoor) pause() {
	if d != nil {
		d.ready.Store(false)
		d.socket.pause()
	}
}

func (d *sideDoor) resume() {
	if d != nil {
		d.socket.resume()
		d.ready.Store(true)
	}
}

// handedOver leaves the socket, and its file, to another process: who scrapes this one is
// answered, and then has to connect again, to that.
func (d *sideDoor) handedOver() {
	if d != nil {
		d.remove = func() {}
		d.server.SetKeepAlivesEnabled(false)
	}
}
