package sock

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

func listen(t *testing.T, c engine.ListenConfig) engine.Listener {
	t.Helper()
	l, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(l.FD) })
	return l
}

// connect dials l and accepts the connection as an engine would.
func connect(t *testing.T, l engine.Listener, address string) (engine.FD, net.Conn) {
	t.Helper()
	peer, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	fd, _, err := unix.Accept4(int(l.FD), unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(engine.FD(fd)) })
	return engine.FD(fd), peer
}

func option(t *testing.T, fd engine.FD, level, option int) int {
	t.Helper()
	v, err := unix.GetsockoptInt(int(fd), level, option)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAcceptedSocketsInheritEveryOption(t *testing.T) {
	l := listen(t, engine.ListenConfig{Address: "127.0.0.1:0", Socket: engine.SocketOptions{
		SendBufferBytes: 100 << 10, ReceiveBufferBytes: 50 << 10, KeepAlive: 90 * time.Second,
	}})
	fd, _ := connect(t, l, l.Addr.String())
	for _, o := range []struct {
		name                string
		level, option, want int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 200 << 10}, // the kernel doubles it for its own use
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 100 << 10},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 90},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 45},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
	} {
		if got := option(t, fd, o.level, o.option); got != o.want {
			t.Errorf("%s of the accepted socket is %d, want %d", o.name, got, o.want)
		}
	}
}

func TestKeepAliveHasADefaultAndCanBeSwitchedOff(t *testing.T) {
	l := listen(t, engine.ListenConfig{Address: "127.0.0.1:0"})
	fd, _ := connect(t, l, l.Addr.String())
	if got := option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); got != 120 {
		t.Errorf("default idle time is %d s, want 120", got)
	}
	if got := option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL); got != 60 {
		t.Errorf("default interval is %d s, want 60", got)
	}
	if err := Configure(fd, engine.SocketOptions{KeepAlive: -1}); err != nil {
		t.Fatal(err)
	}
	if got := option(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != 0 {
		t.Error("keepalive still on")
	}
	for _, d := range []time.Duration{time.Nanosecond, time.Second, 1000 * time.Hour} {
		if err := Configure(fd, engine.SocketOptions{KeepAlive: d}); err != nil {
			t.Errorf("keepalive %v: %v", d, err)
		}
	}
}

func TestKeepAliveIsWhatItIsSetTo(t *testing.T) {
	l := listen(t, engine.ListenConfig{Address: "127.0.0.1:0", Socket: engine.SocketOptions{
		KeepAlive: 100 * time.Second, KeepAliveInterval: 7 * time.Second, KeepAliveProbes: 5,
	}})
	fd, _ := connect(t, l, l.Addr.String())
	for what, want := range map[int]int{unix.TCP_KEEPIDLE: 100, unix.TCP_KEEPINTVL: 7, unix.TCP_KEEPCNT: 5} {
		if got := option(t, fd, unix.IPPROTO_TCP, what); got != want {
			t.Errorf("option %d is %d, want %d", what, got, want)
		}
	}
}

func TestSocketsAreBlockingAndCloseOnExec(t *testing.T) {
	l := listen(t, engine.ListenConfig{Address: "127.0.0.1:0"})
	flags, err := unix.FcntlInt(uintptr(l.FD), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v: want blocking", flags, err)
	}
	flags, err = unix.FcntlInt(uintptr(l.FD), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: want close-on-exec", flags, err)
	}
}

func TestPortZeroGivesTheRealPort(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", ""} {
		l := listen(t, engine.ListenConfig{Address: host + ":0"})
		if l.Addr.Port() == 0 {
			t.Errorf("%q: port 0", host)
		}
	}
}

func TestEmptyHostListensOnBothFamilies(t *testing.T) {
	l := listen(t, engine.ListenConfig{Address: ":0"})
	port := l.Addr.Port()
	for _, a := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
		fd, peer := connect(t, l, netip.AddrPortFrom(a, port).String())
		local, remote, err := Addrs(fd)
		if err != nil {
			t.Fatal(err)
		}
		if local.Addr() != a || remote.Addr() != a {
			t.Errorf("ends %v and %v, want both at %v", local, remote, a)
		}
		if remote.String() != peer.LocalAddr().String() || local.String() != peer.RemoteAddr().String() {
			t.Errorf("ends %v and %v, peer says %v and %v", local, remote, peer.RemoteAddr(), peer.LocalAddr())
		}
	}
}

func TestAddressInUseNamesTheAddressAndTheRemedy(t *testing.T) {
	l := listen(t, engine.ListenConfig{Address: "127.0.0.1:0"})
	_, err := Listen(engine.ListenConfig{Address: l.Addr.String()})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("%v: want EADDRINUSE inside", err)
	}
	for _, part := range []string{l.Addr.String(), "in use", "--listen", "port 0"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

func TestEveryListenErrorSaysWhatToDo(t *testing.T) {
	for errno, part := range map[unix.Errno]string{
		unix.EACCES: "1024", unix.EADDRNOTAVAIL: "empty host", unix.EAFNOSUPPORT: "family", unix.EMFILE: "ulimit",
	} {
		if err := explain("h:1", errno); !strings.Contains(err.Error(), part) || !errors.Is(err, errno) {
			t.Errorf("%v: %q lacks %q", errno, err, part)
		}
	}
}

func TestUnusableListenConfigsAreErrors(t *testing.T) {
	for _, c := range []engine.ListenConfig{
		{Address: "127.0.0.1"},
		{Address: "127.0.0.1:70000"},
		{Address: "192.0.2.1:0"}, // TEST-NET-1: nobody's
		{Address: "[fe80::1%no-such-interface]:0"},
		{Address: "127.0.0.1:0", Backlog: -1},
		{Address: "127.0.0.1:0", Socket: engine.SocketOptions{SendBufferBytes: -1}},
	} {
		if l, err := Listen(c); err == nil {
			Close(l.FD)
			t.Errorf("%+v: no error", c)
		} else if !strings.Contains(err.Error(), "listen on") {
			t.Errorf("%+v: %q doesn't say where", c, err)
		}
	}
}

func TestAPortIsFreeAgainAfterClose(t *testing.T) {
	l, err := Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := connect(t, l, l.Addr.String())
	Close(l.FD)
	_ = unix.Shutdown(int(fd), unix.SHUT_RDWR) // leaves the port in a closing state
	again := listen(t, engine.ListenConfig{Address: l.Addr.String()})
	if again.Addr != l.Addr {
		t.Errorf("listening on %v, want %v", again.Addr, l.Addr)
	}
}

func TestTheEndsOfAConnectionLeaveNoGarbage(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listen(t, engine.ListenConfig{Address: address})
		fd, peer := connect(t, l, l.Addr.String())
		local, remote, err := Addrs(fd)
		if err != nil || local.String() != peer.RemoteAddr().String() || remote.String() != peer.LocalAddr().String() {
			t.Errorf("%s: %v and %v, %v: the peer says %v and %v", address, local, remote, err, peer.RemoteAddr(), peer.LocalAddr())
		}
		if n := testing.AllocsPerRun(1000, func() { _, _, _ = Addrs(fd) }); n != 0 {
			t.Errorf("%s: %v allocations", address, n)
		}
	}
}
