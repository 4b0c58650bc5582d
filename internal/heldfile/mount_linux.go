package heldfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Size of every file, in bytes. They hold zeros.
const Size = 8 << 20

// Disk is a mounted file system. Its methods may be called by any goroutine.
type Disk struct {
	t       testing.TB
	dir     string
	release io.WriteCloser
	held    atomic.Int64
}

// Mount makes a file system for the length of the test; nil if this process may not
// mount one.
func Mount(t testing.TB) *Disk {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	kernel := os.NewFile(uintptr(fd), "/dev/fuse")
	defer kernel.Close() // the server has it
	d := &Disk{t: t, dir: t.TempDir()}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,max_read=%d", fd, os.Getuid(), os.Getgid(), readBytesMax)
	err = unix.Mount("kring", d.dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENODEV) { // EACCES: a security module
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	d.serve(kernel)
	return d
}

// serve starts the process that answers the kernel.
func (d *Disk) serve(kernel *os.File) {
	server := exec.Command("/proc/self/exe")
	server.Env = append(os.Environ(), asServer+"=1")
	server.ExtraFiles = []*os.File{kernel}
	server.Stderr = os.Stderr
	release, err := server.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	held, err := server.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.release = release
	counted := make(chan struct{})
	go func() { // a byte for each
		defer close(counted)
		for b := make([]byte, 64); ; {
			n, err := held.Read(b)
			d.held.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	d.t.Cleanup(func() {
		_ = unix.Unmount(d.dir, unix.MNT_DETACH)
		_ = release.Close() // the server ends
		<-counted
		if err := server.Wait(); err != nil {
			d.t.Error(err)
		}
	})
}

// Cold opens a file whose reads are held until Release.
func (d *Disk) Cold() *os.File { return d.open(cold) }

// Warm opens a file whose reads are answered at once.
func (d *Disk) Warm() *os.File { return d.open(warm) }

func (d *Disk) open(name string) *os.File {
	d.t.Helper()
	// Not os.Open: that asks whether the file can be polled, with Go's poller locked.
	fd, err := unix.Open(filepath.Join(d.dir, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	d.t.Cleanup(func() { _ = f.Close() })
	return f
}

// Held is how many reads have been held so far: a thread waits for each, until
// Release.
func (d *Disk) Held() int { return int(d.held.Load()) }

// Release answers the held reads; later ones are not held.
func (d *Disk) Release() {
	if _, err := d.release.Write([]byte{1}); err != nil {
		d.t.Error(err)
	}
}
