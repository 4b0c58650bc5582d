//go:build linux

package uring

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// reply is a CQE as the kernel may post it for an operation of the matrix's
// socket.
type reply struct {
	to    engine.Op
	res   int32
	flags uint32
}

// matrixCase is what an engine makes of replies, one after the other. want is
// what the owner is told ("recv 5 more"), arms the operations that the engine
// submits in answer, stands whether the first one is outstanding afterwards.
type matrixCase struct {
	name    string
	start   func(e *ringEngine)
	replies []reply
	want    string
	arms    string
	stands  bool
}

const (
	matrixFD = engine.FD(9) // a number only: nothing is submitted

	buffered = CQEBuffer
	more     = CQEMore
	hint     = CQESockNonempty
	notif    = CQENotif
)

func failed(e unix.Errno) int32 { return -int32(e) }

func startAccept(e *ringEngine)   { e.Accept(matrixFD, token) }
func startConnect(e *ringEngine)  { e.Connect(matrixFD, token, netip.MustParseAddrPort("127.0.0.1:9")) }
func startRecv(e *ringEngine)     { e.Recv(matrixFD, token) }
func startRecvInto(e *ringEngine) { e.RecvInto(matrixFD, token, e.window.buffer(0)[:100]) }
func startDrained(e *ringEngine) {
	e.begin(matrixFD, token).drained = true
	startRecvInto(e)
}
func startSend(e *ringEngine)  { e.Send(matrixFD, token, [][]byte{e.window.buffer(0)[:100]}) }
func startClose(e *ringEngine) { e.CloseFD(matrixFD, token) }

func startSingle(e *ringEngine) {
	e.multishotRecv = false
	e.Recv(matrixFD, token)
}

// startRead has two registered buffers, startReadInto registered memory: as
// numbers only, they are the window's.
func startRead(e *ringEngine) {
	e.config.Recv = RecvFixedMode
	e.use = hooksOf(&e.config)
	e.fixed = fixed{own: e.window.memory, size: 100, spare: []uint16{0, 1}, isLent: make([]bool, 2)}
	startSingle(e)
}

func startReadInto(e *ringEngine) {
	e.config.Recv = RecvFixedMode
	e.use = hooksOf(&e.config)
	at := address(e.window.memory)
	e.fixed = fixed{start: at, end: at + uintptr(len(e.window.memory))}
	startRecvInto(e)
}

func startZeroCopy(e *ringEngine) {
	e.config.ZeroCopyBytes = 1
	e.use = hooksOf(&e.config)
	startSend(e)
}

// cancelled is start with its Cancel.
func cancelled(start func(e *ringEngine)) func(e *ringEngine) {
	return func(e *ringEngine) {
		start(e)
		e.Cancel(matrixFD, token)
	}
}

// allLent has the owner keep every buffer.
func allLent(start func(e *ringEngine)) func(e *ringEngine) {
	return func(e *ringEngine) {
		w := e.window
		for w.target = len(w.ring.entries); w.given < w.target; {
			w.publish()
		}
		for bid := range w.given {
			w.lend(uint16(bid), 1, false)
		}
		start(e)
	}
}

// closing has the receive ended, and its watch not yet.
func closing(e *ringEngine) {
	startRecv(e)
	e.end(&e.sockets.of(matrixFD).in)
	e.inflight--
	startClose(e)
}

// matrix is every combination of result, F_MORE and F_BUFFER that the kernel's
// source (6.18) can post for an operation of the engine, and those that older
// kernels posted.
var matrix = slices.Concat(acceptMatrix, connectMatrix, recvMatrix, singleMatrix, intoMatrix, readMatrix, sendMatrix, zeroCopyMatrix, ownMatrix)

var connectMatrix = []matrixCase{
	{"a connection", startConnect, []reply{{engine.OpConnect, 0, 0}}, "connect 0", "", false},
	{"refused", startConnect, []reply{{engine.OpConnect, failed(unix.ECONNREFUSED), 0}}, "connect ECONNREFUSED", "", false},
	{"nobody answers", startConnect, []reply{{engine.OpConnect, failed(unix.ETIMEDOUT), 0}}, "connect ETIMEDOUT", "", false},
	{"the cancel", cancelled(startConnect), []reply{{engine.OpConnect, failed(unix.ECANCELED), 0}}, "connect ECANCELED", "", false},
	{"a connection after the cancel", cancelled(startConnect), []reply{{engine.OpConnect, 0, 0}}, "connect 0", "", false},
	{"interrupted", startConnect, []reply{{engine.OpConnect, failed(unix.EINTR), 0}}, "", "connect", true},
	{"its thread is gone", startConnect, []reply{{engine.OpConnect, failed(unix.ECANCELED), 0}}, "", "poll", true},
	{"and that of its poll", startConnect, []reply{{engine.OpConnect, failed(unix.ECANCELED), 0}, {engine.OpConnect, failed(unix.ECANCELED), 0}}, "", "poll, poll", true},
}

var acceptMatrix = []matrixCase{
	{"a connection", startAccept, []reply{{engine.OpAccept, 30, more}}, "accept 30 more", "", true},
	{"two", startAccept, []reply{{engine.OpAccept, 30, more}, {engine.OpAccept, 31, more}}, "accept 30 more, accept 31 more", "", true},
	{"a connection, and it ended", startAccept, []reply{{engine.OpAccept, 30, 0}}, "accept 30 more", "accept", true},
	{"a connection after the cancel", cancelled(startAccept), []reply{{engine.OpAccept, 30, more}, {engine.OpAccept, failed(unix.ECANCELED), 0}},
		"accept 30 more, accept ECANCELED", "", false},
	{"a connection as the last word", cancelled(startAccept), []reply{{engine.OpAccept, 30, 0}}, "accept 30", "", false},
	{"no descriptor of the process", startAccept, []reply{{engine.OpAccept, failed(unix.EMFILE), 0}}, "accept EMFILE", "", false},
	{"no descriptor of the system", startAccept, []reply{{engine.OpAccept, failed(unix.ENFILE), 0}}, "accept ENFILE", "", false},
	{"no memory", startAccept, []reply{{engine.OpAccept, failed(unix.ENOMEM), 0}}, "accept ENOMEM", "", false},
	{"no listener", startAccept, []reply{{engine.OpAccept, failed(unix.EINVAL), 0}}, "accept EINVAL", "", false},
	{"a client that went away", startAccept, []reply{{engine.OpAccept, failed(unix.ECONNABORTED), 0}}, "", "accept", true},
	{"a client that went away after the cancel", cancelled(startAccept), []reply{{engine.OpAccept, failed(unix.ECONNABORTED), 0}},
		"accept ECONNABORTED", "", false},
	{"its thread is gone", startAccept, []reply{{engine.OpAccept, failed(unix.ECANCELED), 0}}, "", "accept", true},
	{"interrupted", startAccept, []reply{{engine.OpAccept, failed(unix.EINTR), 0}}, "", "accept", true},
	{"try again", startAccept, []reply{{engine.OpAccept, failed(unix.EAGAIN), 0}}, "", "accept", true},
	{"cancelled", cancelled(startAccept), []reply{{engine.OpAccept, failed(unix.ECANCELED), 0}}, "accept ECANCELED", "", false},
}

var recvMatrix = []matrixCase{
	{"data", startRecv, []reply{{engine.OpRecv, 5, buffered | more}}, "recv 5 more", "", true},
	{"data, and there is more", startRecv, []reply{{engine.OpRecv, 5, buffered | more | hint}}, "recv 5 more", "", true},
	{"data, and it ended", startRecv, []reply{{engine.OpRecv, 5, buffered}}, "recv 5", "cancel", false},
	{"data, then the end", startRecv, []reply{{engine.OpRecv, 5, buffered | more}, {engine.OpRecv, 0, 0}}, "recv 5 more, recv 0", "cancel", false},
	{"the end", startRecv, []reply{{engine.OpRecv, 0, 0}}, "recv 0", "cancel", false},
	{"the end, with a buffer", startRecv, []reply{{engine.OpRecv, 0, buffered}}, "recv 0", "cancel", false},
	{"a reset", startRecv, []reply{{engine.OpRecv, failed(unix.ECONNRESET), 0}}, "recv ECONNRESET", "cancel", false},
	{"a reset, with a buffer", startRecv, []reply{{engine.OpRecv, failed(unix.ECONNRESET), buffered}}, "recv ECONNRESET", "cancel", false},
	{"no buffer with the kernel", startRecv, []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "", "", true},
	{"data, then no buffer", startRecv, []reply{{engine.OpRecv, 5, buffered | more}, {engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv 5 more", "", true},
	{"every buffer lent", allLent(startRecv), []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv ENOBUFS", "cancel", false},
	{"no buffer after the cancel", cancelled(startRecv), []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv ECANCELED", "cancel", false},
	{"every buffer lent, after the cancel", allLent(cancelled(startRecv)), []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv ECANCELED", "cancel", false},
	{"cancelled", cancelled(startRecv), []reply{{engine.OpRecv, failed(unix.ECANCELED), 0}}, "recv ECANCELED", "cancel", false},
	{"cancelled, with a buffer", cancelled(startRecv), []reply{{engine.OpRecv, failed(unix.ECANCELED), buffered}}, "recv ECANCELED", "cancel", false},
	{"data after the cancel", cancelled(startRecv), []reply{{engine.OpRecv, 5, buffered | more}, {engine.OpRecv, failed(unix.ECANCELED), 0}},
		"recv 5 more, recv ECANCELED", "cancel", false},
	{"data as the last word", cancelled(startRecv), []reply{{engine.OpRecv, 5, buffered}}, "recv 5", "cancel", false},
	{"its thread is gone", startRecv, []reply{{engine.OpRecv, failed(unix.ECANCELED), 0}}, "", "recv", true},
	{"its thread is gone, with a buffer", startRecv, []reply{{engine.OpRecv, failed(unix.ECANCELED), buffered}}, "", "recv", true},
	{"interrupted", startRecv, []reply{{engine.OpRecv, failed(unix.EINTR), 0}}, "", "recv", true},
	{"try again", startRecv, []reply{{engine.OpRecv, failed(unix.EAGAIN), 0}}, "", "recv", true},
}

// singleMatrix is a receive for each completion: before 6.0, on request, and
// after a hang-up.
var singleMatrix = []matrixCase{
	{"data", startSingle, []reply{{engine.OpRecv, 5, buffered}}, "recv 5 more", "recv poll-first", true},
	{"data, and there is more", startSingle, []reply{{engine.OpRecv, 5, buffered | hint}}, "recv 5 more", "recv", true},
	{"data after the cancel", cancelled(startSingle), []reply{{engine.OpRecv, 5, buffered}}, "recv 5", "", false},
	{"the end", startSingle, []reply{{engine.OpRecv, 0, 0}}, "recv 0", "", false},
	{"the end, with a buffer", startSingle, []reply{{engine.OpRecv, 0, buffered}}, "recv 0", "", false},
	{"a reset, with a buffer", startSingle, []reply{{engine.OpRecv, failed(unix.ECONNRESET), buffered}}, "recv ECONNRESET", "", false},
	{"no buffer with the kernel", startSingle, []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "", "", true},
	{"every buffer lent", allLent(startSingle), []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv ENOBUFS", "", false},
	{"cancelled", cancelled(startSingle), []reply{{engine.OpRecv, failed(unix.ECANCELED), 0}}, "recv ECANCELED", "", false},
	{"its thread is gone", startSingle, []reply{{engine.OpRecv, failed(unix.ECANCELED), 0}}, "", "recv poll-first", true},
	{"hung up: data, then one by one", startRecv,
		[]reply{{opWatch, unix.POLLERR | unix.POLLHUP, 0}, {engine.OpRecv, failed(unix.ECANCELED), 0}, {engine.OpRecv, 5, buffered}},
		"recv 5 more", "cancel, recv poll-first, recv poll-first", true},
}

var intoMatrix = []matrixCase{
	{"full", startRecvInto, []reply{{engine.OpRecvInto, 100, 0}}, "recv_into 100", "", false},
	{"full, and there is more", startRecvInto, []reply{{engine.OpRecvInto, 100, hint}}, "recv_into 100", "", false},
	{"short", startRecvInto, []reply{{engine.OpRecvInto, 40, 0}}, "recv_into 40", "", false},
	{"the end", startRecvInto, []reply{{engine.OpRecvInto, 0, 0}}, "recv_into 0", "", false},
	{"a reset", startRecvInto, []reply{{engine.OpRecvInto, failed(unix.ECONNRESET), 0}}, "recv_into ECONNRESET", "", false},
	{"cancelled", cancelled(startRecvInto), []reply{{engine.OpRecvInto, failed(unix.ECANCELED), 0}}, "recv_into ECANCELED", "", false},
	{"cancelled half-way", cancelled(startRecvInto), []reply{{engine.OpRecvInto, 40, 0}}, "recv_into 40", "", false},
	{"its thread is gone", startRecvInto, []reply{{engine.OpRecvInto, failed(unix.ECANCELED), 0}}, "", "recv", true},
	{"its thread is gone, and there was nothing to receive", startDrained, []reply{{engine.OpRecvInto, failed(unix.ECANCELED), 0}},
		"", "recv poll-first", true},
	{"interrupted", startRecvInto, []reply{{engine.OpRecvInto, failed(unix.EINTR), 0}}, "", "recv", true},
	{"interrupted after the cancel", cancelled(startRecvInto), []reply{{engine.OpRecvInto, failed(unix.EINTR), 0}}, "recv_into EINTR", "", false},
}

// readMatrix is both receives by reads of registered memory.
var readMatrix = []matrixCase{
	{"data", startRead, []reply{{engine.OpRecv, 5, 0}}, "recv 5 more", "read fixed", true},
	{"data twice, and there is no third buffer", startRead, []reply{{engine.OpRecv, 5, 0}, {engine.OpRecv, 7, 0}},
		"recv 5 more, recv 7 more", "read fixed, recv poll-first", true},
	{"data after the cancel", cancelled(startRead), []reply{{engine.OpRecv, 5, 0}}, "recv 5", "", false},
	{"the end", startRead, []reply{{engine.OpRecv, 0, 0}}, "recv 0", "", false},
	{"a reset", startRead, []reply{{engine.OpRecv, failed(unix.ECONNRESET), 0}}, "recv ECONNRESET", "", false},
	{"cancelled", cancelled(startRead), []reply{{engine.OpRecv, failed(unix.ECANCELED), 0}}, "recv ECANCELED", "", false},
	{"its thread is gone", startRead, []reply{{engine.OpRecv, failed(unix.ECANCELED), 0}}, "", "read fixed", true},
	{"full", startReadInto, []reply{{engine.OpRecvInto, 100, 0}}, "recv_into 100", "", false},
	{"a part", startReadInto, []reply{{engine.OpRecvInto, 40, 0}}, "", "read fixed", true},
	{"full in two parts", startReadInto, []reply{{engine.OpRecvInto, 40, 0}, {engine.OpRecvInto, 60, 0}}, "recv_into 100", "read fixed", false},
	{"a part, then the end", startReadInto, []reply{{engine.OpRecvInto, 40, 0}, {engine.OpRecvInto, 0, 0}}, "recv_into 40", "read fixed", false},
	{"a part, then a reset", startReadInto, []reply{{engine.OpRecvInto, 40, 0}, {engine.OpRecvInto, failed(unix.ECONNRESET), 0}},
		"recv_into 40", "read fixed", false},
	{"a part after the cancel", cancelled(startReadInto), []reply{{engine.OpRecvInto, 40, 0}}, "recv_into 40", "", false},
	{"nothing, cancelled", cancelled(startReadInto), []reply{{engine.OpRecvInto, failed(unix.ECANCELED), 0}}, "recv_into ECANCELED", "", false},
	{"its thread is gone", startReadInto, []reply{{engine.OpRecvInto, failed(unix.ECANCELED), 0}}, "", "read fixed", true},
	{"the end", startReadInto, []reply{{engine.OpRecvInto, 0, 0}}, "recv_into 0", "", false},
}

var sendMatrix = []matrixCase{
	{"all", startSend, []reply{{engine.OpSend, 100, 0}}, "send 100", "", false},
	{"a part", startSend, []reply{{engine.OpSend, 40, 0}}, "send 40", "", false},
	{"broken pipe", startSend, []reply{{engine.OpSend, failed(unix.EPIPE), 0}}, "send EPIPE", "", false},
	{"a reset", startSend, []reply{{engine.OpSend, failed(unix.ECONNRESET), 0}}, "send ECONNRESET", "", false},
	{"its thread is gone", startSend, []reply{{engine.OpSend, failed(unix.ECANCELED), 0}}, "send 0", "", false},
	{"interrupted", startSend, []reply{{engine.OpSend, failed(unix.EINTR), 0}}, "send 0", "", false},
	{"try again", startSend, []reply{{engine.OpSend, failed(unix.EAGAIN), 0}}, "send 0", "", false},
}

var zeroCopyMatrix = []matrixCase{
	{"sent, not let go", startZeroCopy, []reply{{engine.OpSend, 100, more}}, "", "", true},
	{"sent and let go", startZeroCopy, []reply{{engine.OpSend, 100, more}, {engine.OpSend, 0, notif}}, "send 100", "", false},
	{"copied after all", startZeroCopy, []reply{{engine.OpSend, 100, more}, {engine.OpSend, -1 << 31, notif}}, "send 100", "", false},
	{"a part", startZeroCopy, []reply{{engine.OpSend, 40, more}, {engine.OpSend, 0, notif}}, "send 40", "", false},
	{"failed, not let go", startZeroCopy, []reply{{engine.OpSend, failed(unix.EPIPE), more}}, "", "", true},
	{"failed and let go", startZeroCopy, []reply{{engine.OpSend, failed(unix.EPIPE), more}, {engine.OpSend, 0, notif}}, "send EPIPE", "", false},
	{"failed before it held anything", startZeroCopy, []reply{{engine.OpSend, failed(unix.EPIPE), 0}}, "send EPIPE", "", false},
	{"no memory to pin", startZeroCopy, []reply{{engine.OpSend, failed(unix.ENOMEM), 0}}, "send 0", "", false},
	{"no memory to pin, let go", startZeroCopy, []reply{{engine.OpSend, failed(unix.ENOMEM), more}, {engine.OpSend, 0, notif}}, "send 0", "", false},
	{"a socket that can't", startZeroCopy, []reply{{engine.OpSend, failed(unix.EOPNOTSUPP), 0}}, "send 0", "", false},
	{"its thread is gone", startZeroCopy, []reply{{engine.OpSend, failed(unix.ECANCELED), more}, {engine.OpSend, 0, notif}}, "send 0", "", false},
}

// ownMatrix is what the engine submits for itself, and closes.
var ownMatrix = []matrixCase{
	{"closed", startClose, []reply{{engine.OpClose, 0, 0}}, "close 0", "", false},
	{"closed with an error", startClose, []reply{{engine.OpClose, failed(unix.EIO), 0}}, "close EIO", "", false},
	{"a cancel that found nothing any more", startRecv, []reply{{engine.OpRecv, 0, 0}, {opCancel, failed(unix.ENOENT), 0}}, "recv 0", "cancel", false},
	{"a cancel that came while the kernel was at it", cancelled(startRecv), []reply{{opCancel, failed(unix.EALREADY), 0}}, "", "cancel", true},
	{"a cancel before its target was there", cancelled(startRecv), []reply{{opCancel, failed(unix.ENOENT), 0}}, "", "cancel", true},
	{"a watch that sees the peer finish", startRecv, []reply{{opWatch, unix.POLLRDHUP, 0}}, "", "", true},
	{"a watch that sees a reset", startRecv, []reply{{opWatch, unix.POLLERR | unix.POLLHUP, 0}}, "", "cancel", true},
	{"a watch whose thread is gone", startRecv, []reply{{opWatch, failed(unix.ECANCELED), 0}}, "", "poll", true},
	{"a close that waits for the watch", closing, nil, "", "", true},
	{"a watch that ended lets the close go", closing, []reply{{opWatch, unix.POLLHUP, 0}, {engine.OpClose, 0, 0}}, "close 0", "close", false},
	{"a wake by message", startRecv, []reply{{opMessage, 0, 0}}, "", "", true},
}

// TestEveryCombinationOfResultAndFlagsEndsAsTheContractSays: the completion
// side alone, on CQEs that nobody had to provoke.
func TestEveryCombinationOfResultAndFlagsEndsAsTheContractSays(t *testing.T) {
	for _, m := range []struct {
		config Config
		cases  []matrixCase
	}{{Config{}, matrix}, {Config{Bundles: true}, bundleMatrix}, {Config{Incremental: true}, incrementalMatrix}} {
		m.config.Buffers, m.config.BuffersHot, m.config.BufferBytes = 16, 8, matrixBytes
		n := newTestNetwork(t, m.config)
		n.can.zeroCopyOps, n.can.zeroCopyFlags = []uint8{OpcodeSendZC, OpcodeSendMsgZC}, SendZCReportUsage
		for _, c := range m.cases {
			r := openRig(t, n, engine.WaitParked)
			c.run(t, r)
			r.engine.inflight = 0 // they were never submitted
			r.engine.fixed = fixed{}
			r.close()
		}
	}
}

func (c *matrixCase) run(t *testing.T, r *rig) {
	e := r.engine
	c.start(e)
	s := e.sockets.of(matrixFD)
	op := max(s.in.op, s.out.op)
	name := fmt.Sprintf("%v: %s", op, c.name)
	before, inflight, lent := armed(e), e.inflight, e.window.lent
	var told []string
	var held []engine.Completion
	kernel := takerOf(e.window)
	for _, a := range c.replies {
		e.spill = append(e.spill, a.cqe(e, kernel))
		for _, d := range r.done[:e.reap(r.done)] {
			told = append(told, tellOf(d))
			if want := d.Op == engine.OpRecv && d.Res > 0; want != (d.Lease != 0) || want && len(d.Data) != int(d.Res) {
				t.Errorf("%s: %+v lends %d bytes", name, d, len(d.Data))
			} else if want {
				held = append(held, d)
			}
		}
		if a.flags&CQEMore == 0 && a.to != opCancel && a.to != opMessage {
			inflight--
		}
	}
	if got := strings.Join(told, ", "); got != c.want {
		t.Errorf("%s: the owner was told %q, want %q", name, got, c.want)
	}
	answers := armed(e)[len(before):]
	if got := strings.Join(answers, ", "); ringFlavour == "" && got != c.arms {
		t.Errorf("%s: arms %q, want %q", name, got, c.arms)
	}
	for _, a := range answers {
		if a != "cancel" {
			inflight++
		}
	}
	if ringFlavour == "" && e.inflight != inflight {
		t.Errorf("%s: %d operations in flight, want %d", name, e.inflight, inflight)
	}
	if stands := op != 0 && (s.in.op == op || s.out.op == op); stands != c.stands {
		t.Errorf("%s: it stands: %v, want %v", name, stands, c.stands)
	}
	if e.fixed.own == nil {
		kernel.check(t, name, held)
	}
	kernel.balance(t, name, lent+distinct(held), e.fixed.lent)
	for i := range held { // the last first
		e.Recycle(&held[len(held)-1-i])
	}
	kernel.balance(t, name+", given back", lent, 0)
}

// cqe answers the operation that is outstanding, with a buffer that the kernel
// takes, if any.
func (a *reply) cqe(e *ringEngine, kernel *taker) CQE {
	s := e.sockets.of(matrixFD)
	sequence := s.in.sequence
	switch a.to {
	case engine.OpSend, engine.OpClose:
		sequence = s.out.sequence
	case opWatch:
		sequence = s.watch
	}
	q := CQE{UserData: userData(a.to, sequence, matrixFD), Res: a.res, Flags: a.flags}
	if a.flags&CQEBuffer != 0 {
		q.Flags |= uint32(kernel.take(a)) << cqeBufferShift
	}
	return q
}

// tellOf is a completion in words.
func tellOf(c engine.Completion) string {
	says := fmt.Sprintf("%v %d", c.Op, c.Res)
	if c.Res < 0 {
		says = fmt.Sprintf("%v %s", c.Op, unix.ErrnoName(c.Errno()))
	}
	if c.More {
		says += " more"
	}
	return says
}

// armed are the operations that were given to the ring and not submitted.
func armed(e *ringEngine) (all []string) {
	for _, q := range pending(e.ring) {
		name := map[uint8]string{
			OpcodeAccept: "accept", OpcodeRecv: "recv", OpcodeAsyncCancel: "cancel", OpcodePollAdd: "poll",
			OpcodeSend: "send", OpcodeSendZC: "send zc", OpcodeClose: "close", OpcodeRead: "read",
			OpcodeReadFixed: "read fixed", OpcodeConnect: "connect",
		}[q.Opcode]
		if q.Opcode == OpcodeRecv && q.IOPrio&RecvSendPollFirst != 0 && q.IOPrio&RecvMultishot == 0 {
			name += " poll-first"
		}
		all = append(all, name)
	}
	return all
}

// TestEveryEndOfTheWakeWordsReadIsTaken: a wake that is read, a read that lost
// its thread, and one that can't go on: then the engine says that it is dead.
func TestEveryEndOfTheWakeWordsReadIsTaken(t *testing.T) {
	n := newTestNetwork(t, Config{})
	for _, c := range []struct {
		res  int32
		arms bool
	}{{8, true}, {failed(unix.ECANCELED), true}, {failed(unix.EINTR), true}, {failed(unix.EAGAIN), true}, {failed(unix.EBADF), false}} {
		onThread(t, func() {
			r := openRig(t, n, engine.WaitLocked)
			e := r.engine
			before := len(armed(e))
			e.spill = append(e.spill, CQE{UserData: userData(opWake, 0, 0), Res: c.res})
			if got := e.reap(r.done); got != 0 || (e.dead == nil) != c.arms {
				t.Errorf("res %d: %d completions for the owner; dead: %v", c.res, got, e.dead)
			}
			if got := len(armed(e)) - before; ringFlavour == "" && got != 1 && c.arms || got != 0 && !c.arms {
				t.Errorf("res %d: %d reads armed", c.res, got)
			}
			e.inflight = 0 // they were never submitted
			r.close()
		})
	}
}

// onThread runs f on a goroutine that owns its thread.
func onThread(t *testing.T, f func()) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		f()
	}()
	<-over
}
