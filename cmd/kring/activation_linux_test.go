package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// activatedChild is a variable of those that activated starts.
const activatedChild = "ACTIVATED_CHILD"

// activated is a child that was passed files as systemd passes them: LISTEN_PID is its own.
func activated(t *testing.T, names string, files []*os.File, args ...string) *child {
	t.Helper()
	if os.Getenv(activatedChild) != "" {
		t.Fatal("a child is to be the program, and runs the tests")
	}
	c := start(t, args...)
	exe := filepath.Join(t.TempDir(), "kring") // by this name it is the program, and not its tests
	if err := os.Symlink(c.cmd.Path, exe); err != nil {
		t.Fatal(err)
	}
	c.cmd.Path = "/bin/sh"
	c.cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, exe}, args...)
	c.cmd.Env = append(c.cmd.Environ(), activatedChild+"=1", fmt.Sprintf("LISTEN_FDS=%d", len(files)))
	if names != "" {
		c.cmd.Env = append(c.cmd.Env, "LISTEN_FDNAMES="+names)
	}
	c.cmd.ExtraFiles = files
	return c
}

// filed is the file of what has one.
func filed(t *testing.T, of interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := of.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func listenTCP(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

// shortDir is for sockets, whose paths must be short.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func listenUnix(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(shortDir(t), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestSocketsOfSystemdAreServed: by name, in their order, and without --listen all of them;
// who connected before the server was there is served too. The sockets outlive it.
func TestSocketsOfSystemdAreServed(t *testing.T) {
	for _, engine := range enginesHere() {
		for name, of := range map[string]struct {
			names string
			args  []string
			ready string // of the first socket, TCP, at A, and the second, Unix, at B
		}{
			"without --listen": {"KAFKA:kring.socket", nil, "A (systemd), B (systemd)"},
			"without names":    {"", nil, "A (systemd), B (systemd)"},
			"by name":          {"OUT:IN", []string{"--listen", "IN://systemd", "--listen", "OUT://systemd"}, "B (systemd), A (systemd)"},
			"in order":         {"x.socket:y.socket", []string{"--listen", "systemd", "--listen", "MORE://127.0.0.1:0", "--listen", "IN://systemd"}, "A (systemd), C, B (systemd)"},
			"name, then order": {"x.socket:OUT", []string{"--listen", "OUT://systemd", "--listen", "IN://systemd"}, "B (systemd), A (systemd)"},
		} {
			tcp, local := listenTCP(t), listenUnix(t)
			at := strings.NewReplacer("A", tcp.Addr().String(), "B", "unix:"+local.Addr().String(), "C", `127.0.0.1:[0-9]+`, "(", `\(`, ")", `\)`).Replace(of.ready)
			early := dial(t, tcp.Addr().String())
			c := activated(t, of.names, []*os.File{filed(t, tcp), filed(t, local)}, append([]string{"serve", "--engine", engine, "--handler", "null"}, of.args...)...)
			if line := <-c.lines(); !regexp.MustCompile("^kring: ready on " + at + " · ").MatchString(line) {
				t.Fatalf("%s, %s: ready line %q, want %s; standard error:\n%s", engine, name, line, at, c.stderr.String())
			}
			ask(t, early, kmsg.NewPtrMetadataRequest())
			conn, err := net.Dial("unix", local.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			ask(t, conn, kmsg.NewPtrMetadataRequest())
			_ = conn.Close()
			environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.cmd.Process.Pid))
			if err != nil || strings.Contains(string(environ), "sh\x00-c") {
				t.Errorf("the child is %q, %v", environ, err)
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("%s, %s: exit status %d, want 0; standard error:\n%s", engine, name, status, c.stderr.String())
			}
			if _, err := os.Stat(local.Addr().String()); err != nil {
				t.Errorf("%s, %s: the file went with the server: %v", engine, name, err)
			}
			_ = dial(t, tcp.Addr().String()).Close() // systemd still listens
		}
	}
}

// TestSocketsOfSystemdThatCantBeServedAreNamed, each with its remedy.
func TestSocketsOfSystemdThatCantBeServedAreNamed(t *testing.T) {
	tcp := filed(t, listenTCP(t))
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	packets, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	seqpacket := os.NewFile(uintptr(packets), "seqpacket")
	defer seqpacket.Close()
	l := listenTCP(t)
	connected, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	for name, c := range map[string]struct {
		names string
		files []*os.File
		args  []string
		says  []string
	}{
		"datagrams":    {"A", []*os.File{filed(t, udp)}, nil, []string{"descriptor 3 (FileDescriptorName=A) is a datagram socket", "ListenStream="}},
		"packets":      {"A", []*os.File{seqpacket}, nil, []string{"is a socket of packets"}},
		"a connection": {"A", []*os.File{filed(t, connected.(*net.TCPConn))}, nil, []string{"does not listen", "Accept=no"}},
		"no socket":    {"A:B", []*os.File{tcp, pipe}, nil, []string{"descriptor 4 (FileDescriptorName=B) is no socket"}},
		"two addresses": {"A", []*os.File{tcp}, []string{"--listen", "A://127.0.0.1:0"},
			[]string{"--listen A://127.0.0.1:0", "FileDescriptorName=A", "give --listen A://systemd"}},
		"the default address, given": {"PLAINTEXT", []*os.File{tcp}, []string{"--listen", "127.0.0.1:9092"}, []string{"a listener has one address"}},
		"no listener":                {"A", []*os.File{tcp}, []string{"--listen", "127.0.0.1:0"}, []string{"has no listener", "--listen NAME://systemd"}},
		"no socket passed":           {"A", []*os.File{tcp}, []string{"--listen", "A://systemd", "--listen", "B://systemd"}, []string{"--listen B://systemd: systemd passed no socket", "FileDescriptorName=B"}},
		"names of others":            {"A:B", []*os.File{tcp}, nil, []string{"LISTEN_FDNAMES", "2 names for the 1 sockets"}},
		"only a Unix socket":         {"A", []*os.File{filed(t, listenUnix(t))}, nil, []string{"--advertise", "--listener A.advertise="}},
	} {
		child := activated(t, c.names, c.files, append([]string{"serve", "--handler", "null"}, c.args...)...)
		line := <-child.lines()
		if status := child.exit(); status != exitUsage || line != "" {
			t.Errorf("%s: exit status %d, ready line %q", name, status, line)
		}
		for _, says := range c.says {
			if !strings.Contains(child.stderr.String(), says) {
				t.Errorf("%s: standard error lacks %q:\n%s", name, says, child.stderr.String())
			}
		}
	}
	none := start(t, "serve", "--listen", "systemd")
	<-none.lines()
	if status := none.exit(); status != exitUsage || !strings.Contains(none.stderr.String(), "systemd passed no socket") {
		t.Errorf("without any socket: exit status %d:\n%s", status, none.stderr.String())
	}
	others := start(t, "serve", "--listen", "127.0.0.1:0", "--handler", "echo") // of another process
	others.cmd.Env = append(others.cmd.Environ(), "LISTEN_PID=1", "LISTEN_FDS=1")
	others.cmd.ExtraFiles = []*os.File{tcp}
	if line := <-others.lines(); !strings.HasPrefix(line, "kring: ready on 127.0.0.1:") || strings.Contains(line, "systemd") {
		t.Errorf("with sockets of another process: ready line %q; standard error:\n%s", line, others.stderr.String())
	}
	others.signal(syscall.SIGTERM)
	if status := others.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
}

// told reads the messages of sd_notify until one has the wanted line.
func told(t *testing.T, from *net.UnixConn, want string) (before []string) {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if err != nil {
			t.Fatalf("no message has %q: %v; before it came %q", want, err, before)
		}
		before = append(before, string(b[:n]))
		for line := range strings.Lines(string(b[:n])) {
			if strings.HasPrefix(line, want) {
				return before
			}
		}
	}
}

// TestSystemdIsToldHowFarTheServerHasCome.
func TestSystemdIsToldHowFarTheServerHasCome(t *testing.T) {
	for _, path := range []string{filepath.Join(shortDir(t), "n"), "@kring-test-" + fmt.Sprint(os.Getpid())} {
		from, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		c := start(t, "serve", "--listen", "127.0.0.1:0", "--handler", "null")
		// The system keeps ten messages for who does not read; a second apart they take longer
		// to fill that than this process is kept from reading.
		c.cmd.Env = append(c.cmd.Environ(), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=2000000")
		line := <-c.lines()
		if first := told(t, from, "READY=1"); len(first) != 1 || !strings.Contains(first[0], "STATUS=serving on 127.0.0.1:") {
			t.Errorf("told %q; ready line %q", first, line)
		}
		told(t, from, "WATCHDOG=1")
		told(t, from, "WATCHDOG=1")
		c.signal(syscall.SIGHUP)
		told(t, from, "RELOADING=1\n")
		told(t, from, "READY=1")
		c.signal(syscall.SIGTERM)
		told(t, from, "STOPPING=1")
		if status := c.exit(); status != exitOK {
			t.Errorf("exit status %d, want 0; standard error:\n%s", status, c.stderr.String())
		}
	}
}

// TestTheUnitInTheDocsIsUnderstood: its command line, with a socket of the name that the
// .socket unit gives it.
func TestTheUnitInTheDocsIsUnderstood(t *testing.T) {
	unit, err := os.ReadFile("../../docs/systemd/kring.service")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := os.ReadFile("../../docs/systemd/kring.socket")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStart=\S+ (serve .*)$`).FindSubmatch(unit)
	name := regexp.MustCompile(`(?m)^FileDescriptorName=(.*)$`).FindSubmatch(socket)
	if line == nil || name == nil {
		t.Fatalf("no ExecStart, or no FileDescriptorName, in\n%s\n%s", unit, socket)
	}
	args := strings.Fields(strings.ReplaceAll(string(line[1]), "%S", t.TempDir()))
	c := activated(t, string(name[1]), []*os.File{filed(t, listenTCP(t))}, args...)
	if ready := <-c.lines(); !strings.Contains(ready, " (systemd) · ") {
		t.Errorf("ready line %q; standard error:\n%s", ready, c.stderr.String())
	}
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0; standard error:\n%s", status, c.stderr.String())
	}
}
