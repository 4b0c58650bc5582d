package main

import (
	"bytes"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// readHidden reads a line from a terminal that shows nothing meanwhile. An interrupt ends the
// process, with the terminal as it was.
func readHidden(f *os.File) ([]byte, error) {
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hide := *was
	hide.Lflag = hide.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	restore := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) } // it took the same before
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, unix.SIGTERM)
	over := make(chan struct{})
	defer func() { signal.Stop(stop); close(over); restore() }()
	go func() {
		select {
		case <-stop:
			restore()
			os.Exit(exitFailure)
		case <-over:
		}
	}()
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hide); err != nil {
		return nil, err
	}
	line := make([]byte, 0, 4096) // as long as a terminal's line can be
	n, err := f.Read(line[:cap(line)])
	return bytes.TrimRight(line[:n], "\r\n"), err
}
