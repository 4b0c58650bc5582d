package contract

import (
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring"
	"kring/engine"
	"kring/internal/servertest"
)

// serverSide finds the descriptor of the other end of c in this process.
func serverSide(t *testing.T, c *servertest.Client) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		fd, _ := strconv.Atoi(e.Name())
		if remote, err := unix.Getpeername(fd); err == nil {
			if at, ok := remote.(*unix.SockaddrInet4); ok && at.Port == c.LocalAddr().(*net.TCPAddr).Port {
				return fd
			}
		}
	}
	t.Fatal("the server has no descriptor for the connection")
	return -1
}

// Accepted sockets have the options of their listener, and the server's where
// it says nothing.
//
// Kafka: F-04, U-8.
func TestAcceptedSocketsHaveTheirListenersOptions(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Socket = engine.SocketOptions{KeepAlive: 90 * time.Second, SendBufferBytes: 100 << 10}
		cfg.Listeners = []kring.ListenerConfig{
			{Name: "A", Address: "127.0.0.1:0"},
			{Name: "B", Address: "127.0.0.1:0", Socket: engine.SocketOptions{
				KeepAliveInterval: 7 * time.Second, KeepAliveProbes: 5, ReceiveBufferBytes: 60 << 10,
			}},
		}
		s := servertest.Start(t, cfg, servertest.Echo)
		for i, want := range []map[int]int{
			{unix.TCP_NODELAY: 1, unix.TCP_KEEPIDLE: 90, unix.TCP_KEEPINTVL: 45, unix.TCP_KEEPCNT: 3},
			{unix.TCP_NODELAY: 1, unix.TCP_KEEPIDLE: 90, unix.TCP_KEEPINTVL: 7, unix.TCP_KEEPCNT: 5},
		} {
			c := servertest.DialTo(t, s.Addrs()[i].String())
			c.Ask("hello", "hello")
			fd := serverSide(t, c)
			for option, value := range want {
				if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option); err != nil || got != value {
					t.Errorf("listener %d: option %d is %d, %v; want %d", i, option, got, err, value)
				}
			}
			send, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
			receive, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
			if send != 200<<10 || i == 1 && receive != 120<<10 { // the kernel doubles them
				t.Errorf("listener %d: buffers of %d and %d bytes", i, send, receive)
			}
		}
	})
}
