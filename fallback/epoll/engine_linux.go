package epoll

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/slab"
)

const (
	// acceptsMax is how many connections one Poll takes from a listener, so
	// that a burst of them does not hold up those already there.
	acceptsMax = 64
	// intoBytesMax and intoCallsMax bound what one descriptor copies in one
	// Poll while a big frame arrives, sendBytesMax while a big response leaves.
	intoBytesMax = 256 << 10
	intoCallsMax = 4
	sendBytesMax = 256 << 10
	// iovecMax is UIO_MAXIOV, the kernel's limit for one call.
	iovecMax = 1024
	// eventsMax is how many events one look takes; the rest comes with the next.
	eventsMax = 256
)

// Engine implements engine.Engine.
type Engine struct {
	network *Network
	config  Config
	fd      int // the epoll instance
	wait    waiter

	descs   []*desc // by descriptor
	spare   []*desc
	ready   queue
	buffers *buffers
	gather  *iovecs
	closed  bool

	// done and n are the owner's slice and how much of it is filled, in Poll.
	done []engine.Completion
	n    int
	// peeked: the events were looked for since the last Poll that didn't.
	peeked bool

	counters engine.Counters
	tally    tally
}

// tally is what one Poll adds to the counters, at once.
type tally struct{ enters, submitted, exhausted uint64 }

func open(n *Network, w engine.Wait) (*Engine, error) {
	e := &Engine{network: n, config: n.config, gather: new(iovecs)}
	var err error
	if e.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, explainErrno("epoll_create1", err)
	}
	if err = e.wait.open(e, w); err != nil {
		_ = unix.Close(e.fd)
		return nil, err
	}
	if e.buffers, err = newBuffers(e.config.Buffers, e.config.BufferBytes); err != nil {
		e.wait.close()
		_ = unix.Close(e.fd)
		return nil, err
	}
	return e, nil
}

// Poll does what was requested and became possible.
func (e *Engine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if e.closed {
		return 0, fmt.Errorf("epoll: poll: %w", os.ErrClosed)
	}
	e.done, e.n = done, 0
	err := e.poll(wait)
	n := e.n
	e.done, e.n = nil, 0
	e.publish(n)
	e.wait.clearWake()
	return n, err
}

func (e *Engine) poll(wait time.Duration) error {
	e.runReady()
	if e.n > 0 && e.peeked {
		e.peeked = false // saves a call: what came meanwhile is for the next Poll
		return nil
	}
	if len(e.done) == 0 {
		wait = 0
	}
	var deadline time.Time
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	for {
		sleep := wait
		if e.n > 0 || e.ready.len > 0 {
			sleep = 0
		}
		e.peeked = true
		if err := e.wait.events(sleep); err != nil {
			return err
		}
		if e.n == 0 {
			e.runReady()
		}
		if e.n > 0 || wait == 0 || e.wait.woken() {
			return nil
		}
		if wait > 0 {
			if wait = time.Until(deadline); wait <= 0 {
				return nil
			}
		}
	}
}

// runReady runs a pass of every descriptor that is on the ready list now.
func (e *Engine) runReady() {
	for k := e.ready.len; k > 0 && e.hasRoom(); k-- {
		d := e.ready.pop()
		e.runDesc(d)
		if d.canProgress() {
			e.ready.push(d)
		}
	}
}

// Accept accepts on a listening descriptor.
func (e *Engine) Accept(fd engine.FD, t engine.Token) { e.beginReceive(fd, t, engine.OpAccept) }

// Connect connects a socket that Network.Socket made.
func (e *Engine) Connect(fd engine.FD, t engine.Token, to netip.AddrPort) {
	e.beginReceive(fd, t, engine.OpConnect).to = to
}

// Recv receives into buffers that it lends.
func (e *Engine) Recv(fd engine.FD, t engine.Token) { e.beginReceive(fd, t, engine.OpRecv) }

// RecvInto receives into buf.
func (e *Engine) RecvInto(fd engine.FD, t engine.Token, buf []byte) {
	invariants.Assert(len(buf) > 0 && len(buf) <= math.MaxInt32, "epoll: RecvInto of %d bytes", len(buf))
	invariants.Assert(slab.Owns(buf), "epoll: RecvInto to memory that is not slab memory")
	d := e.beginReceive(fd, t, engine.OpRecvInto)
	d.into, d.got = buf, 0
}

// beginReceive sets the operation of fd's incoming side.
func (e *Engine) beginReceive(fd engine.FD, t engine.Token, op engine.Op) *desc {
	d := e.findOrAddDesc(fd, t)
	invariants.Assert(d.in == 0, "epoll: %v on descriptor %d while %v is outstanding", op, fd, d.in)
	d.in = op
	e.schedule(d)
	return d
}

// Cancel ends the operation of the incoming side.
func (e *Engine) Cancel(fd engine.FD, t engine.Token) {
	if d := e.findDesc(fd); d != nil && d.in != 0 {
		invariants.Assert(d.token == t, "epoll: Cancel for %v of descriptor %d, which is %v", t, fd, d.token)
		d.cancelling = true
		e.schedule(d)
	}
}

// Send sends bufs as one operation.
func (e *Engine) Send(fd engine.FD, t engine.Token, bufs [][]byte) {
	d := e.findOrAddDesc(fd, t)
	invariants.Assert(!d.sending, "epoll: Send on descriptor %d while one is outstanding", fd)
	if invariants.Enabled {
		for _, b := range bufs {
			invariants.Assert(slab.Owns(b), "epoll: Send of memory that is not slab memory")
		}
	}
	d.sending, d.bufs, d.index, d.offset, d.sent = true, bufs, 0, 0, 0
	e.schedule(d)
}

// Shutdown ends both directions.
func (e *Engine) Shutdown(fd engine.FD, t engine.Token) {
	if d := e.findOrAddDesc(fd, t); !d.shutDown {
		d.shutDown, d.shuttingDown = true, true
		e.schedule(d)
	}
}

// ShutdownSend ends the outgoing direction.
func (e *Engine) ShutdownSend(fd engine.FD, t engine.Token) {
	d := e.findOrAddDesc(fd, t)
	d.halfClosing = true
	e.schedule(d)
}

// CloseFD closes fd.
func (e *Engine) CloseFD(fd engine.FD, t engine.Token) {
	d := e.findOrAddDesc(fd, t)
	invariants.Assert(d.in == 0 && !d.sending, "epoll: CloseFD of descriptor %d with operations outstanding", fd)
	invariants.Assert(!d.closing, "epoll: CloseFD of descriptor %d twice", fd)
	d.closing = true
	e.schedule(d)
}

// Detach removes fd from this engine's epoll set. The next engine registers it again
// and so learns its state.
func (e *Engine) Detach(fd engine.FD, t engine.Token) {
	d := e.findOrAddDesc(fd, t)
	invariants.Assert(d.idle(), "epoll: Detach of descriptor %d with operations outstanding", fd)
	if d.registered {
		e.tally.enters++
		_ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, int(fd), nil) // fails for one that epoll refused
	}
	e.descs[fd] = nil // not spare: it may still be on the ready list
}

// ReceiveBuffers is engine.BufferCounter's.
func (e *Engine) ReceiveBuffers() int { return e.config.Buffers }

// Recycle ends c's lease. It may come after Close.
func (e *Engine) Recycle(c *engine.Completion) {
	if c.Lease == 0 || c.Data == nil {
		return
	}
	e.buffers.giveBack(c.Lease)
	e.counters.LentBytes.Add(-int64(e.buffers.size))
	c.Lease, c.Data = 0, nil
}

// Wake makes Poll return.
func (e *Engine) Wake() { e.wait.wake() }

// Counters are the engine's counts; those of a Poll appear when it returns.
func (e *Engine) Counters() *engine.Counters { return &e.counters }

// Close releases the engine. Memory that is lent stays until it is recycled.
func (e *Engine) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	err := e.wait.close()
	if e2 := unix.Close(e.fd); err == nil {
		err = e2
	}
	e.buffers.close()
	e.descs, e.spare, e.ready = nil, nil, queue{}
	if err != nil {
		return fmt.Errorf("epoll: close: %w", err)
	}
	return nil
}

// findDesc returns the state of fd, nil if there is none or it belongs to another
// socket.
func (e *Engine) findDesc(fd engine.FD) *desc {
	if int(fd) >= len(e.descs) {
		return nil
	}
	d := e.descs[fd]
	// Invariant: while something is outstanding nobody else may close fd, so the
	// number can belong to another socket only if the state is idle.
	if d != nil && d.idle() && d.use != e.network.uses.currentUse(fd) {
		e.descs[fd] = nil
		return nil
	}
	return d
}

// findOrAddDesc returns the state of fd, new if needed, for an operation of t.
func (e *Engine) findOrAddDesc(fd engine.FD, t engine.Token) *desc {
	invariants.Assert(fd >= 0, "epoll: descriptor %d", fd)
	invariants.Assert(!e.closed, "epoll: operation on a closed engine")
	d := e.findDesc(fd)
	if d == nil {
		d = e.addDesc(fd)
	}
	invariants.Assert(d.idle() || d.token == t, "epoll: token %v for descriptor %d, which is %v", t, fd, d.token)
	d.token = t
	return d
}

func (e *Engine) addDesc(fd engine.FD) *desc {
	for int(fd) >= len(e.descs) {
		e.descs = append(e.descs, make([]*desc, max(64, len(e.descs)))...)
	}
	var d *desc
	if k := len(e.spare); k > 0 {
		d, e.spare = e.spare[k-1], e.spare[:k-1]
	} else {
		d = new(desc)
	}
	// A new connection has an empty send queue, so it is writable. The registration
	// reports whether it is readable.
	*d = desc{fd: fd, use: e.network.uses.currentUse(fd), writable: true}
	e.descs[fd] = d
	return d
}

func (e *Engine) schedule(d *desc) {
	if d.canProgress() {
		e.ready.push(d)
	}
}

func (e *Engine) hasRoom() bool { return e.n < len(e.done) }

func (e *Engine) publish(n int) {
	c, t := &e.counters, &e.tally
	if t.enters > 0 {
		c.Enters.Add(t.enters)
	}
	if t.submitted > 0 {
		c.Submitted.Add(t.submitted)
	}
	if t.exhausted > 0 {
		c.Exhausted.Add(t.exhausted)
	}
	if n > 0 {
		c.Completed.Add(uint64(n))
	}
	*t = tally{}
}
