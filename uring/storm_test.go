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
	onBothWaitsOfOneThread(t, Config{Entries: 4, CQEntries: 16, Buffers: 16, BufferBytes: 1024}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		want := pattern(1 << 20)
		out := r.copyOf(want)
		var over atomic.Bool
		var signals atomic.Int64
		storming, heard := make(chan struct{}), make(chan error, 1)
		go func(pid, tid int) {
			defer close(storming)
			for !over.Load() {
				_ = unix.Tgkill(pid, tid, unix.SIGURG)
				signals.Add(1)
				runtime.Gosched()
			}
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
		deadline := time.Now().Add(patience)
		for before := signals.Load(); signals.Load() < before+100; { // and asleep
			if n, err := r.engine.Poll(r.done, time.Millisecond); n != 0 || err != nil || time.Now().After(deadline) {
				t.Fatalf("%d completions, %v; %d signals", n, err, signals.Load())
			}
		}
		over.Store(true)
		<-storming
		_ = peer.Close()
		r.until(func(c *engine.Completion) bool { return !c.More })
		r.finish(fd, token, peer)
	})
}
