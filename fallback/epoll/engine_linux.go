package epoll

import (
	"fmt"
	"math"
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
	gather  *gather
	closed  bool

	// done and n are the owner's slice and how much of it is filled, in Poll.
	done []engine.Completion
	n    int
	// peeked: the events were looked for since the last Poll that didn't.
	peeked bool

	counters engine.Counters
	tally    tally
}

// tally is what one Poll adds to the counters, in one go.
type tally struct{ enters, submitted, exhausted uint64 }

func open(n *Network, w engine.Wait) (*Engine, error) {
	e := &Engine{network: n, config: n.config, gather: new(gather)}
	var err error
	if e.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, explain("epoll_create1", err)
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

// Poll works off what was asked for and what became possible.
func (e *Engine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if e.closed {
		return 0, fmt.Errorf("epoll: poll: %w", os.ErrClosed)
	}
	e.done, e.n = done, 0
	err := e.poll(wait)
	n := e.n
	e.done, e.n = nil, 0
	e.publish(n)
	e.wait.settle()
	return n, err
}

func (e *Engine) poll(wait time.Duration) error {
	e.work()
	if e.n > 0 && e.peeked {
		e.peeked = false // one call less: whatever came meanwhile is for the next Poll
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
			e.work()
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

// work gives every descriptor that is on the ready list now one pass.
func (e *Engine) work() {
	for k := e.ready.len; k > 0 && e.room(); k-- {
		d := e.ready.pop()
		e.pass(d)
		if d.runnable() {
			e.ready.push(d)
		}
	}
}

// Accept accepts on a listening descriptor.
func (e *Engine) Accept(fd engine.FD, t engine.Token) { e.receiving(fd, t, engine.OpAccept) }

// Recv receives into buffers that it lends.
func (e *Engine) Recv(fd engine.FD, t engine.Token) { e.receiving(fd, t, engine.OpRecv) }

// RecvInto receives into buf.
func (e *Engine) RecvInto(fd engine.FD, t engine.Token, buf []byte) {
	invariants.Assert(len(buf) > 0 && len(buf) <= math.MaxInt32, "epoll: RecvInto of %d bytes", len(buf))
	invariants.Assert(slab.Owns(buf), "epoll: RecvInto to memory that is not slab memory")
	d := e.receiving(fd, t, engine.OpRecvInto)
	d.into, d.got = buf, 0
}

// receiving notes the operation that fd's incoming side does from now on.
func (e *Engine) receiving(fd engine.FD, t engine.Token, op engine.Op) *desc {
	d := e.use(fd, t)
	invariants.Assert(d.in == 0, "epoll: %v on descriptor %d while %v is outstanding", op, fd, d.in)
	d.in = op
	e.schedule(d)
	return d
}

// Cancel ends what the incoming side does.
func (e *Engine) Cancel(fd engine.FD, t engine.Token) {
	if d := e.known(fd); d != nil && d.in != 0 {
		invariants.Assert(d.token == t, "epoll: Cancel for %v of descriptor %d, which is %v", t, fd, d.token)
		d.cancelling = true
		e.schedule(d)
	}
}

// Send sends bufs as one operation.
func (e *Engine) Send(fd engine.FD, t engine.Token, bufs [][]byte) {
	d := e.use(fd, t)
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
	if d := e.use(fd, t); !d.shutDown {
		d.shutDown, d.shuttingDown = true, true
		e.schedule(d)
	}
}

// CloseFD closes fd.
func (e *Engine) CloseFD(fd engine.FD, t engine.Token) {
	d := e.use(fd, t)
	invariants.Assert(d.in == 0 && !d.sending, "epoll: CloseFD of descriptor %d with operations outstanding", fd)
	invariants.Assert(!d.closing, "epoll: CloseFD of descriptor %d twice", fd)
	d.closing = true
	e.schedule(d)
}

// Detach takes fd out of this engine's epoll set: who has it next registers it
// anew, and learns what is there.
func (e *Engine) Detach(fd engine.FD, t engine.Token) {
	d := e.use(fd, t)
	invariants.Assert(d.idle(), "epoll: Detach of descriptor %d with operations outstanding", fd)
	if d.registered {
		e.tally.enters++
		_ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, int(fd), nil) // fails for one that epoll refused
	}
	e.descs[fd] = nil // not spare: it may still be on the ready list
}

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

// known is the state of fd, nil when there is none or it is another socket's.
func (e *Engine) known(fd engine.FD) *desc {
	if int(fd) >= len(e.descs) {
		return nil
	}
	d := e.descs[fd]
	// Invariant: while something is outstanding nobody else may close fd, so
	// the number can have changed its meaning only under an idle state.
	if d != nil && d.idle() && d.use != e.network.uses.current(fd) {
		e.descs[fd] = nil
		return nil
	}
	return d
}

// use is the state of fd, new if need be, for an operation of t.
func (e *Engine) use(fd engine.FD, t engine.Token) *desc {
	invariants.Assert(fd >= 0, "epoll: descriptor %d", fd)
	invariants.Assert(!e.closed, "epoll: operation on a closed engine")
	d := e.known(fd)
	if d == nil {
		d = e.learn(fd)
	}
	invariants.Assert(d.idle() || d.token == t, "epoll: token %v for descriptor %d, which is %v", t, fd, d.token)
	d.token = t
	return d
}

func (e *Engine) learn(fd engine.FD) *desc {
	for int(fd) >= len(e.descs) {
		e.descs = append(e.descs, make([]*desc, max(64, len(e.descs)))...)
	}
	var d *desc
	if k := len(e.spare); k > 0 {
		d, e.spare = e.spare[k-1], e.spare[:k-1]
	} else {
		d = new(desc)
	}
	// Writable until proved otherwise: a fresh connection has an empty send
	// queue. Whether it is readable, the registration tells for free.
	*d = desc{fd: fd, use: e.network.uses.current(fd), writable: true}
	e.descs[fd] = d
	return d
}

func (e *Engine) schedule(d *desc) {
	if d.runnable() {
		e.ready.push(d)
	}
}

func (e *Engine) room() bool { return e.n < len(e.done) }

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
