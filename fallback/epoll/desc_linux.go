package epoll

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// interest is what every descriptor is registered for, once.
//
// Kernel: EPOLLHUP and EPOLLERR come unasked. EPOLLPRI is there because a
// receive stops short at urgent data although more may follow.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// announced are the events after which a short read proves nothing: what ends
// or interrupts the stream has had its edge already, and none follows.
const announced = unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLHUP | unix.EPOLLERR

// desc is what an engine knows about one descriptor.
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

	cancelling   bool // asked for, not done yet
	shuttingDown bool // asked for, not done yet
	shutDown     bool
	closing      bool

	in     engine.Op  // what is outstanding of OpAccept, OpRecv, OpRecvInto
	unfit  unix.Errno // epoll refuses the descriptor: every operation ends so
	broken unix.Errno // ended a RecvInto that had bytes; the next receive says it

	into []byte // OpRecvInto
	got  int

	sending bool
	bufs    [][]byte // OpSend: bufs[index][offset:] and all behind it is left
	index   int
	offset  int
	sent    int
}

// idle says that the owner waits for no completion from here.
func (d *desc) idle() bool { return d.in == 0 && !d.sending && !d.closing }

// runnable says that another pass would get somewhere.
func (d *desc) runnable() bool {
	if d.closing || d.shuttingDown || d.cancelling {
		return true
	}
	if d.in != 0 && (d.readable || !d.registered || d.broken != 0) {
		return true
	}
	return d.sending && (d.writable || !d.registered)
}

// mark notes what an event says.
func (d *desc) mark(events uint32) {
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
