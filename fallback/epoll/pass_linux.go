package epoll

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// pass does for d what can be done without waiting, within the bounds of one
// Poll. There is room for a completion when it begins.
func (e *Engine) pass(d *desc) {
	if d.shuttingDown {
		e.shutdown(d)
	}
	if !d.registered && (d.in != 0 || d.sending) {
		e.register(d)
	}
	if d.cancelling {
		e.cancel(d)
	}
	if d.sending && d.writable && e.room() {
		e.send(d)
	}
	if d.in != 0 && (d.readable || d.broken != 0) && e.room() {
		switch d.in {
		case engine.OpAccept:
			e.accept(d)
		case engine.OpRecv:
			e.recv(d)
		case engine.OpRecvInto:
			e.recvInto(d)
		}
	}
	if d.closing && e.room() {
		e.closeFD(d)
	}
}

// register tells epoll about d, for good. The answer to whether it is readable
// by now comes as its first event.
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

// shutdown asks for the end of both directions; what is outstanding finds out
// by trying.
func (e *Engine) shutdown(d *desc) {
	d.shuttingDown = false
	if d.use != e.network.uses.current(d.fd) {
		return // the owner did not wait for us, and the number may be another socket's
	}
	e.tally.enters++
	_ = unix.Shutdown(int(d.fd), unix.SHUT_RDWR) // ENOTCONN: it has ended already
	d.readable, d.writable, d.doubtful = true, true, true
}

func (e *Engine) cancel(d *desc) {
	if d.in == engine.OpRecvInto && d.got > 0 {
		e.endIn(d, int32(d.got))
		return
	}
	e.endIn(d, engine.Failed(unix.ECANCELED))
}

func (e *Engine) accept(d *desc) {
	if d.failed() {
		e.endIn(d, d.failure())
		return
	}
	for range acceptsMax {
		if !d.readable || !e.room() {
			return
		}
		fd, errno := accept(d.fd)
		e.count()
		switch {
		case errno == 0:
			e.complete(engine.Completion{Token: d.token, Op: engine.OpAccept, Res: int32(fd), More: true})
		case errno == unix.EAGAIN:
			d.readable = false
		case !ofTheConnection(errno):
			e.endIn(d, engine.Failed(errno))
			return
		}
	}
}

// ofTheConnection says whether accept(2) reports what had befallen a connection
// that waited, and not the listener: the next one may be well.
func ofTheConnection(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNABORTED, unix.EINTR, unix.EPROTO, unix.ENETDOWN, unix.ENETUNREACH,
		unix.ENONET, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENOPROTOOPT:
		return true
	}
	return false
}

func (e *Engine) recv(d *desc) {
	if d.failed() {
		e.endIn(d, d.failure())
		return
	}
	for range e.config.ReceivesMax {
		if !d.readable || !e.room() {
			return
		}
		b := e.buffers.top()
		if b == nil {
			e.tally.exhausted++
			e.endIn(d, engine.Failed(unix.ENOBUFS))
			return
		}
		n, errno := receive(d.fd, b)
		e.count()
		switch {
		case errno == unix.EAGAIN:
			d.readable = false
		case errno == unix.EINTR:
		case errno != 0:
			e.endIn(d, engine.Failed(errno))
			return
		case n == 0:
			e.endIn(d, 0)
			return
		default:
			d.shortRead(n, len(b))
			e.lend(d, n)
		}
	}
}

func (e *Engine) recvInto(d *desc) {
	if d.failed() {
		e.endIn(d, d.failure())
		return
	}
	for range intoCallsMax {
		if !d.readable {
			return
		}
		b := d.into[d.got:]
		b = b[:min(len(b), intoBytesMax)]
		n, errno := receive(d.fd, b)
		e.count()
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
				e.endIn(d, int32(d.got))
				return
			}
		}
	}
}

// endIntoEarly ends a RecvInto whose connection ended: what had come counts
// first, the next receive tells the reason. (The kernel tells an error once.)
func (e *Engine) endIntoEarly(d *desc, errno unix.Errno) {
	if d.got > 0 {
		d.broken = errno
		e.endIn(d, int32(d.got))
		return
	}
	e.endIn(d, engine.Failed(errno))
}

// failed says whether a receive ends without being tried.
func (d *desc) failed() bool { return d.unfit != 0 || d.broken != 0 }

func (d *desc) failure() int32 {
	errno := d.unfit
	if errno == 0 {
		errno, d.broken = d.broken, 0
	}
	return engine.Failed(errno)
}

// shortRead notes that n bytes came where size had room. Fewer than asked for
// means that the queue was empty: what comes later has an edge of its own.
func (d *desc) shortRead(n, size int) {
	if n < size && !d.doubtful {
		d.readable = false
	}
}

// send does one call: a big response goes in several Polls, so that the
// neighbours have theirs in between.
func (e *Engine) send(d *desc) {
	if d.unfit != 0 {
		e.endSend(d, engine.Failed(d.unfit))
		return
	}
	n, size, errno := e.transmit(d)
	switch {
	case errno == unix.EAGAIN:
		d.writable = false
	case errno == unix.EINTR:
	case errno != 0 && d.sent > 0:
		e.endSend(d, int32(d.sent)) // the rest is the owner's to send, and fails then
	case errno != 0:
		e.endSend(d, engine.Failed(errno))
	default:
		if n < size {
			d.writable = false // no room left, and EPOLLOUT says when there is
		}
		d.advance(n)
		if d.index == len(d.bufs) || d.sent > 1<<30 {
			e.endSend(d, int32(d.sent)) // Res has 31 bits
		}
	}
}

// transmit sends the next part of d's buffers: n of size bytes were taken.
func (e *Engine) transmit(d *desc) (n, size int, errno unix.Errno) {
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
	e.count()
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
	// Order: the state goes before the number is free for somebody else.
	e.descs[d.fd] = nil
	e.network.uses.end(d.fd)
	e.tally.enters++
	err := unix.Close(int(d.fd))
	*d = desc{}
	e.spare = append(e.spare, d)
	errno, _ := err.(unix.Errno)
	e.complete(engine.Completion{Token: token, Op: engine.OpClose, Res: engine.Failed(errno)})
}

// lend completes a Recv with the n bytes that lie in the top buffer.
func (e *Engine) lend(d *desc, n int) {
	data, lease := e.buffers.lend(n)
	e.counters.LentBytes.Add(int64(e.buffers.size))
	e.complete(engine.Completion{Token: d.token, Op: engine.OpRecv, Res: int32(n), More: true, Lease: lease, Data: data})
}

// endIn is the last completion of what the incoming side did.
func (e *Engine) endIn(d *desc, res int32) {
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

func (e *Engine) count() {
	e.tally.enters++
	e.tally.submitted++
}
