package portable

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"kring/engine"
)

// sendBytesMax bounds what one Send takes, so that Res can say it.
const sendBytesMax = 1 << 30

// operation is one Accept, Recv, RecvInto or Send, and its goroutine.
type operation struct {
	e     *Engine
	s     *socket
	fd    engine.FD
	token engine.Token
	op    engine.Op
	into  []byte
	bufs  [][]byte

	// turn holds a mark for each completion that is being made or waits to be
	// polled: a full one keeps the goroutine from going further ahead.
	turn chan struct{}
	// stop is closed when the operation shall end; guarded by s.mu is who
	// closes it, and halted tells that it is.
	stop   chan struct{}
	halted bool // guarded by s.mu

	abandoned bool // guarded by s.mu: the engine is closing, nobody wants the completion
}

func (o *operation) run() {
	switch o.op {
	case engine.OpAccept:
		o.accept()
	case engine.OpRecv:
		o.recv()
	case engine.OpRecvInto:
		o.recvInto()
	case engine.OpSend:
		o.send()
	}
}

func (o *operation) accept() {
	for o.mayGoOn() {
		o.count()
		accepted, err := o.s.listener.Accept()
		if err != nil {
			o.end(o.verdict(err))
			return
		}
		conn := accepted.(conn) // Go's net: of what listens
		// A connection that can't be configured is a broken one: its first
		// receive tells.
		_ = configure(conn, o.s.options)
		c := o.answer(int32(o.e.network.add(&socket{conn: conn})))
		c.More = true
		o.e.mu.Lock()
		o.e.put(entry{Completion: c, from: o})
		o.e.mu.Unlock()
	}
	o.end(engine.Failed(syscall.ECANCELED))
}

func (o *operation) recv() {
	s := o.s
	if s.broken != 0 {
		o.endBroken()
		return
	}
	for o.mayGoOn() {
		if len(s.held) == 0 {
			if err := o.fetch(); err != nil {
				o.end(o.verdict(err))
				return
			}
		}
		if !o.e.lend(o, s.buffer, s.held) {
			o.e.counters.Exhausted.Add(1)
			o.end(engine.Failed(syscall.ENOBUFS)) // the next receive has what is held
			return
		}
		s.buffer, s.held = nil, nil
	}
	o.end(o.verdict(os.ErrDeadlineExceeded))
}

// fetch reads into the socket's buffer. It has bytes, or an error.
func (o *operation) fetch() error {
	s, pool := o.s, &o.e.network.pool
	if s.buffer == nil {
		b, err := pool.TryGet(o.e.network.config.BufferBytes)
		if err != nil {
			return syscall.ENOMEM
		}
		s.buffer = b
	}
	o.count()
	n, err := s.conn.Read(s.buffer)
	if n > 0 {
		s.undelivered.Add(int64(n))
		s.held = s.buffer[:n] // an error comes again
		return nil
	}
	pool.Put(s.buffer)
	s.buffer = nil
	return err
}

func (o *operation) recvInto() {
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
		o.count()
		var n int
		n, err = s.conn.Read(o.into[got:])
		got += n
	}
	switch {
	case got == len(o.into):
		o.end(int32(got))
	case got > 0:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.broken = errnoOf(err) // what had come counts first
		}
		o.end(int32(got))
	default:
		o.end(o.verdict(err))
	}
}

// endBroken ends a receive with what ended the connection during the one before.
func (o *operation) endBroken() {
	errno := o.s.broken
	o.s.broken = 0
	o.end(engine.Failed(errno))
}

func (o *operation) send() {
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
	n, err := o.write()
	clear(s.parts)
	if n > 0 || err == nil {
		o.end(int32(n)) // the rest is the owner's to send, and fails then
		return
	}
	o.end(o.verdict(err))
}

// answer is a completion of o, the last one unless the caller says otherwise.
func (o *operation) answer(res int32) engine.Completion {
	return engine.Completion{Token: o.token, Op: o.op, Res: res}
}

// mayGoOn waits until another completion may be made, and says false when the
// operation shall end instead.
func (o *operation) mayGoOn() bool {
	select {
	case <-o.stop: // first: with both possible, select would choose by chance
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

// polled makes room for another completion.
func (o *operation) polled() {
	select {
	case <-o.turn:
	default:
	}
}

// verdict is the Res for an operation that ended with err and without a byte.
func (o *operation) verdict(err error) int32 {
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

// end is the last that o's goroutine does with the socket.
func (o *operation) end(res int32) {
	s, e := o.s, o.e
	s.mu.Lock()
	if s.in == o {
		s.in = nil
	} else {
		s.out = nil
	}
	if o.halted && !s.shut {
		o.deadline(never) // Order: under the lock, so before the next operation's halt
	}
	abandoned := o.abandoned
	s.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.alive, o)
	if !abandoned {
		e.put(entry{Completion: o.answer(res)})
	}
}

// cancel ends the incoming operation of e's owner, if one runs.
func (s *socket) cancel(e *Engine, t engine.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in != nil && s.in.e == e && s.in.token == t {
		s.in.halt()
		s.in.deadline(past)
	}
}

// abandon ends o without a completion.
func (o *operation) abandon() {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if o.s.in != o && o.s.out != o {
		return // it has ended by itself
	}
	o.abandoned = true
	o.halt()
	o.deadline(past)
}

// halt tells o's goroutine to end when it looks. s.mu is held.
func (o *operation) halt() {
	if !o.halted {
		o.halted = true
		close(o.stop)
	}
}

// deadline interrupts o's call, or takes that back. s.mu is held.
func (o *operation) deadline(at time.Time) {
	switch {
	case o.op == engine.OpAccept:
		_ = o.s.listener.SetDeadline(at)
	case o.op == engine.OpSend:
		_ = o.s.conn.SetWriteDeadline(at)
	default:
		_ = o.s.conn.SetReadDeadline(at)
	}
}

func (o *operation) count() {
	o.e.counters.Enters.Add(1)
	o.e.counters.Submitted.Add(1)
}

// write writes the socket's parts, in one gathered call where the system can.
func (o *operation) write() (int64, error) {
	o.count()
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
