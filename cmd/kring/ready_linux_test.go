package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// denyingOnly answers one of io_uring's system calls with errno and allows the rest.
func denyingOnly(nr uint32, errno unix.Errno) []unix.SockFilter {
	return []unix.SockFilter{loadWord(offNumber), unlessEqual(nr, 1),
		answer(unix.SECCOMP_RET_ERRNO | uint32(errno)), answer(unix.SECCOMP_RET_ALLOW)}
}

// TestTheReadyLineIsOneLineWhicheverSystemCallIsRefused: what stood in the way of
// io_uring may be several errors.
func TestTheReadyLineIsOneLineWhicheverSystemCallIsRefused(t *testing.T) {
	for name, nr := range map[string]uint32{
		"setup": unix.SYS_IO_URING_SETUP, "enter": unix.SYS_IO_URING_ENTER, "register": unix.SYS_IO_URING_REGISTER,
	} {
		for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS, unix.ENOMEM} {
			cage := filterCage(t, denyingOnly(nr, errno))
			c := startCaged(t, cage, "serve", "--listen", "127.0.0.1:0", "--handler", "null")
			line := <-c.lines()
			m := readyForm.FindStringSubmatch(line)
			if m == nil || !strings.HasPrefix(m[3], "epoll (") {
				t.Fatalf("%s denied: ready line %q; standard error:\n%s", name, line, c.stderr.String())
			}
			t.Log(line)
			ask(t, dial(t, m[1]), kmsg.NewPtrApiVersionsRequest())
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK { // which fails on a second line
				t.Errorf("%s denied: exit status %d, want 0", name, status)
			}
			text, _ := doctorCaged(t, cage)
			if lines := strings.Split(text, "\n"); !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "auto       epoll, ") }) {
				t.Errorf("%s denied: the doctor's text has no line for auto:\n%s", name, text)
			}
		}
	}
}

// TestTheReadyLineIsOneLineWhateverTheAddressIsCalled.
func TestTheReadyLineIsOneLineWhateverTheAddressIsCalled(t *testing.T) {
	c := start(t, "serve", "--listen", "unix:@kring\ntest "+t.Name(), "--handler", "echo")
	line := <-c.lines()
	if !strings.HasPrefix(line, "kring: ready on unix:@kring") || !strings.Contains(line, " · handler echo") {
		t.Errorf("ready line %q", line)
	}
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0; standard error:\n%s", status, c.stderr.String())
	}
}
