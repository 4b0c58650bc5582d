package portable

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"kring/engine"
)

// sendBytesMax bounds what one Send takes, because Res has 31 bits.
const sendBytesMax = 1 << 30

// operation is one Accept, Connect, Recv, RecvInto or Send, and its goroutine.
type operation struct {
	e     *Engine
	s     *socket
	fd    engine.FD
	token engine.Token
	op    engine.Op
	to    netip.AddrPort // Connect
	into  []byte
	bufs  [][]byte

	// Of the goroutine of a Recv.
	look   func(fd uintptr) bool // tryRead
	failed error                 // why it read nothing; on Windows errWaits when it was called

	// turn holds an element for each completion that is being made or waits to be
	// polled. If it is full, the goroutine waits.
	turn chan struct{}
	// stop is closed when the operation shall end; guarded by s.mu is who
	// closes it, and halted tells that it is.
	stop          chan struct{}
	stopRequested bool // guarded by s.mu

	abandoned bool // guarded by s.mu: the engine is closing, the completion is dropped
}

func (o *operation) runOp() {
	switch o.op {
	case engine.OpAccept:
		o.runAccept()
	case engine.OpConnect:
		o.runConnect()
	case engine.OpRecv:
		o.runRecv()
	case engine.OpRecvInto:
		o.runRecvInto()
	case engine.OpSend:
		o.runSend()
	}
}

func (o *operation) runAccept() {
	for o.awaitTurn() {
		o.countCall()
		accepted, err := o.s.listener.Accept()
		if err != nil {
			o.endWith(o.resultOf(err))
			return
		}
		conn := accepted.(conn) // Go's net: of what listens
		// A connection that can't be configured is broken: its first receive reports it.
		_ = configure(conn, o.s.options)
		c := o.completion(int32(o.e.network.add(&socket{conn: conn})))
		c.More = true
		o.e.mu.Lock()
		o.e.putCompletion(entry{Completion: c, from: o})
		o.e.mu.Unlock()
	}
	o.endWith(engine.Failed(syscall.ECANCELED))
}

// errAllLent is why nothing is read: there is no buffer that may be lent.
var errAllLent = errors.New("every buffer is lent")

func (o *operation) runRecv() {
	s := o.s
	if s.broken != 0 {
		o.endBroken()
		return
	}
	o.look = o.tryRead
	for o.awaitTurn() {
		var err error
		if len(s.held) == 0 {
			err = o.read()
		}
		if err != nil && err != errAllLent {
			o.endWith(o.resultOf(err))
			return
		}
		if err != nil || !o.e.lendBuffer(o, s.buffer, s.held) {
			o.e.counters.Exhausted.Add(1)
			o.endWith(engine.Failed(syscall.ENOBUFS)) // the next receive returns what came, or is held
			return
		}
		s.buffer, s.held = nil, nil
	}
	o.endWith(o.resultOf(os.ErrDeadlineExceeded))
}

// read reads into the socket's buffer: at least a byte, or an error.
func (o *operation) read() error {
	o.countCall()
	if raw := o.s.rawConn(); raw != nil {
		return o.readWhenReady(raw)
	}
	return o.readBlocking()
}

// readBlocking is read with a buffer while it waits.
func (o *operation) readBlocking() error {
	if err := o.takeBuffer(); err != nil {
		return err
	}
	n, err := o.s.conn.Read(o.s.buffer)
	if o.keepRead(n); n > 0 {
		return nil // an error will come again
	}
	return err
}

// takeBuffer gives the socket a buffer to read into.
func (o *operation) takeBuffer() error {
	b, err := o.e.network.pool.TryGet(o.e.network.config.BufferBytes)
	if err != nil {
		return syscall.ENOMEM
	}
	o.s.buffer = b
	return nil
}

// keepRead keeps the n bytes that were read into the buffer; without any, not the buffer.
func (o *operation) keepRead(n int) {
	s := o.s
	if n > 0 {
		s.undelivered.Add(int64(n))
		s.held = s.buffer[:n]
		return
	}
	o.e.network.pool.Put(s.buffer)
	s.buffer = nil
}

func (o *operation) runRecvInto() {
	s := o.s
	if s.broken != 0 {
		o.endBroken()
		return
	}
	got := copy(o.into, s.held)
	s.undelivered.Add(-int64(got))
	s.held = s.held[got:]
	if len(s.held) == 0 && s.buffer != nil {
		o.e.network.pool.Put(s.buffer)
		s.buffer, s.held = nil, nil
	}
	var err error
	for got < len(o.into) && err == nil {
		o.countCall()
		var n int
		n, err = s.conn.Read(o.into[got:])
		got += n
	}
	switch {
	case got == len(o.into):
		o.endWith(int32(got))
	case got > 0:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.broken = errnoOf(err) // received bytes are reported first
		}
		o.endWith(int32(got))
	default:
		o.endWith(o.resultOf(err))
	}
}

// endBroken ends a receive with the error that ended the previous one.
func (o *operation) endBroken() {
	errno := o.s.broken
	o.s.broken = 0
	o.endWith(engine.Failed(errno))
}

func (o *operation) runSend() {
	s := o.s
	s.parts = s.parts[:0]
	size := 0
	for _, b := range o.bufs {
		b = b[:min(len(b), sendBytesMax-size)]
		if len(b) > 0 {
			s.parts = append(s.parts, b)
			size += len(b)
		}
	}
	n, err := o.writeParts()
	clear(s.parts)
	if n > 0 || err == nil {
		o.endWith(int32(n)) // the owner sends the rest, and that fails
		return
	}
	o.endWith(o.resultOf(err))
}

// completion makes a completion of o, the last one unless the caller sets More.
func (o *operation) completion(res int32) engine.Completion {
	return engine.Completion{Token: o.token, Op: o.op, Res: res}
}

// awaitTurn waits until another completion may be made; false if the operation has to
// end instead.
func (o *operation) awaitTurn() bool {
	select {
	case <-o.stop: // checked first: with both ready, select chooses at random
		return false
	default:
	}
	select {
	case o.turn <- struct{}{}:
		return true
	case <-o.stop:
		return false
	}
}

// polled is called when a completion was polled: another may be made.
func (o *operation) polled() {
	select {
	case <-o.turn:
	default:
	}
}

// resultOf is the Res of an operation that ended with err and without a byte.
func (o *operation) resultOf(err error) int32 {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return engine.Failed(errnoOf(err))
	}
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	switch {
	case !o.s.shut:
		return engine.Failed(syscall.ECANCELED)
	case o.op == engine.OpSend:
		return engine.Failed(syscall.EPIPE)
	}
	return 0
}

// endWith makes o's last completion. o's goroutine does not use the socket afterwards.
func (o *operation) endWith(res int32) {
	s, e := o.s, o.e
	s.mu.Lock()
	if s.in == o {
		s.in = nil
	} else {
		s.out = nil
	}
	if o.stopRequested && !s.shut {
		o.setDeadline(never) // Order: under the lock, so before the next operation's requestStop
	}
	abandoned := o.abandoned
	s.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.alive, o)
	if !abandoned {
		e.putCompletion(entry{Completion: o.completion(res)})
	}
}

// cancel ends the incoming operation of e's owner, if one runs.
func (s *socket) cancel(e *Engine, t engine.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in != nil && s.in.e == e && s.in.token == t {
		s.in.requestStop()
		s.in.setDeadline(past)
	}
}

// abandon ends o without a completion.
func (o *operation) abandon() {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if o.s.in != o && o.s.out != o {
		return // it has ended already
	}
	o.abandoned = true
	o.requestStop()
	o.setDeadline(past)
}

// requestStop makes o's goroutine end when it checks next. s.mu is held.
func (o *operation) requestStop() {
	if !o.stopRequested {
		o.stopRequested = true
		close(o.stop)
	}
}

// setDeadline interrupts o's call, or clears that. s.mu is held.
func (o *operation) setDeadline(at time.Time) {
	switch {
	case o.op == engine.OpAccept:
		_ = o.s.listener.SetDeadline(at)
	case o.op == engine.OpConnect: // its context ends with stop
	case o.op == engine.OpSend:
		_ = o.s.conn.SetWriteDeadline(at)
	default:
		_ = o.s.conn.SetReadDeadline(at)
	}
}

func (o *operation) countCall() {
	o.e.counters.Enters.Add(1)
	o.e.counters.Submitted.Add(1)
}

// writeParts writes the socket's parts, in one gathered call if the system can.
func (o *operation) writeParts() (int64, error) {
	o.countCall()
	switch parts := o.s.parts; len(parts) {
	case 0:
		return 0, nil
	case 1:
		n, err := o.s.conn.Write(parts[0])
		return int64(n), err
	default:
		b := net.Buffers(parts)
		return b.WriteTo(o.s.conn)
	}
}
