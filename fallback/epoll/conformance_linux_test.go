package epoll

import (
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
)

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) engine.Network {
		n, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}, enginetest.Arrived(arrived))
}

// The same with little memory and little work for each pass, so that every bound is
// reached.
func TestConformanceWithinNarrowBounds(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) engine.Network {
		n, err := New(Config{Buffers: 8, BufferBytes: 4 << 10, ReceivesMax: 1})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}, enginetest.Arrived(arrived))
}

// arrived are the bytes that TCP has received for a descriptor, taken or not.
func arrived(_ engine.Network, fd engine.FD) int64 {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return int64(info.Bytes_received)
}
