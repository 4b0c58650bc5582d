//go:build linux

package uring

import (
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// TestWhatHappensIsCounted causes each thing that has a counter.
func TestWhatHappensIsCounted(t *testing.T) {
	onBothWaits(t, Config{Recv: RecvSingleMode, Buffers: 8, BuffersHot: 1, BufferBytes: 64, SendBytesMax: 64 << 20}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		r.engine.Recv(fd, token)
		sent := write(peer, pattern(64*3))
		var held []engine.Completion
		got := 0
		r.until(func(c *engine.Completion) bool {
			held = append(held, *c)
			got += len(c.Data)
			return got == 64*3
		})
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		n := r.engine.counters.Snapshot()
		if n.Rearmed == 0 || n.BuffersLent != int64(len(held)) || n.LentBytes != int64(64*len(held)) {
			t.Errorf("after %d single receives, which are all lent: %+v", len(held), n)
		}
		for i := range held {
			r.engine.Recycle(&held[i])
		}
		if n := r.engine.counters.Snapshot(); n.BuffersLent != 0 || n.BuffersReady < 1 {
			t.Errorf("%d buffers lent and %d ready after the last Recycle", n.BuffersLent, n.BuffersReady)
		}
		r.engine.Wake()
		r.engine.Wake()
		if n := r.engine.counters.Snapshot(); n.WakesSuppressed != 2 || n.Wakes != 0 {
			t.Errorf("two wakes of an awake owner: %d sent, %d suppressed", n.Wakes, n.WakesSuppressed)
		}
		shortSend(r, fd)
		r.finish(fd, token, peer)
	})
}

// shortSend shuts a connection down below a send that its peer did not take.
func shortSend(r *rig, fd engine.FD) {
	big := r.pool.Get(32 << 20)
	r.engine.Send(fd, token, [][]byte{big})
	_, _ = r.engine.Poll(r.done, 10*time.Millisecond)
	r.engine.Shutdown(fd, token)
	ended := false
	r.until(func(c *engine.Completion) bool {
		ended = ended || c.Op == engine.OpSend
		return ended
	})
	if n := r.engine.counters.Snapshot(); n.ShortSends != 1 {
		r.t.Errorf("%d short sends, want 1", n.ShortSends)
	}
}

// TestKernelThreadsAreCounted makes the kernel start one: an operation that it always
// runs on a thread. In a process of its own: the kernel keeps these threads by the thread
// that submits, and ends idle ones after seconds, so those of other tests come and go.
func TestKernelThreadsAreCounted(t *testing.T) {
	inItsOwnProcess(t, func(t *testing.T) {
		r := newTestRing(t, 8, 8)
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		if n := KernelThreads(); n != 0 {
			t.Errorf("%d kernel threads before the first operation", n)
		}
		q := r.GetSQE()
		q.PrepRead(int32(in.Fd()), address(page), 1, ^uint64(0))
		q.Flags = SQEAsync
		if err := r.SubmitAndGetEvents(false); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); KernelThreads() != 1; runtime.Gosched() { // it names itself when it runs
			if time.Now().After(deadline) {
				t.Fatalf("%d kernel threads with one busy", KernelThreads())
			}
		}
		if _, err := io.WriteString(out, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := next(r); err != nil {
			t.Fatal(err)
		}
		_ = in.Close()
		_ = out.Close()
		_ = unix.Munmap(page)
	})
}
