package contract

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kring"
	"kring/acceptor"
	"kring/internal/servertest"
)

// Clients that find no descriptor left are closed, one after the other; the
// server neither spins nor leaves them hanging, serves on those it has, and
// takes new ones when descriptors are free again.
//
// Kafka: Q-3.
func TestClientsWithoutADescriptorForThemAreClosedAndLaterOnesServed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		// Their descriptors are there before there are none.
		const strangers = 4
		var sockets [strangers]int
		for i := range sockets {
			sockets[i] = rawSocket(t)
		}
		limitDescriptors(t, highestDescriptor(t)+100)
		cfg.Conns.Max = -1
		s := servertest.Start(t, cfg, servertest.Echo)
		established := servertest.Dial(t, s)
		established.Ask("in", "in")
		rest := useUpDescriptors(t)
		for _, fd := range sockets[1:] {
			connectRaw(t, fd, s)
			if n, err := readRaw(fd, make([]byte, 1)); n > 0 || errors.Is(err, unix.EAGAIN) {
				t.Fatalf("a client without a descriptor got %d bytes, %v, instead of a close", n, err)
			}
			established.Ask("still here", "still here")
		}
		st := s.Stats()
		if st.RefusedBy()["no_descriptor"] != strangers-1 || st.AcceptFailures == 0 || st.AcceptFailures > 4*strangers {
			t.Errorf("refused %v, %d failures", st.RefusedBy(), st.AcceptFailures)
		}
		for _, f := range rest {
			_ = f.Close()
		}
		connectRaw(t, sockets[0], s)
		if _, err := unix.Write(sockets[0], servertest.Frame([]byte("in"))); err != nil {
			t.Fatal(err)
		}
		if n, err := readRaw(sockets[0], make([]byte, 6)); n != 6 || err != nil {
			t.Errorf("with descriptors again: %d bytes, %v", n, err)
		}
	})
}

// rawSocket is one that gives up a read after a while.
func rawSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	patience := unix.Timeval{Sec: int64(servertest.Deadline.Seconds())}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		t.Fatal(err)
	}
	return fd
}

func connectRaw(t *testing.T, fd int, s *kring.Server) {
	t.Helper()
	to := s.Addrs()[0]
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
}

// readRaw reads once, whatever signals come.
func readRaw(fd int, p []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, p); err != unix.EINTR {
			return n, err
		}
	}
}

func highestDescriptor(t *testing.T) (highest int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			highest = max(highest, n)
		}
	}
	return highest
}

// limitDescriptors lets the process have so many, until the test ends.
func limitDescriptors(t *testing.T, n int) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &old, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// useUpDescriptors opens files until no more can be.
func useUpDescriptors(t *testing.T) (files []*os.File) {
	t.Helper()
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, unix.EMFILE) {
			t.Cleanup(func() {
				for _, f := range files {
					_ = f.Close()
				}
			})
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
}

// The kernel makes its table of descriptors larger while everybody waits who
// opens one, so it has to be large enough before anybody connects.
func TestRoomForAllDescriptorsIsMadeBeforeAnybodyConnects(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.Max = 2 * tableOfDescriptors(t)
		if most := acceptor.ConnsMaxDefault(); most > 0 {
			cfg.Conns.Max = min(cfg.Conns.Max, most)
		}
		servertest.Start(t, cfg, servertest.Echo)
		if n := tableOfDescriptors(t); n < min(cfg.Conns.Max, 1<<16) {
			t.Errorf("room for %d descriptors and %d connections", n, cfg.Conns.Max)
		}
	})
}

// tableOfDescriptors is how many this process has room for (proc_pid_status(5)).
func tableOfDescriptors(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "FDSize:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
