//go:build linux

package uring

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// BenchmarkRing is a submission and its completion, so many for one call of the
// kernel. One operation is one SQE.
func BenchmarkRing(b *testing.B) {
	for _, batch := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			r := newTestRing(b, 128, 256)
			cqes := make([]CQE, batch)
			b.ReportAllocs()
			for i := 0; i < b.N; i += batch {
				for range batch {
					r.GetSQE().PrepNop()
				}
				if err := r.SubmitAndGetEvents(true); err != nil {
					b.Fatal(err)
				}
				if n := r.Reap(cqes); n != batch {
					b.Fatalf("%d of %d", n, batch)
				}
			}
		})
	}
}

// BenchmarkWindow is a buffer's way: lent, given back, shown to the kernel, 32
// of them in a Poll.
func BenchmarkWindow(b *testing.B) {
	c := Config{}.withDefaults()
	w, err := openWindow(&c)
	if err != nil {
		b.Fatal(err)
	}
	var lent [32]uint16
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(lent) {
		head := w.ring.tail - uint16(w.given)
		for k := range lent {
			lent[k] = w.ring.bufferAt(head + uint16(k))
			w.lend(lent[k], 100, false)
		}
		for _, bid := range lent {
			w.giveBack(bid)
		}
		w.publish()
	}
	b.StopTimer()
	if err := w.close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkComplete is what the engine makes of a CQE that brings data, and its
// Recycle.
func BenchmarkComplete(b *testing.B) {
	r := openRig(b, newTestNetwork(b, Config{}), engine.WaitParked)
	e := r.engine
	e.Recv(matrixFD, token)
	s, w := e.sockets.of(matrixFD), e.window
	b.ReportAllocs()
	for b.Loop() {
		bid := w.ring.bufferAt(w.ring.tail - uint16(w.given))
		q := &e.batch[0]
		*q = CQE{UserData: userData(engine.OpRecv, s.in.sequence, matrixFD), Res: 100, Flags: buffered | more | uint32(bid)<<cqeBufferShift}
		if !e.complete(q, &r.done[0]) {
			b.Fatal("nothing for the owner")
		}
		e.Recycle(&r.done[0])
		w.publish()
	}
	e.inflight = 0 // it was never submitted
	r.close()
}

// BenchmarkExchange is a request's two operations on a socket: what a peer wrote
// is received, and answered.
func BenchmarkExchange(b *testing.B) {
	for _, w := range []engine.Wait{engine.WaitLocked, engine.WaitParked} {
		b.Run(w.String(), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := openRig(b, newTestNetwork(b, Config{}), w)
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			fd, in := engine.FD(fds[0]), make([]byte, 128)
			out := [][]byte{r.copyOf(in)}
			r.engine.Recv(fd, token)
			sent := false
			b.ReportAllocs()
			for b.Loop() {
				if _, err := unix.Write(fds[1], in); err != nil {
					b.Fatal(err)
				}
				for sent = false; !sent; {
					r.until(func(c *engine.Completion) bool {
						if c.Op == engine.OpRecv {
							r.engine.Recycle(c)
							r.engine.Send(fd, token, out)
						}
						sent = c.Op == engine.OpSend
						return sent
					})
				}
				if _, err := unix.Read(fds[1], in); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			r.engine.Cancel(fd, token)
			r.until(func(c *engine.Completion) bool { return !c.More })
			r.pool.Put(out[0])
			_ = unix.Close(fds[1])
			_ = unix.Close(fds[0])
			r.close()
		})
	}
}
