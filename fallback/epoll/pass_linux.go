package epoll

import (
	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/sock"
)

// runDesc does for d what is possible without waiting, within the bounds of one
// Poll. There is room for one completion when it begins.
func (e *Engine) runDesc(d *desc) {
	if d.halfClosing {
		e.shutdownSend(d)
	}
	if d.shuttingDown {
		e.shutdown(d)
	}
	if d.in == engine.OpConnect {
		e.connect(d)
	}
	if !d.registered && (d.in != 0 || d.sending) {
		e.register(d)
	}
	if d.cancelling {
		e.cancelReceive(d)
	}
	if d.sending && d.writable && e.hasRoom() {
		e.sendNext(d)
	}
	if d.in != 0 && (d.readable || d.broken != 0) && e.hasRoom() {
		switch d.in {
		case engine.OpAccept:
			e.acceptConns(d)
		case engine.OpRecv:
			e.receiveLent(d)
		case engine.OpRecvInto:
			e.receiveInto(d)
		}
	}
	if d.closing && e.hasRoom() {
		e.closeFD(d)
	}
}

// connect begins to connect d, or ends that. Order: before register, because a socket that
// is not connected counts as hung up.
func (e *Engine) connect(d *desc) {
	switch {
	case d.cancelling || d.shutDown || !e.hasRoom():
	case !d.registered:
		e.countCall()
		d.writable = false
		if errno := sock.Connect(d.fd, d.to); errno != unix.EINPROGRESS {
			e.endConnect(d, engine.Failed(errno))
		}
	case d.writable:
		e.countCall()
		e.endConnect(d, sock.ConnectResult(d.fd))
	}
	if d.shutDown && d.in != 0 && e.hasRoom() {
		e.endConnect(d, engine.Failed(unix.ECANCELED))
	}
}

func (e *Engine) endConnect(d *desc, res int32) {
	d.writable = true
	e.endReceive(d, res)
}

// register adds d to the epoll set, once. Its first event says whether it is readable.
func (e *Engine) register(d *desc) {
	e.tally.enters++
	event := unix.EpollEvent{Events: interest, Fd: int32(d.fd), Pad: int32(d.use)}
	err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, int(d.fd), &event)
	d.registered = true
	if err != nil {
		d.unfit, _ = err.(unix.Errno)
		d.readable, d.writable = true, true
	}
}

// shutdown ends both directions. Outstanding operations see it when they try again.
func (e *Engine) shutdown(d *desc) {
	d.shuttingDown = false
	if d.use != e.network.uses.currentUse(d.fd) {
		return // the owner closed it meanwhile, and the number may belong to another socket
	}
	e.tally.enters++
	_ = unix.Shutdown(int(d.fd), unix.SHUT_RDWR) // ENOTCONN: it has ended already
	d.readable, d.writable, d.doubtful = true, true, true
}

// shutdownSend ends the outgoing direction.
func (e *Engine) shutdownSend(d *desc) {
	d.halfClosing = false
	if d.use == e.network.uses.currentUse(d.fd) { // else as in shutdown
		e.countCall()
		_ = unix.Shutdown(int(d.fd), unix.SHUT_WR) // ENOTCONN: it has ended already
	}
}

func (e *Engine) cancelReceive(d *desc) {
	if d.in == engine.OpRecvInto && d.got > 0 {
		e.endReceive(d, int32(d.got))
		return
	}
	e.endReceive(d, engine.Failed(unix.ECANCELED))
}

func (e *Engine) acceptConns(d *desc) {
	if d.failed() {
		e.endReceive(d, d.failure())
		return
	}
	for range acceptsMax {
		if !d.readable || !e.hasRoom() {
			return
		}
		fd, errno := accept(d.fd)
		e.countCall()
		switch {
		case errno == 0:
			e.complete(engine.Completion{Token: d.token, Op: engine.OpAccept, Res: int32(fd), More: true})
		case errno == unix.EAGAIN:
			d.readable = false
		case !isConnError(errno):
			e.endReceive(d, engine.Failed(errno))
			return
		}
	}
}

// isConnError reports whether an error of accept(2) concerns the connection that
// waited and not the listener: the next one may be fine.
func isConnError(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNABORTED, unix.EINTR, unix.EPROTO, unix.ENETDOWN, unix.ENETUNREACH,
		unix.ENONET, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENOPROTOOPT:
		return true
	}
	return false
}

func (e *Engine) receiveLent(d *desc) {
	if d.failed() {
		e.endReceive(d, d.failure())
		return
	}
	for range e.config.ReceivesMax {
		if !d.readable || !e.hasRoom() {
			return
		}
		b := e.buffers.next()
		if b == nil {
			e.tally.exhausted++
			e.endReceive(d, engine.Failed(unix.ENOBUFS))
			return
		}
		n, errno := receive(d.fd, b)
		e.countCall()
		switch {
		case errno == unix.EAGAIN:
			d.readable = false
		case errno == unix.EINTR:
		case errno != 0:
			e.endReceive(d, engine.Failed(errno))
			return
		case n == 0:
			e.endReceive(d, 0)
			return
		default:
			d.shortRead(n, len(b))
			e.lendBuffer(d, n)
		}
	}
}

func (e *Engine) receiveInto(d *desc) {
	if d.failed() {
		e.endReceive(d, d.failure())
		return
	}
	for range intoCallsMax {
		if !d.readable {
			return
		}
		b := d.into[d.got:]
		b = b[:min(len(b), intoBytesMax)]
		n, errno := receive(d.fd, b)
		e.countCall()
		switch {
		case errno == unix.EAGAIN:
			d.readable = false
		case errno == unix.EINTR:
		case errno != 0 || n == 0:
			e.endIntoEarly(d, errno)
			return
		default:
			d.shortRead(n, len(b))
			if d.got += n; d.got == len(d.into) {
				e.endReceive(d, int32(d.got))
				return
			}
		}
	}
}

// endIntoEarly ends a RecvInto whose connection ended. Received bytes are reported
// first, the error by the next receive. (The kernel reports an error only once.)
func (e *Engine) endIntoEarly(d *desc, errno unix.Errno) {
	if d.got > 0 {
		d.broken = errno
		e.endReceive(d, int32(d.got))
		return
	}
	e.endReceive(d, engine.Failed(errno))
}

// failed reports whether a receive ends without being tried.
func (d *desc) failed() bool { return d.unfit != 0 || d.broken != 0 }

func (d *desc) failure() int32 {
	errno := d.unfit
	if errno == 0 {
		errno, d.broken = d.broken, 0
	}
	return engine.Failed(errno)
}

// shortRead notes a read of n bytes into size. Fewer than asked for means that the
// queue was empty: later bytes have an edge of their own.
func (d *desc) shortRead(n, size int) {
	if n < size && !d.doubtful {
		d.readable = false
	}
}

// sendNext does one call. A big response is sent in several Polls, so that other
// connections are served in between.
func (e *Engine) sendNext(d *desc) {
	if d.unfit != 0 {
		e.endSend(d, engine.Failed(d.unfit))
		return
	}
	n, size, errno := e.transmitNext(d)
	switch {
	case errno == unix.EAGAIN:
		d.writable = false
	case errno == unix.EINTR:
	case errno != 0 && d.sent > 0:
		e.endSend(d, int32(d.sent)) // the owner sends the rest, and that fails
	case errno != 0:
		e.endSend(d, engine.Failed(errno))
	default:
		if n < size {
			d.writable = false // no room is left; EPOLLOUT reports when there is
		}
		d.advance(n)
		if d.index == len(d.bufs) || d.sent > 1<<30 {
			e.endSend(d, int32(d.sent)) // Res has 31 bits
		}
	}
}

// transmitNext sends the next part of d's buffers: n of size bytes were taken.
func (e *Engine) transmitNext(d *desc) (n, size int, errno unix.Errno) {
	count, offset := 0, d.offset
	var first []byte
	for _, b := range d.bufs[d.index:] {
		b = b[offset:]
		b = b[:min(len(b), sendBytesMax-size)]
		offset = 0
		if len(b) == 0 {
			continue
		}
		if count == 0 {
			first = b
		}
		e.gather.set(count, b)
		count++
		size += len(b)
		if count == iovecMax || size == sendBytesMax {
			break
		}
	}
	switch count {
	case 0:
		return 0, 0, 0
	case 1:
		n, errno = transmit(d.fd, first)
	default:
		n, errno = e.gather.transmit(d.fd, count, size)
	}
	e.countCall()
	return n, size, errno
}

// advance moves behind n bytes that were taken, and behind empty buffers.
func (d *desc) advance(n int) {
	d.sent += n
	for d.index < len(d.bufs) {
		left := len(d.bufs[d.index]) - d.offset
		if n < left {
			d.offset += n
			return
		}
		n -= left
		d.index, d.offset = d.index+1, 0
	}
}

func (e *Engine) closeFD(d *desc) {
	token := d.token
	// Order: the state is removed before the number can be used again.
	e.descs[d.fd] = nil
	e.network.uses.endUse(d.fd)
	e.tally.enters++
	err := unix.Close(int(d.fd))
	*d = desc{}
	e.spare = append(e.spare, d)
	errno, _ := err.(unix.Errno)
	e.complete(engine.Completion{Token: token, Op: engine.OpClose, Res: engine.Failed(errno)})
}

// lendBuffer completes a Recv with the n bytes in the next buffer.
func (e *Engine) lendBuffer(d *desc, n int) {
	data, lease := e.buffers.lend(n)
	e.counters.LentBytes.Add(int64(e.buffers.size))
	e.complete(engine.Completion{Token: d.token, Op: engine.OpRecv, Res: int32(n), More: true, Lease: lease, Data: data})
}

// endReceive makes the last completion of the incoming side's operation.
func (e *Engine) endReceive(d *desc, res int32) {
	op := d.in
	d.in, d.cancelling, d.into, d.got = 0, false, nil, 0
	e.complete(engine.Completion{Token: d.token, Op: op, Res: res})
}

func (e *Engine) endSend(d *desc, res int32) {
	d.sending, d.bufs = false, nil
	e.complete(engine.Completion{Token: d.token, Op: engine.OpSend, Res: res})
}

func (e *Engine) complete(c engine.Completion) {
	e.done[e.n] = c
	e.n++
}

func (e *Engine) countCall() {
	e.tally.enters++
	e.tally.submitted++
}
