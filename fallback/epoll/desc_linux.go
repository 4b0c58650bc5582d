package epoll

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// interest is what every descriptor is registered for, once.
//
// Kernel: EPOLLHUP and EPOLLERR are always reported. EPOLLPRI is needed because a
// receive stops short at urgent data although more may follow.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// announced are the events after which a short read proves nothing: the end or
// interruption of the stream was reported already, and no edge follows.
const announced = unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLHUP | unix.EPOLLERR

// desc is an engine's state of one descriptor.
type desc struct {
	fd    engine.FD
	use   uint32 // which socket with this number, see uses
	token engine.Token

	next   *desc // on the ready list
	queued bool

	registered bool
	readable   bool // a receive may find something
	writable   bool // a send may find room
	doubtful   bool // a short read doesn't mean that nothing is left

	cancelling   bool // requested, not done yet
	shuttingDown bool // requested, not done yet
	halfClosing  bool // the same, of ShutdownSend
	shutDown     bool
	closing      bool

	in     engine.Op      // what is outstanding of OpAccept, OpConnect, OpRecv, OpRecvInto
	to     netip.AddrPort // OpConnect
	unfit  unix.Errno     // epoll refuses the descriptor: every operation ends so
	broken unix.Errno     // ended a RecvInto that had bytes; the next receive says it

	into []byte // OpRecvInto
	got  int

	sending bool
	bufs    [][]byte // OpSend: bufs[index][offset:] and all behind it is left
	index   int
	offset  int
	sent    int
}

// idle reports that no completion is outstanding.
func (d *desc) idle() bool { return d.in == 0 && !d.sending && !d.closing }

// canProgress reports whether another pass could do something.
func (d *desc) canProgress() bool {
	if d.closing || d.shuttingDown || d.halfClosing || d.cancelling {
		return true
	}
	if d.in == engine.OpConnect {
		return d.writable || !d.registered
	}
	if d.in != 0 && (d.readable || !d.registered || d.broken != 0) {
		return true
	}
	return d.sending && (d.writable || !d.registered)
}

// noteEvents sets the flags of an event.
func (d *desc) noteEvents(events uint32) {
	if events&(unix.EPOLLIN|announced) != 0 {
		d.readable = true
	}
	if events&announced != 0 {
		d.doubtful = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		d.writable = true
	}
}

// queue is a first-in first-out list of descriptors with something to do.
type queue struct {
	head, tail *desc
	len        int
}

// push adds d unless it is on the list.
func (q *queue) push(d *desc) {
	if d.queued {
		return
	}
	d.queued, d.next = true, nil
	if q.tail == nil {
		q.head = d
	} else {
		q.tail.next = d
	}
	q.tail = d
	q.len++
}

func (q *queue) pop() *desc {
	d := q.head
	q.head = d.next
	if q.head == nil {
		q.tail = nil
	}
	d.queued, d.next = false, nil
	q.len--
	return d
}
