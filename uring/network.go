//go:build linux

package uring

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/sock"
)

// Network is io_uring on this machine. Any goroutine may use it.
type Network struct {
	config  Config
	kernel  kernel
	opened  atomic.Uint32 // engines bound to a CPU so far
	looking atomic.Int32  // engines that busy-poll right now
	polled  atomic.Uint32 // rings whose SQPOLL thread was bound to one
	can     abilities
	memory  []byte // see UseMemory
}

// abilities are what New found by trying.
type abilities struct {
	flags         [2]uint32 // for setup, by engine.Wait
	multishotRecv bool
	recvLimit     bool     // a multishot receive may be told when to end
	zeroCopyOps   []uint8  // SEND_ZC and SENDMSG_ZC, if asked for
	zeroCopyFlags uint16   // IOPrio of both
	vectoredFixed bool     // gathered operations on registered memory
	missing       []string // in words, for Features
}

// New tries io_uring out: the setup, every operation that an engine needs, and
// a connection from accept to cancel. Its error names what is missing and the
// remedy.
func New(c Config) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Network{config: c.withDefaults()}
	var err error
	if n.kernel, err = kernelOf(n.config.KernelProfile); err != nil {
		return nil, err
	}
	if err := n.config.checkCPUs(); err != nil {
		return nil, err
	}
	if err := n.probe(); err != nil {
		return nil, err
	}
	n.polled.Store(0)
	n.opened.Store(0) // the first CPU is for the first engine that serves
	return n, nil
}

// Name is "io_uring".
func (n *Network) Name() string { return "io_uring" }

// Features says what is missing here.
func (n *Network) Features() string {
	says := "all features"
	if len(n.can.missing) > 0 {
		says = "without " + strings.Join(n.can.missing, ", ")
	}
	if changed := n.config.Changed(); len(changed) > 0 {
		says += ", set " + strings.Join(changed, " ")
	}
	if n.kernel.name != profileMax {
		says += ", as on Linux " + n.kernel.name
	}
	if ringFlavour != "" {
		says += ", on " + ringFlavour
	}
	return says
}

// Open opens an engine for the calling goroutine.
func (n *Network) Open(w engine.Wait) (engine.Engine, error) {
	if w != engine.WaitLocked && w != engine.WaitParked {
		return nil, fmt.Errorf("uring: Open with wait %d: give engine.WaitParked or engine.WaitLocked", w)
	}
	return n.open(w)
}

const (
	acceptEntriesMax   = 64
	acceptCQEntriesMax = 1024 // a burst that fills it goes on when there is room
)

// OpenToAccept opens an engine without much of what it does not need to accept:
// a receive window, a long completion queue, registered memory. Receiving on it
// would be slow.
func (n *Network) OpenToAccept() (engine.Engine, error) {
	c := n.config
	c.Entries, c.CQEntries = min(c.Entries, acceptEntriesMax), min(c.CQEntries, acceptCQEntriesMax)
	c.Buffers, c.BuffersHot, c.BufferBytes = 1, 1, min(c.BufferBytes, 4<<10)
	c.LargeBuffers = Off
	c.Recv, c.Send, c.ZeroCopyFixed, c.DirectFDs = RecvMultishotMode, SendPlainMode, false, false
	return n.openAs(&c, engine.WaitParked, nil)
}

// Listen opens a listening socket.
func (n *Network) Listen(c engine.ListenConfig) (engine.Listener, error) { return sock.Listen(c) }

// Socket makes a socket to be connected.
func (n *Network) Socket(to netip.AddrPort, o engine.SocketOptions) (engine.FD, error) {
	return sock.Open(to, o)
}

// Addrs are the two ends of a connection.
func (n *Network) Addrs(fd engine.FD) (local, remote netip.AddrPort, err error) {
	return sock.Addrs(fd)
}

// Pair connects a client within the process.
func (n *Network) Pair() (engine.FD, net.Conn, error) { return sock.Pair() }

// Configure applies options to a connection.
func (n *Network) Configure(fd engine.FD, o engine.SocketOptions) error { return sock.Configure(fd, o) }

// ShareListener returns another descriptor of a listening socket.
func (n *Network) ShareListener(fd engine.FD) (int, error) { return sock.Share(fd) }

// ReclaimListener sets a listening socket that others have had to blocking again.
func (n *Network) ReclaimListener(fd engine.FD) error { return sock.SetNonblock(fd, false) }

// Discard closes a descriptor with nothing outstanding.
func (n *Network) Discard(fd engine.FD) { sock.Close(fd) }

func (n *Network) open(w engine.Wait) (*ringEngine, error) { return n.openAs(&n.config, w, n.memory) }

func (n *Network) openAs(c *Config, w engine.Wait, memory []byte) (*ringEngine, error) {
	p := Params{Flags: n.can.flags[w], CQEntries: uint32(c.CQEntries)}
	for _, t := range usedBy(c) {
		if t.setup != nil {
			t.setup(n, &p)
		}
	}
	r, err := n.kernel.open(uint32(c.Entries), &p)
	if err != nil {
		return nil, setupError(err)
	}
	e := &ringEngine{ring: r, entries: int(p.SQEntries), config: *c, use: hooksOf(c), can: &n.can, multishotRecv: n.can.multishotRecv}
	e.reapMax, e.quietWaits = len(e.batch), c.QuietWait != Off
	e.busyPoller.looking, e.fixed.region = &n.looking, memory
	if err := e.furnish(w); err != nil {
		_ = e.free(true) // nothing was submitted
		return nil, err
	}
	if err := n.bind(e, w); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// furnish gives the ring its buffers and a way to sleep.
func (e *ringEngine) furnish(w engine.Wait) (err error) {
	if e.window, err = openWindow(&e.config); err != nil {
		return err
	}
	if err := e.ring.registerBufRing(e.window.ring, recvGroup, e.window.ringFlags()); err != nil {
		return registerError("PBUF_RING", err)
	}
	if err := e.openLarge(); err != nil {
		return err
	}
	// Kernel: 5.15, and no matter before. Reads of files are of the bounded kind,
	// but newer kernels (6.18) take one that asks for a thread (SQEAsync) for
	// unbounded, because they look for its file later. Sockets wait by poll.
	workers := uint32(e.config.IOWQWorkersMax)
	_, _ = e.ring.RegisterIOWQMaxWorkers(workers, workers)
	if ringFlavour != "" && e.config.needsOwnRing() {
		return settingError{fmt.Errorf("uring: Config: %s can't do NoSQArray, NoIOWait, MinWait, SQPoll and RegisteredRing: leave them out, or build without its tag", ringFlavour)}
	}
	for _, t := range usedBy(&e.config) {
		if t.open != nil {
			if err := t.open(e, w); err != nil {
				return err
			}
		}
	}
	e.ring.SetNoIOWait(e.config.NoIOWait != Off)
	vectors := max(4096, e.config.SendBuffersMax)
	if e.scratch, err = mapScratch(e.entries, vectors); err != nil {
		return err
	}
	if w == engine.WaitLocked {
		e.sleeper, err = openInKernel(e)
	} else {
		e.follower.start(e.copiesNothing)
		e.sleeper, err = openOnPoller(e)
	}
	return err
}

// needsOwnRing: what another ring than ours has no way to do.
func (c *Config) needsOwnRing() bool {
	return c.NoSQArray == On || c.NoIOWait == On || c.MinWait > 0 || c.RegisteredRing || c.SQPoll > 0
}

func registerError(what string, err error) error {
	switch err {
	case unix.EINVAL:
		return fmt.Errorf("io_uring_register %s: %w: the kernel is older than 5.19", what, err)
	case unix.ENOMEM:
		return fmt.Errorf("io_uring_register %s: %w: raise the memlock limit (ulimit -l, LimitMEMLOCK; it is %s)", what, err, memlockLimit())
	case unix.EPERM, unix.EACCES, unix.ENOSYS: // a filter may refuse this call alone
		return fmt.Errorf("io_uring_register %s: %w: %s", what, err, setupCause(err.(unix.Errno), readProc))
	}
	return fmt.Errorf("io_uring_register %s: %w", what, err)
}
