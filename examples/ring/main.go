//go:build linux

// Command ring is an echo server on uring.Ring alone: one ring, one goroutine,
// multishot accept and receive (Linux 6.0). It shows the three rules of this
// layer: the memory of an operation is mapped and stays until its last
// completion; a completion with a buffer owns it, whatever its result; and a
// descriptor is closed when its last operation has ended, which is the one
// without CQEMore.
//
//	go run ./examples/ring 127.0.0.1:9000
package main

import (
	"fmt"
	"log"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"kring/uring"
)

const (
	buffers     = 256 // a power of two
	bufferBytes = 4096
	group       = 0
)

// What an operation is, in the upper half of its user data; the lower half is
// the descriptor.
const (
	accept = iota
	receive
	send
)

func userData(kind int, fd int32) uint64 { return uint64(kind)<<32 | uint64(uint32(fd)) }

func main() {
	address := "127.0.0.1:9000"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	runtime.LockOSThread() // a single-issuer ring belongs to the thread that made it
	listener, bound, err := listen(address)
	if err != nil {
		log.Fatal(err)
	}
	s, err := open(listener)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ring: echoing on", bound)
	log.Fatal(s.serve())
}

// server echoes. Owner: the main goroutine.
type server struct {
	ring     *uring.Ring
	buffers  *uring.BufRing
	memory   []byte
	listener int32
	conns    map[int32]*conn
	lent     int     // buffers that the kernel has not
	starved  []int32 // connections whose receive found none
}

// conn is a connection. One send at a time, or two might overtake each other.
type conn struct {
	queue   []piece // to be sent, the first of it now if sending
	sending bool
	ended   bool // nothing more will be received
}

// piece is what is left to send of a buffer.
type piece struct {
	bid     uint16
	at, end int
}

func open(listener int) (*server, error) {
	ring, err := uring.NewRing(256, &uring.Params{
		Flags:     uring.SetupCQSize | uring.SetupSubmitAll | uring.SetupSingleIssuer | uring.SetupCoopTaskrun | uring.SetupTaskrunFlag,
		CQEntries: 4 * buffers,
	})
	if err != nil {
		return nil, fmt.Errorf("io_uring_setup: %w (kring doctor says why)", err)
	}
	s := &server{ring: ring, listener: int32(listener), conns: map[int32]*conn{}}
	if s.buffers, err = uring.MapBufRing(buffers); err != nil {
		return nil, err
	}
	if err := ring.RegisterBufRing(s.buffers, group); err != nil {
		return nil, fmt.Errorf("registering the buffers: %w", err)
	}
	s.memory, err = unix.Mmap(-1, 0, buffers*bufferBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	for bid := range uint16(buffers) {
		s.buffers.Add(s.buffer(bid), bid)
	}
	return s, nil
}

func (s *server) buffer(bid uint16) []byte {
	return s.memory[int(bid)*bufferBytes : (int(bid)+1)*bufferBytes]
}

// serve submits, waits, and works off what came back, all with one call of the
// kernel for each round.
func (s *server) serve() error {
	var batch [64]uring.CQE
	s.armAccept()
	for {
		s.buffers.Publish()
		err := s.ring.SubmitAndWait(-1)
		if err != nil && err != unix.EINTR && err != unix.EBUSY && err != unix.EAGAIN {
			return fmt.Errorf("io_uring_enter: %w", err)
		}
		n := s.ring.Reap(batch[:])
		for i := range batch[:n] {
			s.complete(&batch[i])
		}
	}
}

func (s *server) complete(c *uring.CQE) {
	fd := int32(uint32(c.UserData))
	switch c.UserData >> 32 {
	case accept:
		if c.Res >= 0 {
			s.conns[c.Res] = &conn{}
			s.armReceive(c.Res)
		}
		if c.Flags&uring.CQEMore == 0 {
			s.armAccept()
		}
	case receive:
		s.received(fd, s.conns[fd], c)
	case send:
		s.sent(fd, s.conns[fd], int(c.Res))
	}
}

func (s *server) received(fd int32, k *conn, c *uring.CQE) {
	if c.Flags&uring.CQEBuffer != 0 {
		s.lent++
		if bid := c.BufferID(); c.Res > 0 {
			k.queue = append(k.queue, piece{bid: bid, end: int(c.Res)})
		} else {
			s.giveBack(bid)
		}
	}
	if c.Flags&uring.CQEMore == 0 {
		switch {
		case c.Res > 0 || c.Res == -int32(unix.ENOBUFS) && s.lent < buffers:
			s.armReceive(fd)
		case c.Res == -int32(unix.ENOBUFS):
			s.starved = append(s.starved, fd) // until a buffer comes back
		default:
			k.ended = true
		}
	}
	s.proceed(fd, k)
}

func (s *server) sent(fd int32, k *conn, res int) {
	k.sending = false
	if res <= 0 {
		for _, p := range k.queue {
			s.giveBack(p.bid)
		}
		k.queue = nil
		_ = unix.Shutdown(int(fd), unix.SHUT_RDWR) // ends the receive as well
	} else if p := &k.queue[0]; p.at+res < p.end {
		p.at += res
	} else {
		s.giveBack(p.bid)
		k.queue = k.queue[1:]
	}
	s.proceed(fd, k)
}

// proceed sends what is next, or closes a connection that is through.
func (s *server) proceed(fd int32, k *conn) {
	switch {
	case k.sending:
	case len(k.queue) > 0:
		k.sending = true
		s.send(fd, k.queue[0])
	case k.ended:
		delete(s.conns, fd)
		_ = unix.Close(int(fd))
	}
}

// giveBack returns a buffer to the kernel, and lets one receive that found none
// try again.
func (s *server) giveBack(bid uint16) {
	s.buffers.Add(s.buffer(bid), bid)
	s.lent--
	if len(s.starved) > 0 {
		fd := s.starved[0]
		s.starved = s.starved[1:]
		s.armReceive(fd)
	}
}

func (s *server) armAccept() {
	q := s.sqe()
	q.PrepAcceptMultishot(s.listener, unix.SOCK_CLOEXEC)
	q.UserData = userData(accept, s.listener)
}

func (s *server) armReceive(fd int32) {
	q := s.sqe()
	q.PrepRecvMultishot(fd, 0, 0, 0)
	q.IOPrio |= uring.RecvSendPollFirst
	q.Flags, q.BufGroup = uring.SQEBufferSelect, group
	q.UserData = userData(receive, fd)
}

func (s *server) send(fd int32, p piece) {
	data := s.buffer(p.bid)[p.at:p.end]
	q := s.sqe()
	q.PrepSend(fd, address(data), uint32(len(data)), unix.MSG_WAITALL|unix.MSG_NOSIGNAL)
	q.UserData = userData(send, fd)
}

// sqe is a free one: a full queue is submitted first, after the buffers that
// its receives may want.
func (s *server) sqe() *uring.SQE {
	for {
		if q := s.ring.GetSQE(); q != nil {
			return q
		}
		s.buffers.Publish()
		if err := s.ring.SubmitAndGetEvents(false); err != nil && err != unix.EINTR && err != unix.EBUSY && err != unix.EAGAIN {
			log.Fatalf("io_uring_enter: %v", err)
		}
	}
}

func listen(address string) (fd int, bound netip.AddrPort, err error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !a.Addr().Is4() {
		return 0, a, fmt.Errorf("%q: give an IPv4 address and a port, such as 127.0.0.1:9000", address)
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, a, fmt.Errorf("socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // accepted sockets inherit it
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}); err != nil {
		return 0, a, fmt.Errorf("bind %s: %w", a, err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return 0, a, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, a, fmt.Errorf("getsockname: %w", err)
	}
	return fd, netip.AddrPortFrom(a.Addr(), uint16(name.(*unix.SockaddrInet4).Port)), nil
}
