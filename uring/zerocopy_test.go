//go:build linux

package uring

import (
	"bytes"
	"io"
	"testing"
	"time"

	"kring/engine"
)

// TestAZeroCopySendEndsWhenItsMemoryIsFree, as one buffer and gathered, and
// what was copied in vain a few times goes the usual way.
func TestAZeroCopySendEndsWhenItsMemoryIsFree(t *testing.T) {
	onBothWaits(t, Config{ZeroCopyBytes: 10_000}, func(r *rig) {
		t := r.t
		const sends = 10
		fd, peer := r.pair()
		want := bytes.Repeat(pattern(50_000), sends)
		heard := make(chan []byte, 1)
		go func() {
			got := make([]byte, len(want))
			n, _ := io.ReadFull(peer, got)
			heard <- got[:n]
		}()
		memory := r.copyOf(want)
		for i := range sends {
			part := memory[i*50_000 : (i+1)*50_000]
			bufs := [][]byte{part}
			if i%2 == 1 {
				bufs = [][]byte{part[:7], part[7:]}
			}
			r.engine.Send(fd, token, bufs)
			if c := r.next(engine.OpSend); int(c.Res) != len(part) || c.More {
				t.Fatalf("send %d: %+v", i, c)
			}
			clear(part) // ours again: whoever still sent from it would send zeros
		}
		if !bytes.Equal(<-heard, want) {
			t.Error("the peer got other bytes than were sent")
		}
		// Loopback copies always, and says so.
		n := r.engine.counters.Snapshot()
		if n.ZeroCopySends != zeroCopyVainMax || n.ZeroCopyCopied != n.ZeroCopySends {
			t.Errorf("%d zero-copy sends and %d copied, want %d of both", n.ZeroCopySends, n.ZeroCopyCopied, zeroCopyVainMax)
		}
		r.engine.Send(fd, token, [][]byte{memory[:9_999]})
		r.next(engine.OpSend)
		if now := r.engine.counters.ZeroCopySends.Load(); now != n.ZeroCopySends {
			t.Error("a send below the threshold went without a copy")
		}
		r.finish(fd, token, peer)
		r.pool.Put(memory)
	})
}

// TestZeroCopyWithoutReportsIsNeverSwitchedOff: Linux 6.0 knows no SENDMSG_ZC,
// and neither it nor 6.1 says whether a send was copied.
func TestZeroCopyWithoutReportsIsNeverSwitchedOff(t *testing.T) {
	for _, c := range []struct {
		profile  string
		gathered uint64
	}{{"6.0", 0}, {"6.1", 8}} {
		onBothWaits(t, Config{ZeroCopyBytes: 1, KernelProfile: c.profile}, func(r *rig) {
			t := r.t
			fd, peer := r.pair()
			go func() { _, _ = io.Copy(io.Discard, peer) }()
			memory := r.copyOf(pattern(1000))
			for _, bufs := range [][][]byte{{memory}, {memory[:1], memory[1:]}} {
				for range 8 {
					r.engine.Send(fd, token, bufs)
					if c := r.next(engine.OpSend); c.Res != 1000 || c.More {
						t.Fatalf("%+v", c)
					}
				}
			}
			if n := r.engine.counters.Snapshot(); n.ZeroCopySends != 8+c.gathered || n.ZeroCopyCopied != 0 {
				t.Errorf("%s: %d zero-copy sends, %d copied, want %d and none known", c.profile, n.ZeroCopySends, n.ZeroCopyCopied, 8+c.gathered)
			}
			r.finish(fd, token, peer)
			r.pool.Put(memory)
		})
	}
}

// TestAZeroCopySendToAPeerThatNeverReadsEndsAtShutdown, and at the engine's end.
func TestAZeroCopySendToAPeerThatNeverReadsEndsAtShutdown(t *testing.T) {
	onBothWaits(t, Config{ZeroCopyBytes: 1, SendBytesMax: 64 << 20, KernelProfile: "6.1"}, func(r *rig) {
		t := r.t
		big := r.pool.Get(32 << 20)
		for _, size := range []int{32 << 20, 4 << 20} { // stuck in the call, or only in the peer's queue
			fd, peer := r.pair()
			_ = peer.SetReadBuffer(4096)
			r.engine.Send(fd, token, [][]byte{big[:size]})
			if n, err := r.engine.Poll(r.done, 20*time.Millisecond); n != 0 || err != nil {
				t.Fatalf("%d completions of a send that nobody takes, %v", n, err)
			}
			r.engine.Shutdown(fd, token)
			if c := r.next(engine.OpSend); c.More {
				t.Fatalf("%+v", c)
			}
			r.finish(fd, token, peer)
		}
		fd, peer := r.pair()
		defer peer.Close()
		defer r.network.Discard(fd)
		r.engine.Send(fd, token, [][]byte{big})
		_, _ = r.engine.Poll(r.done, time.Millisecond)
		r.close() // fails when the send has not ended within drainLimit
	})
}
