package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kring"
)

// socketed is a process whose three sockets have files.
func socketed(t *testing.T) (c *child, args, files []string) {
	t.Helper()
	dir := shortDir(t)
	for _, name := range []string{"up", "http", "local"} {
		files = append(files, filepath.Join(dir, name))
	}
	args = []string{"--handler", "null", "--upgrade-socket", files[0], "--http", "unix:" + files[1], "--listen", "LOCAL://unix:" + files[2]}
	return serve(t, args...), args, files
}

// areThere says that no file of a socket was removed.
func areThere(t *testing.T, files []string, after string) {
	t.Helper()
	for _, name := range files {
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("%s: %v", after, err)
		}
	}
}

// TestAProcessThatCantTakeOverLeavesTheFilesOfSockets to the one that goes on.
func TestAProcessThatCantTakeOverLeavesTheFilesOfSockets(t *testing.T) {
	_, args, files := socketed(t)
	taken := listenTCP(t)
	next := start(t, append(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), "--listen", "MORE://"+taken.Addr().String())...)
	<-next.lines()
	if status := next.exit(); status != exitFailure || !strings.Contains(next.stderr.String(), "in use") {
		t.Errorf("status %d, standard error:\n%s", status, next.stderr.String())
	}
	areThere(t, files, "the next process has failed")
	wantStatus(t, "unix:"+files[1], "/healthz", 200)
}

// TestAProcessThatIsStoppedLeavesItsSocketsToTheOneThatHasThem, which serves by them.
func TestAProcessThatIsStoppedLeavesItsSocketsToTheOneThatHasThem(t *testing.T) {
	c, _, files := socketed(t)
	p, err := kring.TakeOver(context.Background(), files[0], "test")
	if err == nil {
		err = p.Take()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("status %d, standard error:\n%s", status, c.stderr.String())
	}
	areThere(t, files, "the process before was stopped")
}
