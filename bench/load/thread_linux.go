package load

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// link is the Linux part of a connection.
const nativeThreads = true

type link struct {
	touched bool // on the thread's list of connections to send on
	fd      int
	tls     *records // nil: it speaks none

	// Config.Portable only:
	net.Conn
	kick chan struct{}
}

// idleConn stands for every idle connection in what epoll returns.
const idleConn = -1

// readyMax is how many connections one wait brings: what it has touched of each is
// still in the second cache when its turn comes.
const readyMax = 64

// together is of how many connections answers are taken before their next requests
// leave: a server that sleeps is woken once for all of them.
const together = 16

// recvBytes is what one receive takes at most.
const recvBytes = 256 << 10

// epollThread serves its connections from one operating-system thread, which
// sleeps in epoll and nowhere else.
type epollThread struct {
	*core
	tm      *timing
	number  int
	epoll   int
	idle    []int
	in      []byte
	sealed  []byte // what is sealed and sent at once
	ready   []unix.EpollEvent
	pending []*conn
}

func newNativeThread(tm *timing, x *core, number int) (thread, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll_create1: %w", err)
	}
	th := &epollThread{core: x, tm: tm, number: number, epoll: fd,
		in: make([]byte, recvBytes), ready: make([]unix.EpollEvent, readyMax)}
	if x.cfg.TLS {
		th.sealed = make([]byte, 0, sealedScratchMax)
	}
	return th, nil
}

func (th *epollThread) dial(server, source netip.AddrPort, id int, busy bool) error {
	fd, err := connect(server, source)
	if err != nil {
		return err
	}
	var secured *records
	if th.cfg.TLS {
		if secured, err = th.cfg.shakeFD(fd); err != nil {
			unix.Close(fd)
			return err
		}
	}
	// By edges a connection that was worked off costs nothing at the next wait, and
	// room to send needs no asking for.
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET}
	if busy {
		c := th.newConn(id)
		c.out = th.shared(c.t)
		c.fd, ev.Fd, c.tls = fd, c.index, secured
	} else {
		th.idle = append(th.idle, fd)
		ev.Events, ev.Fd = unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLONESHOT, idleConn
	}
	if err := unix.EpollCtl(th.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("load: epoll_ctl: %w", err)
	}
	return nil
}

// connectTimeout bounds one connection's handshake.
const connectTimeout = 10 * time.Second

func connect(server, source netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if server.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("load: socket: %w (raise the limit on open files: ulimit -n)", err)
	}
	// On Linux the send timeout bounds connect too.
	limit := unix.NsecToTimeval(int64(connectTimeout))
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil && server.Addr().IsLoopback() {
		// What paces a path has nothing to do here, and takes its time of both ends.
		// It is no matter if it may not be chosen.
		_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
	}
	if err == nil && source.Addr().IsValid() {
		// The port is chosen at connect, when both ends are known: many more fit.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		err = unix.Bind(fd, sockaddr(source))
	}
	if err == nil {
		if err = unix.Connect(fd, sockaddr(server)); err == unix.EINTR {
			err = connected(fd)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("load: connecting to %v: %w: is the server running there?", server, err)
	}
	return fd, nil
}

// connected waits for the end of a handshake that goes on by itself.
//
// Kernel: a connect with a time limit is not restarted after an interruption,
// and any task work of an io_uring that this thread has submitted to is one.
func connected(fd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(connectTimeout.Milliseconds()))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		return err
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

func (th *epollThread) run() {
	// The thread is left locked, so that it ends with its timer slack.
	runtime.LockOSThread()
	// The default slack of 50 µs would be a delay of every send of the open loop.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	defer th.finish()
	th.pending = make([]*conn, 0, len(th.conns))
	th.begin(th.tm.began, th.number)
	for _, c := range th.conns {
		th.send(c)
	}
	for {
		now, over := th.tm.phase(th.core, th.number, th.tm.now(), threadCPU)
		if over {
			return
		}
		if th.cfg.IsOpen() {
			th.sendDue(now)
		}
		look := th.tm.now()
		n := th.wait(th.tm.pause(th.core, th.number, look))
		after := th.tm.now()
		if n == 0 && th.cfg.Spin && th.rec.start != 0 && !th.stopped {
			th.rec.idle += after - look
		}
		for i := 0; i < n; i += together {
			for _, ev := range th.ready[i:min(i+together, n)] {
				th.serve(&ev, after)
			}
			th.sendTouched()
			after = th.tm.now()
		}
	}
}

// sendDue sends what the timetable demands; a connection whose turn came more
// than once sends it together.
func (th *epollThread) sendDue(now int64) {
	th.demandDue(now, th.touch)
	th.sendTouched()
}

func (th *epollThread) sendTouched() {
	for _, c := range th.pending {
		if c.touched = false; c.alive {
			th.send(c)
		}
	}
	th.pending = th.pending[:0]
}

func (th *epollThread) touch(c *conn) {
	if !c.touched {
		c.touched = true
		th.pending = append(th.pending, c)
	}
}

// wait looks first without sleeping: under load something is always there, and
// the look costs no word with the Go scheduler.
func (th *epollThread) wait(d time.Duration) int {
	n := epollPeek(th.epoll, th.ready)
	if n > 0 || d == 0 || th.cfg.Spin {
		return n
	}
	if look := min(th.cfg.Look, d); look > 0 {
		began := th.tm.now()
		now := began
		for n == 0 && now < began+int64(look) {
			n = epollPeek(th.epoll, th.ready)
			now = th.tm.now()
		}
		if th.rec.start != 0 && !th.stopped {
			th.rec.idle += now - began
		}
		if n > 0 {
			return n
		}
	}
	return epollSleep(th.epoll, th.ready, d)
}

func (th *epollThread) serve(ev *unix.EpollEvent, now int64) {
	if ev.Fd == idleConn {
		th.rec.fail(&th.rec.errors.Closed, func() string { return "the server ended an idle connection" })
		return
	}
	c := th.conns[ev.Fd]
	if ev.Events&^unix.EPOLLOUT != 0 && c.alive {
		th.receive(c, now, ev.Events&^(unix.EPOLLIN|unix.EPOLLOUT) != 0)
	}
	if c.alive {
		th.touch(c)
	}
}

// receive takes what is there: with edges nobody tells twice of it. Behind a short
// receive there is nothing more, unless the peer is known to have ended.
func (th *epollThread) receive(c *conn, now int64, ended bool) {
	for c.alive {
		look := th.looks()
		n, errno := recvNow(c.fd, th.in, look || c.tls != nil)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno == unix.EINTR:
			continue
		case errno != 0:
			th.drop(c, &th.rec.errors.Closed, func() string { return "receiving: " + errno.Error() })
		case n == 0:
			th.drop(c, &th.rec.errors.Closed, func() string { return "the server closed a connection" })
		case !th.received(c, n, look, now):
			th.drop(c, &th.rec.errors.Mismatch, func() string {
				return fmt.Sprintf("connection %d: response %d is not the request's", c.id, c.done)
			})
		case n < len(th.in) && !ended:
			return
		}
	}
}

// received works off the n bytes that a receive gave; false: they are not what must come.
func (th *epollThread) received(c *conn, n int, look bool, now int64) bool {
	switch {
	case c.tls != nil:
		return th.receivedSealed(c, th.in[:n], look, now)
	case look:
		return th.got(c, th.in[:n], now)
	default:
		return th.skip(c, n, now)
	}
}

func (th *epollThread) send(c *conn) {
	if c.tls != nil {
		th.sendSealed(c)
		return
	}
	for {
		b := th.toSend(c)
		if len(b) == 0 {
			return
		}
		n, errno := sendNow(c.fd, b)
		switch {
		case errno == unix.EAGAIN:
			return // epoll tells when there is room
		case errno == unix.EINTR:
		case errno != 0:
			th.drop(c, &th.rec.errors.Closed, func() string { return "sending: " + errno.Error() })
			return
		default:
			th.took(c, n)
		}
	}
}

func (th *epollThread) drop(c *conn, counter *uint64, why func() string) {
	th.rec.fail(counter, why)
	th.lose(c)
	unix.Close(c.fd)
}

func (th *epollThread) close() {
	for _, c := range th.conns {
		if c.alive {
			unix.Close(c.fd)
		}
	}
	for _, fd := range th.idle {
		unix.Close(fd)
	}
	unix.Close(th.epoll)
}

// threadCPU is the calling thread's processor time in nanoseconds.
func threadCPU() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}
