package engine

import (
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Network is one way of doing network I/O on this machine: it opens engines
// and listening sockets and knows the addresses of its descriptors. A
// descriptor that one engine of a Network accepted may be used with another
// engine of the same Network. All methods may be called from any goroutine.
type Network interface {
	// Name is "io_uring", "epoll" or "portable".
	Name() string

	// Features says in a few words what of its own it can use here, such as
	// "all features" or "without multishot receive".
	Features() string

	// Open opens an engine. The goroutine that calls it is its owner: a
	// single-issuer ring must be created on the thread that submits. With
	// WaitLocked the caller has locked itself to its thread.
	Open(w Wait) (Engine, error)

	// Listen opens a listening socket; port 0 picks a free one.
	Listen(c ListenConfig) (Listener, error)

	// Socket makes a descriptor that Engine.Connect may connect to an address of to's
	// family. Its error wraps the errno: EMFILE and ENFILE are normal life. Where there are
	// no sockets before they are connected (portable), such an errno is Connect's.
	Socket(to netip.AddrPort, o SocketOptions) (FD, error)

	// Addrs are the two ends of a connected descriptor, zero values when it is a
	// Unix domain socket.
	Addrs(fd FD) (local, remote netip.AddrPort, err error)

	// Configure applies the options to a connected descriptor.
	Configure(fd FD, o SocketOptions) error

	// Discard closes a descriptor that has nothing outstanding on any engine:
	// a listener, a refused connection, what a dead engine left behind.
	Discard(fd FD)
}

// AcceptOpener is a Network whose engines are cheaper when they only accept.
type AcceptOpener interface {
	// OpenToAccept is Open, with WaitParked, of an engine that will only accept.
	OpenToAccept() (Engine, error)
}

// Pairer is a Network that connects a client within the process.
type Pairer interface {
	// Pair makes a connection without an address. fd is like one that was accepted,
	// and whoever called owns both ends. The client is an ordinary connection of Go's.
	Pair() (fd FD, client net.Conn, err error)
}

// ListenerSharer is a Network whose listening sockets another process may take over.
type ListenerSharer interface {
	// ShareListener returns another descriptor of a listening socket, close-on-exec and the
	// caller's to close. It may be called while an engine accepts.
	ShareListener(fd FD) (shared int, err error)
	// ReclaimListener sets the mode (O_NONBLOCK) again that the engines need: it belongs to
	// all who share the socket, and another process may have changed it. Nothing is armed.
	ReclaimListener(fd FD) error
}

// MemoryUser is a Network whose engines do better with memory that they have
// been told about.
type MemoryUser interface {
	// MemoryWanted is how many bytes it would be told of; 0: none.
	MemoryWanted() int

	// UseMemory names so much slab memory. Before the first Open; the memory
	// stays until the last engine is closed. Other memory serves as before.
	UseMemory(b []byte)
}

// Wait is how an engine's owner sleeps in Poll.
type Wait uint8

const (
	// WaitParked: the owner is an ordinary goroutine that parks on Go's own
	// poller. Best beside a pool of handlers: both hand-overs stay inside the
	// Go scheduler.
	WaitParked Wait = iota
	// WaitLocked: the owner holds an operating-system thread and sleeps in the
	// kernel. Best when handlers run on the processor itself.
	WaitLocked
)

func (w Wait) String() string {
	if w == WaitLocked {
		return "locked"
	}
	return "parked"
}

// ListenConfig describes a listening socket.
type ListenConfig struct {
	// Address is host:port; an empty host means every address of this machine.
	// Or it is unix:PATH, for a Unix domain socket; see UnixPath.
	Address string
	// Given, if set, is a listening socket that somebody else made, a *net.TCPListener
	// or a *net.UnixListener; Address, FileMode and Backlog are passed over. It stays
	// the caller's to close, after the Listener; Release does not remove the file of a
	// Unix domain socket.
	Given net.Listener
	// FileMode of a Unix domain socket's file: who may connect; 0 means 0660.
	FileMode fs.FileMode
	// Backlog is the length of the kernel's queue of connections that wait to
	// be accepted (listen(2)); 0 means 1024. The kernel caps it at
	// net.core.somaxconn.
	Backlog int
	// Shared lets several listening sockets of one user have the same address,
	// among which the kernel spreads new connections (SO_REUSEPORT, socket(7)).
	// What waits on one is lost with it.
	Shared bool
	// Socket options are set on the listening socket where accepted sockets
	// inherit them.
	Socket SocketOptions
}

// Listener is an open listening socket.
type Listener struct {
	FD FD
	// Addr is where it is bound; the zero value for a Unix domain socket, which
	// has its Path instead.
	Addr netip.AddrPort
	Path string
	// Release, if set, is for whoever closes it to call once, before FD is closed:
	// it removes the file of a Unix domain socket.
	Release func()
}

// String is an address that ListenConfig.Address would take.
func (l *Listener) String() string {
	if l.Path != "" {
		return unixScheme + l.Path
	}
	return l.Addr.String()
}

const unixScheme = "unix:"

// UnixPath takes the path off an address of a Unix domain socket, unix:PATH or
// unix://PATH. One that begins with @ is a name without a file (abstract, Linux,
// unix(7)).
func UnixPath(address string) (path string, ok bool) {
	path, ok = strings.CutPrefix(address, unixScheme)
	return strings.TrimPrefix(path, "//"), ok
}

// Accepted is a connection on its way from who accepted it to who will own it.
type Accepted struct {
	FD FD
	// Local and Remote are its two ends; the zero value on a Unix domain socket.
	Local, Remote netip.AddrPort
	// Slot is what it occupies; its owner calls Release once, on every way, after
	// the descriptor was closed.
	Slot Slot
	// Preface is what may come before its first byte.
	Preface Preface
}

// Preface says whether a connection begins with a header that names its client (PROXY
// protocol).
type Preface uint8

// The prefaces.
const (
	// PrefaceNone: nobody looks for a header.
	PrefaceNone Preface = iota
	// PrefaceForbidden: the peer is not trusted to forward, and a header ends it.
	PrefaceForbidden
	// PrefaceRequired: the peer forwards. Its Slot counts for no address until Identify.
	PrefaceRequired
)

// Slot is what an admitted connection occupies.
type Slot interface {
	// Release gives it back. Any goroutine; it does not block.
	Release()
}

// Identifier is the Slot of a connection whose client was not known when it was admitted.
type Identifier interface {
	Slot
	// Identify judges the connection by its client's address, and counts it there until
	// Release if it is within all bounds. It is called at most once, by the owner, and does
	// not block. OverRate: hold says how long the connection is to be kept open, unserved,
	// before it is closed; 0: not at all.
	Identify(client netip.Addr) (v Verdict, hold time.Duration)
}

// Verdict is on a connection, by the bounds of its client's address.
type Verdict uint8

// The verdicts.
const (
	// WithinBounds: the connection is to be served.
	WithinBounds Verdict = iota
	// OverCount: the address has as many connections as it may have.
	OverCount
	// OverRate: the address makes more connections a second than it may.
	OverRate
)

// SocketOptions of a connection. The zero value leaves the system's defaults,
// but for TCP_NODELAY, which is always set. Unix domain sockets have none of them.
type SocketOptions struct {
	// SendBufferBytes and ReceiveBufferBytes are SO_SNDBUF and SO_RCVBUF; 0
	// leaves the kernel's own sizing.
	SendBufferBytes    int
	ReceiveBufferBytes int
	// KeepAlive is the idle time before the first probe; 0 means 2 minutes (the
	// kernel's 2 hours outlive every load balancer), negative switches probing
	// off.
	KeepAlive time.Duration
	// KeepAliveInterval is the time between probes; 0 means half of the idle
	// time, at most a minute. KeepAliveProbes is how many are sent before the
	// connection counts as broken; 0 means 3.
	KeepAliveInterval time.Duration
	KeepAliveProbes   int
}
