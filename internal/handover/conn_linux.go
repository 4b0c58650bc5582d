package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"kring/internal/unixsock"
)

// Supported says whether this system can hand over.
const Supported = true

// messagePatience bounds how long a message may take to be sent.
const messagePatience = 10 * time.Second

// Listen opens the socket that successors connect to. Only this user may. remove removes its
// file. Order: it has its mode before anybody can connect, because Dial refuses another one.
func Listen(path string) (l *net.UnixListener, remove func(), err error) {
	if path != "" && path[0] == '@' {
		return nil, nil, errAbstract
	}
	return unixsock.Listen(path, 0o600)
}

// Own is what Listen returns, of a listener that a predecessor opened at path.
func Own(l *net.UnixListener, path string) (remove func()) {
	l.SetUnlinkOnClose(false)
	return unixsock.Own(path)
}

var errAbstract = errors.New("an abstract socket has no permissions: give a path")

// Conn is a connection between the two processes.
type Conn struct {
	conn *net.UnixConn
	peer *syscall.Ucred
}

// Accept takes the next connection of this user's; others are closed and passed over.
func Accept(l *net.UnixListener) (*Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if c, err := newConn(conn); err == nil {
			return c, nil
		}
	}
}

// Dial connects to the process that listens at path. The error is fs.ErrNotExist, or
// ECONNREFUSED, when there is none.
func Dial(ctx context.Context, path string) (*Conn, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return newConn(conn.(*net.UnixConn))
}

// checkPath refuses a socket that others may have put there, or may connect to.
func checkPath(path string) error {
	if len(path) > 0 && path[0] == '@' {
		return errAbstract
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch stat := info.Sys().(*syscall.Stat_t); {
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is no socket: remove it, or choose another path", path)
	case int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, and this process is user %d: run both as one user", path, stat.Uid, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %#o, so others may connect to it: it must be 0600", path, info.Mode().Perm())
	}
	return nil
}

func newConn(conn *net.UnixConn) (*Conn, error) {
	c := &Conn{conn: conn}
	raw, err := conn.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) {
			c.peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		})
		err = errors.Join(err, failed)
	}
	if err == nil && int(c.peer.Uid) != os.Geteuid() {
		err = fmt.Errorf("the other process is of user %d, and this one of user %d: run both as one user", c.peer.Uid, os.Geteuid())
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// PID is the other process.
func (c *Conn) PID() int { return int(c.peer.Pid) }

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Send sends a message, and copies of descriptors with it.
func (c *Conn) Send(m *Message, fds ...int) error {
	raw, err := encode(m)
	if err != nil {
		return err
	}
	if len(fds) > DescriptorsMax {
		return fmt.Errorf("message %q has %d descriptors: at most %d are possible", m.Kind, len(fds), DescriptorsMax)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(messagePatience))
	n, _, err := c.conn.WriteMsgUnix(raw, rights, nil)
	if err == nil && n < len(raw) {
		_, err = c.conn.Write(raw[n:])
	}
	if err != nil {
		return fmt.Errorf("message %q was not sent: %w", m.Kind, err)
	}
	return nil
}

// Receive waits for the next message until deadline; the zero time: for as long as the
// other process lives. A message Failed is an error, PeerError. Descriptors are in FDs, of
// a message Sockets alone.
func (c *Conn) Receive(deadline time.Time) (*Message, error) {
	return c.ReceiveUntil(context.Background(), deadline)
}

// ReceiveUntil is Receive that ends with ctx too, as if the deadline had passed.
func (c *Conn) ReceiveUntil(ctx context.Context, deadline time.Time) (*Message, error) {
	_ = c.conn.SetReadDeadline(deadline)
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		close(cut)
	})
	m, err := c.receive()
	if !stop() {
		<-cut // Order: it must not end the next Receive
	}
	return m, err
}

func (c *Conn) receive() (*Message, error) {
	head := make([]byte, headerBytes)
	rights := make([]byte, syscall.CmsgSpace(DescriptorsMax*4))
	n, oobn, flags, _, err := c.conn.ReadMsgUnix(head, rights)
	fds, rightsErr := descriptorsOf(rights[:oobn])
	if err == nil && n == 0 {
		err = io.EOF
	}
	if flags&syscall.MSG_CTRUNC != 0 {
		rightsErr = errors.Join(rightsErr, fmt.Errorf("descriptors were lost on the way: this process has none left (ulimit -n), or more than %d came", DescriptorsMax))
	}
	if err == nil && n < len(head) {
		_, err = io.ReadFull(c.conn, head[n:])
	}
	size := 0
	if err = errors.Join(err, rightsErr); err == nil {
		size, err = bodyBytes(head)
	}
	var m *Message
	if err == nil {
		m, err = decode(c.conn, size)
	}
	if err == nil && m.Kind == Failed {
		err = PeerError{m.Text}
	}
	if err == nil && m.Kind != Sockets && len(fds) > 0 { // nobody would close them
		err = fmt.Errorf("message %q came with %d descriptors: only %q has any", m.Kind, len(fds), Sockets)
	}
	if err != nil {
		CloseAll(fds)
		return nil, err
	}
	m.FDs = fds
	return m, nil
}

func descriptorsOf(rights []byte) (fds []int, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(rights)
	for i := range messages {
		more, failed := syscall.ParseUnixRights(&messages[i])
		fds, err = append(fds, more...), errors.Join(err, failed)
	}
	return fds, err
}

// CloseAll closes descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		_ = syscall.Close(fd)
	}
}

// Duplicate returns another descriptor of what f has, which is the caller's to close.
func Duplicate(f syscall.Conn) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	if err := raw.Control(func(of uintptr) { fd, failed = DuplicateFD(int(of)) }); err != nil {
		return -1, err
	}
	return fd, failed
}

// DuplicateFD is Duplicate for a descriptor.
func DuplicateFD(of int) (fd int, err error) {
	r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(of), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, fmt.Errorf("fcntl(F_DUPFD_CLOEXEC): %w", errno)
	}
	return int(r), nil
}

// NobodyListens says that an error of Dial means that there is no predecessor.
func NobodyListens(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
