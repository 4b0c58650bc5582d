//go:build linux

package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// matrixBytes is the size of a buffer in the matrix.
const matrixBytes = 256

const kept = CQEBufMore // of an incremental buffer: the kernel goes on with it

// bundleMatrix is receives that bring what several buffers hold.
var bundleMatrix = []matrixCase{
	{"a part of a buffer", startRecv, []reply{{engine.OpRecv, 5, buffered | more}}, "recv 5 more", "", true},
	{"a buffer", startRecv, []reply{{engine.OpRecv, 256, buffered | more}}, "recv 256 more", "", true},
	{"several, the last not full", startRecv, []reply{{engine.OpRecv, 522, buffered | more | hint}},
		"recv 256 more, recv 256 more, recv 10 more", "", true},
	{"several, all full", startRecv, []reply{{engine.OpRecv, 512, buffered | more}}, "recv 256 more, recv 256 more", "", true},
	{"one and one byte", startRecv, []reply{{engine.OpRecv, 257, buffered | more}}, "recv 256 more, recv 1 more", "", true},
	{"two bundles", startRecv, []reply{{engine.OpRecv, 300, buffered | more}, {engine.OpRecv, 260, buffered | more}},
		"recv 256 more, recv 44 more, recv 256 more, recv 4 more", "", true},
	{"around the ring's end", wrapped(startRecv), []reply{{engine.OpRecv, 4*256 + 1, buffered | more}, {engine.OpRecv, 300, buffered | more}},
		"recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 1 more, recv 256 more, recv 44 more", "", true},
	{"no buffer for the rest of it", startRecv, []reply{{engine.OpRecv, 8 * 256, buffered}},
		"recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 256", "cancel", false},
	{"every buffer of the window, then none", startRecv, []reply{{engine.OpRecv, 7*256 + 9, buffered | more}, {engine.OpRecv, failed(unix.ENOBUFS), 0}},
		"recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 256 more, recv 9 more", "", true},
	{"every buffer lent", allLent(startRecv), []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv ENOBUFS", "cancel", false},
	{"several, and it ended", startRecv, []reply{{engine.OpRecv, 300, buffered}}, "recv 256 more, recv 44", "cancel", false},
	{"several, then the end", startRecv, []reply{{engine.OpRecv, 300, buffered | more}, {engine.OpRecv, 0, 0}},
		"recv 256 more, recv 44 more, recv 0", "cancel", false},
	{"several, then a reset", startRecv, []reply{{engine.OpRecv, 300, buffered | more}, {engine.OpRecv, failed(unix.ECONNRESET), 0}},
		"recv 256 more, recv 44 more, recv ECONNRESET", "cancel", false},
	{"the end, with a buffer that it names", startRecv, []reply{{engine.OpRecv, 0, buffered}}, "recv 0", "cancel", false},
	{"a reset, with a buffer that it names", startRecv, []reply{{engine.OpRecv, failed(unix.ECONNRESET), buffered}}, "recv ECONNRESET", "cancel", false},
	{"its thread is gone, with a buffer that it names, and data in the same",
		startRecv, []reply{{engine.OpRecv, failed(unix.ECANCELED), buffered}, {engine.OpRecv, 300, buffered | more}},
		"recv 256 more, recv 44 more", "recv", true},
	{"several after the cancel", cancelled(startRecv), []reply{{engine.OpRecv, 300, buffered | more}, {engine.OpRecv, failed(unix.ECANCELED), 0}},
		"recv 256 more, recv 44 more, recv ECANCELED", "cancel", false},
	{"several as the last word", cancelled(startRecv), []reply{{engine.OpRecv, 300, buffered}}, "recv 256 more, recv 44", "cancel", false},
	{"one by one: several", startSingle, []reply{{engine.OpRecv, 300, buffered}}, "recv 256 more, recv 44 more", "recv poll-first", true},
	{"one by one: several, and there is more", startSingle, []reply{{engine.OpRecv, 300, buffered | hint}}, "recv 256 more, recv 44 more", "recv", true},
	{"one by one: several after the cancel", cancelled(startSingle), []reply{{engine.OpRecv, 300, buffered}}, "recv 256 more, recv 44", "", false},
	{"one by one: the end, with a buffer that it names", startSingle, []reply{{engine.OpRecv, 0, buffered}}, "recv 0", "", false},
}

// incrementalMatrix is receives that share buffers.
var incrementalMatrix = []matrixCase{
	{"a part", startRecv, []reply{{engine.OpRecv, 5, buffered | kept | more}}, "recv 5 more", "", true},
	{"two parts", startRecv, []reply{{engine.OpRecv, 5, buffered | kept | more}, {engine.OpRecv, 7, buffered | kept | more}},
		"recv 5 more, recv 7 more", "", true},
	{"all of it", startRecv, []reply{{engine.OpRecv, 256, buffered | more}, {engine.OpRecv, 7, buffered | kept | more}},
		"recv 256 more, recv 7 more", "", true},
	{"all of it in parts", startRecv,
		[]reply{{engine.OpRecv, 100, buffered | kept | more}, {engine.OpRecv, 156, buffered | more}, {engine.OpRecv, 7, buffered | kept | more}},
		"recv 100 more, recv 156 more, recv 7 more", "", true},
	{"let go before it is full", startRecv, []reply{{engine.OpRecv, 5, buffered | more}, {engine.OpRecv, 7, buffered | kept | more}},
		"recv 5 more, recv 7 more", "", true},
	{"a part, and it ended", startRecv, []reply{{engine.OpRecv, 5, buffered | kept}}, "recv 5", "cancel", false},
	{"the last part, and it ended", startRecv, []reply{{engine.OpRecv, 256, buffered}}, "recv 256", "cancel", false},
	{"a part, then the end", startRecv, []reply{{engine.OpRecv, 5, buffered | kept | more}, {engine.OpRecv, 0, 0}}, "recv 5 more, recv 0", "cancel", false},
	{"a part, then the end, with the buffer", startRecv, []reply{{engine.OpRecv, 5, buffered | kept | more}, {engine.OpRecv, 0, buffered | kept}},
		"recv 5 more, recv 0", "cancel", false},
	{"a part, then the end, which lets go of the buffer", startRecv, []reply{{engine.OpRecv, 5, buffered | kept | more}, {engine.OpRecv, 0, buffered}},
		"recv 5 more, recv 0", "cancel", false},
	{"the end, with a buffer", startRecv, []reply{{engine.OpRecv, 0, buffered | kept}}, "recv 0", "cancel", false},
	{"the end, which lets go of a buffer", startRecv, []reply{{engine.OpRecv, 0, buffered}}, "recv 0", "cancel", false},
	{"a reset, with a buffer", startRecv, []reply{{engine.OpRecv, failed(unix.ECONNRESET), buffered | kept}}, "recv ECONNRESET", "cancel", false},
	{"a reset, which lets go of a buffer", startRecv, []reply{{engine.OpRecv, failed(unix.ECONNRESET), buffered}}, "recv ECONNRESET", "cancel", false},
	{"its thread is gone, with a buffer, and data in the same",
		startRecv, []reply{{engine.OpRecv, failed(unix.ECANCELED), buffered | kept}, {engine.OpRecv, 5, buffered | kept | more}}, "recv 5 more", "recv", true},
	{"its thread is gone, which lets go of a buffer, and data in the next",
		startRecv, []reply{{engine.OpRecv, failed(unix.ECANCELED), buffered}, {engine.OpRecv, 5, buffered | kept | more}}, "recv 5 more", "recv", true},
	{"a part, then no buffer", startRecv, []reply{{engine.OpRecv, 256, buffered | more}, {engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv 256 more", "", true},
	{"every buffer lent", allLent(startRecv), []reply{{engine.OpRecv, failed(unix.ENOBUFS), 0}}, "recv ENOBUFS", "cancel", false},
	{"a part after the cancel", cancelled(startRecv), []reply{{engine.OpRecv, 5, buffered | kept | more}, {engine.OpRecv, failed(unix.ECANCELED), 0}},
		"recv 5 more, recv ECANCELED", "cancel", false},
	{"a part as the last word", cancelled(startRecv), []reply{{engine.OpRecv, 5, buffered | kept}}, "recv 5", "cancel", false},
	{"one by one: a part", startSingle, []reply{{engine.OpRecv, 5, buffered | kept}}, "recv 5 more", "recv poll-first", true},
	{"one by one: two parts", startSingle, []reply{{engine.OpRecv, 250, buffered | kept | hint}, {engine.OpRecv, 6, buffered}},
		"recv 250 more, recv 6 more", "recv, recv poll-first", true},
	{"one by one: a part after the cancel", cancelled(startSingle), []reply{{engine.OpRecv, 5, buffered | kept}}, "recv 5", "", false},
}

// wrapped has the buffers in another order than that of their ids, and the next
// ones around the end of the ring.
func wrapped(start func(e *ringEngine)) func(e *ringEngine) {
	return func(e *ringEngine) {
		w := e.window
		for k := takerOf(w); k.head != 14; {
			a, b := k.take(&reply{res: 1}), k.take(&reply{res: 1})
			w.lend(a, 1, false)
			w.lend(b, 1, false)
			w.giveBack(b)
			w.giveBack(a)
			w.publish()
		}
		start(e)
	}
}

// taker takes buffers from a ring as the kernel does, by what stands in it.
type taker struct {
	w      *window
	head   uint16
	offset int       // in an incremental buffer
	wants  []uintptr // where each part that came must lie
}

func takerOf(w *window) *taker { return &taker{w: w, head: w.ring.tail - uint16(w.given)} }

// take says which buffer the CQE of a names. An answer without data has taken
// none, but for a buffer by itself, which older kernels consumed.
func (k *taker) take(a *reply) uint16 {
	first := k.next()
	n, w := int(a.res), k.w
	switch {
	case w.shares != nil:
		if n > 0 {
			k.wants = append(k.wants, uintptr(first.Addr)+uintptr(k.offset))
			k.offset += n
		}
		if a.flags&kept == 0 {
			k.head, k.offset = k.head+1, 0
		}
	case w.places != nil:
		for ; n > 0; n -= w.size {
			k.wants = append(k.wants, uintptr(k.next().Addr))
			k.head++
		}
	default:
		if n > 0 {
			k.wants = append(k.wants, uintptr(first.Addr))
		}
		k.head++
	}
	return first.Bid
}

func (k *taker) next() bufEntry { return k.w.ring.entries[k.head&k.w.ring.mask] }

// check wants the parts where the kernel has put them.
func (k *taker) check(t *testing.T, name string, parts []engine.Completion) {
	t.Helper()
	if len(parts) != len(k.wants) {
		t.Errorf("%s: %d parts lent, %d received", name, len(parts), len(k.wants))
		return
	}
	for i := range parts {
		if at := address(parts[i].Data); at != k.wants[i] {
			t.Errorf("%s: part %d of %d bytes is lent %d bytes from where it was received", name, i, len(parts[i].Data), int(at-k.wants[i]))
		}
	}
}

// balance wants every buffer in its place: so many lent, and with the kernel
// those that it will find.
func (k *taker) balance(t *testing.T, name string, lent, fixedLent int) {
	t.Helper()
	w := k.w
	if w.lent+fixedLent != lent {
		t.Errorf("%s: %d buffers lent, the owner has %d", name, w.lent+fixedLent, lent)
	}
	if left := int(w.ring.tail - k.head); w.given != left {
		t.Errorf("%s: %d buffers with the kernel, which has %d", name, w.given, left)
	}
	if w.given+len(w.spare)+w.withOwner() != len(w.ring.entries) {
		t.Errorf("%s: %d buffers with the kernel, %d spare, %d with the owner", name, w.given, len(w.spare), w.withOwner())
	}
}

// distinct counts the buffers that leases lie in.
func distinct(held []engine.Completion) int {
	all := map[uint32]bool{}
	for i := range held {
		all[held[i].Lease] = true
	}
	return len(all)
}

// withOwner counts the buffers that only Recycle brings back.
func (w *window) withOwner() int {
	if w.shares == nil {
		return w.lent
	}
	n := 0
	for i := range w.shares {
		if w.shares[i].over {
			n++
		}
	}
	return n
}
