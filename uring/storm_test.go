//go:build linux

package uring

import (
	"bytes"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// TestSignalsAtTheRingsThreadDisturbNothing: every call of the kernel may end
// with EINTR, again and again. SIGURG is what Go's own preemption sends.
func TestSignalsAtTheRingsThreadDisturbNothing(t *testing.T) {
	onBothWaits(t, Config{Entries: 4, CQEntries: 16, Buffers: 16, BufferBytes: 1024}, func(r *rig) {
		t := r.t
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		fd, peer := r.pair()
		want := pattern(1 << 20)
		out := r.copyOf(want)
		var over atomic.Bool
		storming, heard := make(chan int), make(chan error, 1)
		go func(pid, tid int) {
			n := 0
			for ; !over.Load(); n++ {
				_ = unix.Tgkill(pid, tid, unix.SIGURG)
				runtime.Gosched()
			}
			storming <- n
		}(unix.Getpid(), unix.Gettid())
		go func() {
			got := make([]byte, len(want))
			_, err := io.ReadFull(peer, got)
			if err == nil && !bytes.Equal(got, want) {
				err = io.ErrUnexpectedEOF
			}
			heard <- err
		}()
		sent := write(peer, want)
		r.engine.Recv(fd, token)
		r.engine.Send(fd, token, [][]byte{out})
		var got []byte
		left := out
		r.until(func(c *engine.Completion) bool {
			switch {
			case c.Op == engine.OpSend && c.Res >= 0:
				if left = left[c.Res:]; len(left) > 0 {
					r.engine.Send(fd, token, [][]byte{left})
				}
			case c.Op == engine.OpRecv && (c.Res > 0 || c.Errno() == unix.ENOBUFS):
				got = append(got, c.Data...)
				r.engine.Recycle(c)
				if !c.More {
					r.engine.Recv(fd, token)
				}
			default:
				t.Fatalf("%+v", *c)
			}
			return len(got) == len(want) && len(left) == 0
		})
		if err := <-sent; err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v, or other bytes came than were sent", err)
		}
		if err := <-heard; err != nil {
			t.Errorf("the peer: %v", err)
		}
		for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); { // and asleep
			if n, err := r.engine.Poll(r.done, time.Until(end)); n != 0 || err != nil {
				t.Fatalf("%d completions, %v", n, err)
			}
		}
		over.Store(true)
		if n := <-storming; n < 100 {
			t.Errorf("only %d signals: too few to tell", n)
		}
		_ = peer.Close()
		r.until(func(c *engine.Completion) bool { return !c.More })
		r.finish(fd, token, peer)
	})
}
