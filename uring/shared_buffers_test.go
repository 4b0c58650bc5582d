//go:build linux

package uring

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// TestABundleIsDeliveredInOrderAndLosesNoBuffer: what several buffers hold
// comes with one CQE, as a completion for each; an end brings none.
func TestABundleIsDeliveredInOrderAndLosesNoBuffer(t *testing.T) {
	for _, recv := range []string{RecvMultishotMode, RecvSingleMode} {
		onBothWaits(t, Config{Bundles: true, Recv: recv, Buffers: 64, BuffersHot: 16, BufferBytes: 64}, func(r *rig) {
			t, w := r.t, r.engine.window
			fd, peer := r.pair()
			want := pattern(64*10 + 7)
			if _, err := peer.Write(want); err != nil { // before the receive, so that it finds all of it
				t.Fatal(err)
			}
			r.done = r.done[:3] // parts wait for the next Poll
			r.engine.Recv(fd, token)
			var got []byte
			var held []engine.Completion
			r.until(func(c *engine.Completion) bool {
				if c.Res <= 0 || !c.More || int(c.Res) != len(c.Data) {
					t.Fatalf("%+v", *c)
				}
				got = append(got, c.Data...)
				held = append(held, *c)
				return len(got) == len(want)
			})
			if !bytes.Equal(got, want) {
				t.Error("the bytes differ from those sent")
			}
			if len(held) != 11 || w.lent != 11 {
				t.Errorf("%d completions and %d buffers for 10 buffers and a little", len(held), w.lent)
			}
			for i := range held {
				r.engine.Recycle(&held[len(held)-1-i])
			}
			_ = peer.CloseWrite()
			if c := r.next(engine.OpRecv); c.Res != 0 || c.More {
				t.Fatalf("the end: %+v", c)
			}
			if w.lent != 0 || w.given+len(w.spare) != 64 {
				t.Errorf("%d buffers lent, %d given, %d spare, of 64", w.lent, w.given, len(w.spare))
			}
			r.engine.Recv(fd, token) // again at the end, and cancelled
			r.engine.Cancel(fd, token)
			if c := r.next(engine.OpRecv); c.Res > 0 || w.given+len(w.spare) != 64 {
				t.Errorf("%+v; %d buffers given, %d spare, of 64", c, w.given, len(w.spare))
			}
			r.finish(fd, token, peer)
		})
	}
}

// TestReceivesShareAnIncrementalBuffer, also those of different connections,
// and it comes home with the last of them, whatever their order.
func TestReceivesShareAnIncrementalBuffer(t *testing.T) {
	onBothWaits(t, Config{Incremental: true, Buffers: 4, BuffersHot: 2, BufferBytes: 100}, func(r *rig) {
		t, w := r.t, r.engine.window
		fd, peer := r.pair()
		other, otherPeer := r.pair()
		otherToken := engine.MakeToken(9, 9)
		r.engine.Recv(fd, token)
		r.engine.Recv(other, otherToken)
		var held []engine.Completion
		for i := range 15 {
			to, of := peer, token
			if i%3 == 0 {
				to, of = otherPeer, otherToken
			}
			if _, err := to.Write(bytes.Repeat([]byte{byte(i)}, 10)); err != nil {
				t.Fatal(err)
			}
			c := r.next(engine.OpRecv)
			if c.Res != 10 || c.Token != of {
				t.Fatalf("%+v", c)
			}
			held = append(held, c)
		}
		if n := r.engine.counters.BuffersLent.Load(); n != 2 {
			t.Errorf("15 receives of 10 bytes lie in %d buffers of 100", n)
		}
		for i := range held {
			c := &held[(i*7)%len(held)]
			if !bytes.Equal(c.Data, bytes.Repeat([]byte{byte((i * 7) % len(held))}, 10)) {
				t.Errorf("receive %d: %v", (i*7)%len(held), c.Data)
			}
			r.engine.Recycle(c)
		}
		if w.lent != 0 || w.given+len(w.spare) != 4 {
			t.Errorf("%d buffers lent, %d given, %d spare, of 4", w.lent, w.given, len(w.spare))
		}
		for f, tok := range map[engine.FD]engine.Token{fd: token, other: otherToken} {
			r.engine.Cancel(f, tok)
			if c := r.next(engine.OpRecv); c.Errno() != unix.ECANCELED {
				t.Errorf("%+v", c)
			}
		}
		r.finish(fd, token, peer)
		r.finish(other, otherToken, otherPeer)
	})
}

// TestBuffersThatRunOutInTheMiddleLoseNothing: of a bundle or of an incremental
// buffer, whose owner keeps everything until it is told that there is no more.
func TestBuffersThatRunOutInTheMiddleLoseNothing(t *testing.T) {
	for _, c := range []Config{{Bundles: true}, {Incremental: true}, {Bundles: true, Recv: RecvSingleMode}, {Incremental: true, Recv: RecvSingleMode}} {
		c.Buffers, c.BuffersHot, c.BufferBytes = 4, 2, 64
		onBothWaits(t, c, func(r *rig) {
			t, w := r.t, r.engine.window
			fd, peer := r.pair()
			want := pattern(40_000)
			sent := write(peer, want)
			r.engine.Recv(fd, token)
			var got []byte
			var held []engine.Completion
			r.until(func(c *engine.Completion) bool {
				got = append(got, c.Data...)
				if c.Lease != 0 {
					held = append(held, *c)
				}
				switch all := len(got) == len(want); {
				case all && c.More:
					r.engine.Cancel(fd, token)
					return false
				case !c.More && c.Res < 0 && c.Errno() != unix.ENOBUFS && !(all && c.Errno() == unix.ECANCELED):
					t.Fatalf("%+v after %d bytes", *c, len(got))
				case c.More:
					return false
				case !all:
					r.engine.Recv(fd, token)
				}
				for i := range held { // the last first
					r.engine.Recycle(&held[len(held)-1-i])
				}
				held = held[:0]
				return len(got) == len(want)
			})
			if err := <-sent; err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v, or other bytes came than were sent", err)
			}
			if w.lent != 0 || w.given+len(w.spare) != 4 {
				t.Errorf("%d buffers lent, %d given, %d spare, of 4", w.lent, w.given, len(w.spare))
			}
			r.finish(fd, token, peer)
		})
	}
}
