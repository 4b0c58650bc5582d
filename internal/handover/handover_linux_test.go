package handover

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair is two ends of a handover, at a path.
func pair(t *testing.T) (predecessor, successor *Conn, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "u")
	l, _, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if successor, err = Dial(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	if predecessor, err = Accept(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = predecessor.Close(), successor.Close() })
	return predecessor, successor, path
}

// pipe is one whose writing end is the descriptor alone.
func pipe(t *testing.T) (r *os.File, fd int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	defer w.Close()
	if fd, err = Duplicate(w); err != nil {
		t.Fatal(err)
	}
	return r, fd
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func TestAMessageArrivesWithItsDescriptors(t *testing.T) {
	a, b, _ := pair(t)
	r, fd := pipe(t)
	long := strings.Repeat("x", MessageBytesMax/2) // more than a socket's buffer
	sent := make(chan error, 1)
	go func() { sent <- a.Send(&Message{Kind: Sockets, Text: long}, fd) }()
	m, err := b.Receive(soon())
	if err != nil || <-sent != nil || m.Kind != Sockets || m.Text != long || len(m.FDs) != 1 {
		t.Fatalf("%v", err)
	}
	CloseAll([]int{fd})
	if _, err := syscall.Write(m.FDs[0], []byte("y")); err != nil {
		t.Fatal(err)
	}
	CloseAll(m.FDs)
	if got, err := io.ReadAll(r); err != nil || string(got) != "y" {
		t.Errorf("%q, %v", got, err)
	}
	if a.PID() != os.Getpid() || b.PID() != os.Getpid() {
		t.Errorf("processes %d and %d", a.PID(), b.PID())
	}
}

// Whoever reads another message has no use for descriptors, and would keep them for ever.
func TestDescriptorsThatNobodyAskedForAreClosed(t *testing.T) {
	for _, kind := range []Kind{Hello, Take, Ready, Began, Noted, Failed, "else"} {
		a, b, _ := pair(t)
		r, fd := pipe(t)
		if err := b.Send(&Message{Kind: kind}, fd); err != nil {
			t.Fatal(err)
		}
		CloseAll([]int{fd})
		if m, err := a.Receive(soon()); err == nil {
			t.Errorf("%q was taken with %d descriptors", kind, len(m.FDs))
			CloseAll(m.FDs)
			continue
		}
		_ = r.SetReadDeadline(soon())
		if _, err := io.ReadAll(r); err != nil { // it ends when no descriptor of w is left
			t.Errorf("%q: a descriptor is still open: %v", kind, err)
		}
	}
}

func TestWhatIsNoMessageOrTooLongIsRefused(t *testing.T) {
	for name, raw := range map[string][]byte{
		"no message of kring": []byte("GET / HTTP/1.1\r\n\r\n"),
		"was announced":       binary.BigEndian.AppendUint32(magic[:], MessageBytesMax+1),
		"can't be read":       append(binary.BigEndian.AppendUint32(magic[:], 3), "xyz"...),
	} {
		a, b, _ := pair(t)
		if _, err := a.conn.Write(raw); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Receive(soon()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, b, _ := pair(t)
	if err := a.Send(&Message{Kind: Offer, Text: strings.Repeat("x", MessageBytesMax)}); err == nil {
		t.Error("a message over the bound was sent")
	}
	if err := a.Send(&Message{Kind: Failed, Text: "no"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(soon()); !errors.As(err, new(PeerError)) {
		t.Errorf("%v", err)
	}
	_ = a.Close()
	if _, err := b.Receive(soon()); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

func TestASocketThatOthersMayUseIsRefused(t *testing.T) {
	_, _, path := pair(t)
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if _, err := Dial(context.Background(), path); !NobodyListens(err) {
		t.Errorf("nobody listens: %v", err)
	}
	if _, err := Dial(context.Background(), path+"x"); !NobodyListens(err) {
		t.Errorf("no file: %v", err)
	}
	l, _, err := Listen(path) // a dead one is replaced
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(context.Background(), path); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("mode 0660: %v", err)
	}
	file := path + ".txt"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(context.Background(), file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	if os.Geteuid() != 0 {
		return // to make it another user's takes root
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, 12345, -1)); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(context.Background(), path); err == nil || !strings.Contains(err.Error(), "user 12345") {
		t.Errorf("another user's: %v", err)
	}
	if _, err := net.Dial("unix", path); err != nil { // it is alive
		t.Error(err)
	}
}
