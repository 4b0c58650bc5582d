//go:build linux

package uring

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"testing"

	"kring/engine"
)

var token = engine.MakeToken(5, 7)

// pattern is n bytes that tell their place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 ^ i>>8 ^ i>>16)
	}
	return b
}

// write sends b from the peer from the peer and reports how that went.
func write(c net.Conn, b []byte) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := c.Write(b)
		result <- err
	}()
	return result
}

func TestSendsGatherWithinTheirLimits(t *testing.T) {
	onBothWaits(t, Config{SendBuffersMax: 64, SendBytesMax: 100_000}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		heard := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(peer)
			heard <- b
		}()
		want := pattern(1 << 20)
		memory := r.copyOf(want)
		var bufs [][]byte
		for at := 0; at < len(memory); {
			n := min(1+at%5000, len(memory)-at)
			bufs = append(bufs, memory[at:at+n])
			at += n
		}
		for len(bufs) > 0 {
			r.engine.Send(fd, token, bufs)
			c := r.next(engine.OpSend)
			if c.Res <= 0 || c.Res > 100_000 || c.More {
				t.Fatalf("send: %+v", c)
			}
			for left := int(c.Res); left > 0; {
				if left < len(bufs[0]) {
					bufs[0] = bufs[0][left:]
					break
				}
				left -= len(bufs[0])
				bufs = bufs[1:]
			}
		}
		r.engine.Shutdown(fd, token)
		r.engine.Shutdown(fd, token)
		_, _ = r.engine.Poll(r.done, 0)
		if got := <-heard; !bytes.Equal(got, want) {
			t.Fatal("the peer got other bytes than were sent")
		}
		r.finish(fd, token, peer)
		r.pool.Put(memory)
	})
}

// TestAFullSQAndScratchSubmitAndGoOn asks for far more than fits, at once.
func TestAFullSQAndScratchSubmitAndGoOn(t *testing.T) {
	onBothWaits(t, Config{Entries: 4, CQEntries: 8, SendBuffersMax: 1024}, func(r *rig) {
		t := r.t
		const conns = 40
		var fds []engine.FD
		var peers []net.Conn
		word := r.copyOf(pattern(300))
		var bufs [][]byte
		for i := range word {
			bufs = append(bufs, word[i:i+1])
		}
		for range conns {
			fd, peer := r.pair()
			fds, peers = append(fds, fd), append(peers, peer)
		}
		for i, fd := range fds {
			r.engine.Recv(fd, engine.MakeToken(uint32(i), 1))
			r.engine.Send(fd, engine.MakeToken(uint32(i), 1), bufs)
		}
		sends := 0
		r.until(func(c *engine.Completion) bool {
			if c.Op != engine.OpSend || c.Res != 300 {
				t.Fatalf("%+v", *c)
			}
			sends++
			return sends == conns
		})
		for _, p := range peers {
			got := make([]byte, 300)
			if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, pattern(300)) {
				t.Fatalf("a peer got other bytes than were sent (%v)", err)
			}
			_ = p.Close()
		}
		closes := 0
		r.until(func(c *engine.Completion) bool {
			switch {
			case c.Res != 0 || c.More:
				t.Fatalf("%+v", *c)
			case c.Op == engine.OpRecv:
				r.engine.CloseFD(fds[c.Token.Slot()], c.Token)
			case c.Op == engine.OpClose:
				closes++
			}
			return closes == conns
		})
		if r.engine.counters.Overflows.Load() == 0 {
			t.Log("the CQ of 8 never overflowed")
		}
	})
}

// TestCloseWithEverythingOutstandingFreesIt under a busy garbage collector, so
// that whatever still used the memory would hit something.
func TestCloseWithEverythingOutstandingFreesIt(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		l, err := r.network.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.network.Discard(l.FD)
		r.engine.Accept(l.FD, engine.MakeToken(0, 1))
		big := r.copyOf(pattern(1 << 20))
		for i := range uint32(20) {
			fd, peer := r.pair()
			defer peer.Close()
			defer r.network.Discard(fd)
			tok := engine.MakeToken(i+1, 1)
			if i%2 == 0 {
				r.engine.Recv(fd, tok)
			} else {
				r.engine.RecvInto(fd, tok, r.pool.Get(100_000))
			}
			r.engine.Send(fd, tok, [][]byte{big, big, big, big})
			_, _ = peer.Write(pattern(5000))
		}
		for range 3 {
			if _, err := r.engine.Poll(r.done, 0); err != nil {
				t.Fatal(err)
			}
		}
		c, err := net.Dial("tcp", l.Addr.String()) // accepted, and nobody will hear of it
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r.close()
		runtime.GC()
	})
}
