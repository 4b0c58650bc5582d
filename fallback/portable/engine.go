package portable

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/slab"
)

// Engine implements engine.Engine.
type Engine struct {
	network *Network

	// Owner: the engine's owner.
	asked  []pendingCall
	timer  *time.Timer
	closed bool

	notify  chan struct{} // has room for one: the owner sleeps on it
	running sync.WaitGroup

	mu     sync.Mutex
	queue  []entry                 // guarded by mu: completions in their order, from head on
	head   int                     // guarded by mu
	asleep bool                    // guarded by mu: the next entry or Wake must notify
	woken  bool                    // guarded by mu
	alive  map[*operation]struct{} // guarded by mu: those whose goroutine runs
	leases [][]byte                // guarded by mu: what is lent, by lease-1
	free   []uint32                // guarded by mu: leases that nobody has

	counters engine.Counters
}

// pendingCall is a request of the owner for the next Poll.
type pendingCall struct {
	what  byte
	fd    engine.FD
	token engine.Token
	op    *operation // askStart
}

const (
	askStart = iota
	askCancel
	askShutdown
	askShutdownSend
	askClose
)

// entry is a completion on its way to the owner. from is set if the operation goes on
// after this completion was polled.
type entry struct {
	engine.Completion
	from *operation
}

func newEngine(n *Network) *Engine {
	e := &Engine{
		network: n,
		notify:  make(chan struct{}, 1),
		alive:   map[*operation]struct{}{},
		leases:  make([][]byte, n.config.Buffers),
		timer:   time.NewTimer(time.Hour),
	}
	e.timer.Stop()
	for i := range e.leases {
		e.free = append(e.free, uint32(len(e.leases)-1-i))
	}
	return e
}

// Poll starts what was requested and returns what has completed.
func (e *Engine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if e.closed {
		return 0, fmt.Errorf("portable: poll: %w", os.ErrClosed)
	}
	e.submit()
	if wait == 0 || len(done) == 0 {
		runtime.Gosched() // an owner that does not wait must let the goroutines run
		n, _ := e.takeCompletions(done, false)
		return n, nil
	}
	n, again := e.takeCompletions(done, true)
	if !again {
		return n, nil
	}
	var expired <-chan time.Time
	if wait > 0 {
		e.timer.Reset(wait)
		defer e.timer.Stop()
		expired = e.timer.C
	}
	for again {
		select {
		case <-e.notify:
			n, again = e.takeCompletions(done, true)
		case <-expired:
			n, again = e.takeCompletions(done, false)
		}
	}
	return n, nil
}

// takeCompletions moves completions to done. With sleep, again reports that there was
// neither a completion nor a Wake; then the owner counts as asleep.
func (e *Engine) takeCompletions(done []engine.Completion, sleep bool) (n int, again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n < len(done) && e.head < len(e.queue) {
		it := &e.queue[e.head]
		done[n] = it.Completion
		if it.from != nil {
			if it.Op == engine.OpRecv {
				it.from.s.undelivered.Add(-int64(max(it.Res, 0)))
			}
			it.from.polled()
		}
		*it = entry{}
		e.head++
		n++
	}
	if e.head == len(e.queue) {
		e.queue, e.head = e.queue[:0], 0
	}
	if sleep && n == 0 && !e.woken {
		e.asleep = true
		return 0, true
	}
	e.asleep, e.woken = false, false
	e.counters.Completed.Add(uint64(n))
	return n, false
}

// putCompletion queues a completion and wakes the owner. e.mu is held.
func (e *Engine) putCompletion(it entry) {
	if e.head > len(e.queue)/2 && len(e.queue) == cap(e.queue) {
		k := copy(e.queue, e.queue[e.head:])
		clear(e.queue[k:])
		e.queue, e.head = e.queue[:k], 0
	}
	e.queue = append(e.queue, it)
	e.notifyOwner()
}

// notifyOwner wakes the owner if it sleeps, and reports whether it slept. e.mu is held.
func (e *Engine) notifyOwner() bool {
	if !e.asleep {
		return false
	}
	e.asleep = false
	select {
	case e.notify <- struct{}{}:
	default: // a notification is pending already
	}
	return true
}

// Wake makes Poll return.
func (e *Engine) Wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.woken {
		return
	}
	e.woken = true
	if e.notifyOwner() {
		e.counters.Wakes.Add(1)
	}
}

// Accept accepts on a listening descriptor.
func (e *Engine) Accept(fd engine.FD, t engine.Token) {
	o := e.startOperation(fd, t, engine.OpAccept)
	o.turn = make(chan struct{}, e.network.config.AcceptsMax)
}

// Connect connects a descriptor of Network.Socket.
func (e *Engine) Connect(fd engine.FD, t engine.Token, to netip.AddrPort) {
	e.startOperation(fd, t, engine.OpConnect).to = to
}

// Recv receives into buffers that it lends.
func (e *Engine) Recv(fd engine.FD, t engine.Token) {
	o := e.startOperation(fd, t, engine.OpRecv)
	o.turn = make(chan struct{}, 1)
}

// RecvInto receives into buf.
func (e *Engine) RecvInto(fd engine.FD, t engine.Token, buf []byte) {
	invariants.Assert(len(buf) > 0 && len(buf) <= math.MaxInt32, "portable: RecvInto of %d bytes", len(buf))
	invariants.Assert(slab.Owns(buf), "portable: RecvInto to memory that is not slab memory")
	e.startOperation(fd, t, engine.OpRecvInto).into = buf
}

// Send sends bufs as one operation.
func (e *Engine) Send(fd engine.FD, t engine.Token, bufs [][]byte) {
	if invariants.Enabled {
		for _, b := range bufs {
			invariants.Assert(slab.Owns(b), "portable: Send of memory that is not slab memory")
		}
	}
	e.startOperation(fd, t, engine.OpSend).bufs = bufs
}

func (e *Engine) startOperation(fd engine.FD, t engine.Token, op engine.Op) *operation {
	o := &operation{e: e, fd: fd, token: t, op: op, stop: make(chan struct{})}
	e.addRequest(pendingCall{what: askStart, fd: fd, token: t, op: o})
	return o
}

// Cancel ends what the incoming side does.
func (e *Engine) Cancel(fd engine.FD, t engine.Token) {
	e.addRequest(pendingCall{what: askCancel, fd: fd, token: t})
}

// Shutdown ends both directions.
func (e *Engine) Shutdown(fd engine.FD, t engine.Token) {
	e.addRequest(pendingCall{what: askShutdown, fd: fd, token: t})
}

// ShutdownSend ends the outgoing direction.
func (e *Engine) ShutdownSend(fd engine.FD, t engine.Token) {
	e.addRequest(pendingCall{what: askShutdownSend, fd: fd, token: t})
}

// Detach does nothing: the state of a descriptor belongs to the Network.
func (e *Engine) Detach(engine.FD, engine.Token) {}

// CloseFD closes fd.
func (e *Engine) CloseFD(fd engine.FD, t engine.Token) {
	e.addRequest(pendingCall{what: askClose, fd: fd, token: t})
}

func (e *Engine) addRequest(a pendingCall) {
	invariants.Assert(!e.closed, "portable: operation on a closed engine")
	e.asked = append(e.asked, a)
}

// submit does what was requested, in order.
func (e *Engine) submit() {
	for i := range e.asked {
		a := &e.asked[i]
		s := e.network.socket(a.fd)
		switch {
		case a.what == askStart:
			e.startGoroutine(s, a.op)
		case a.what == askClose:
			errno := e.network.close(a.fd)
			e.mu.Lock()
			e.putCompletion(entry{Completion: engine.Completion{Token: a.token, Op: engine.OpClose, Res: engine.Failed(errno)}})
			e.mu.Unlock()
		case s == nil: // nothing to cancel or to shut down
		case a.what == askCancel:
			s.cancel(e, a.token)
		case a.what == askShutdown:
			s.shutdown()
		case a.what == askShutdownSend:
			s.shutdownSend()
		}
		*a = pendingCall{}
	}
	e.asked = e.asked[:0]
}

// startGoroutine starts o's goroutine.
func (e *Engine) startGoroutine(s *socket, o *operation) {
	if s == nil || (s.listener != nil) != (o.op == engine.OpAccept) || o.op != engine.OpAccept && (s.conn == nil) != (o.op == engine.OpConnect) {
		e.mu.Lock()
		e.putCompletion(entry{Completion: o.completion(engine.Failed(syscall.EBADF))})
		e.mu.Unlock()
		return
	}
	o.s = s
	s.mu.Lock()
	if o.op == engine.OpSend {
		invariants.Assert(s.out == nil, "portable: Send on descriptor %d while one is outstanding", o.fd)
		s.out = o
	} else {
		invariants.Assert(s.in == nil, "portable: %v on descriptor %d while one is outstanding", o.op, o.fd)
		s.in = o
	}
	s.mu.Unlock()
	e.mu.Lock()
	e.alive[o] = struct{}{}
	e.mu.Unlock()
	e.running.Go(o.runOp)
}

// ReceiveBuffers is engine.BufferCounter's.
func (e *Engine) ReceiveBuffers() int { return e.network.config.Buffers }

// Recycle ends c's lease. It may come after Close.
func (e *Engine) Recycle(c *engine.Completion) {
	if c.Lease == 0 || c.Data == nil {
		return
	}
	e.mu.Lock()
	b := e.endLease(c.Lease)
	e.mu.Unlock()
	e.network.pool.Put(b)
	c.Lease, c.Data = 0, nil
}

// lendBuffer completes a receive with b, a part of buffer; false if no more may be lent.
func (e *Engine) lendBuffer(o *operation, buffer, b []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.free) == 0 {
		return false
	}
	i := e.free[len(e.free)-1]
	e.free = e.free[:len(e.free)-1]
	e.leases[i] = buffer
	e.counters.LentBytes.Add(int64(e.network.config.BufferBytes))
	c := o.completion(int32(len(b)))
	c.More, c.Lease, c.Data = true, i+1, b[:len(b):len(b)]
	e.putCompletion(entry{Completion: c, from: o})
	return true
}

// allLent says that no more buffers may be lent.
func (e *Engine) allLent() bool {
	c := &e.network.config
	return e.counters.LentBytes.Load() >= int64(c.Buffers)*int64(c.BufferBytes)
}

// endLease takes the buffer of a lease back. e.mu is held.
func (e *Engine) endLease(lease uint32) []byte {
	i := lease - 1
	b := e.leases[i]
	invariants.Assert(b != nil, "portable: lease %d recycled twice", lease)
	e.leases[i] = nil
	e.free = append(e.free, i)
	e.counters.LentBytes.Add(-int64(e.network.config.BufferBytes))
	return b
}

// Counters are the engine's counts. Enters counts calls into Go's net.
func (e *Engine) Counters() *engine.Counters { return &e.counters }

// Close ends every goroutine of the engine. Connections that were accepted and never
// polled are closed: no owner knows them.
func (e *Engine) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	e.mu.Lock()
	alive := make([]*operation, 0, len(e.alive))
	for o := range e.alive {
		alive = append(alive, o)
	}
	e.mu.Unlock()
	for _, o := range alive {
		o.abandon()
	}
	e.running.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, it := range e.queue[e.head:] {
		if it.Op == engine.OpAccept && it.Res >= 0 {
			e.network.Discard(engine.FD(it.Res))
		}
		if it.Lease != 0 {
			e.network.pool.Put(e.endLease(it.Lease))
		}
	}
	e.queue, e.head, e.asked = nil, 0, nil
	return nil
}
