//go:build linux

package uring

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/slab"
)

// onFixed runs a test on engines that registered a region of the rig's pool.
func onFixed(t *testing.T, settings string, test func(r *rig)) {
	for _, w := range []engine.Wait{engine.WaitLocked, engine.WaitParked} {
		t.Run(w.String(), func(t *testing.T) {
			if w == engine.WaitLocked {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			n := newTestNetwork(t, configOf(t, settings))
			var pool slab.Pool
			region, err := pool.Reserve(n.MemoryWanted())
			if err != nil {
				t.Fatal(err)
			}
			n.UseMemory(region)
			onOpened(t, n, w, func(r *rig) {
				r.pool = &pool
				test(r)
			})
		})
	}
}

// registered is how many operations went to registered memory in f.
func (r *rig) registered(f func()) uint64 {
	before := r.engine.total.registered
	f()
	return r.engine.total.registered - before
}

func (r *rig) send(fd engine.FD, want int, bufs ...[]byte) {
	r.t.Helper()
	for sent := 0; sent < want; {
		r.engine.Send(fd, token, bufs)
		c := r.next(engine.OpSend)
		if c.Res < 0 || c.More {
			r.t.Fatalf("%+v", c)
		}
		sent += int(c.Res)
		for n := int(c.Res); n > 0 && len(bufs) > 0; {
			k := min(n, len(bufs[0]))
			if bufs[0], n = bufs[0][k:], n-k; len(bufs[0]) == 0 {
				bufs = bufs[1:]
			}
		}
	}
}

// TestSendsGoFromRegisteredMemoryWhereTheyLieInIt, one and gathered, without a
// copy and with it; other memory, and a gathering that is not all registered,
// go as ever.
func TestSendsGoFromRegisteredMemoryWhereTheyLieInIt(t *testing.T) {
	for _, c := range []struct {
		settings         string
		single, gathered uint64
	}{
		{"send=fixed", 1, 1},
		{"profile=6.12 send=fixed", 1, 0},
		{"profile=6.15 zero-copy-fixed=on zero-copy-bytes=1", 1, 1},
		{"profile=6.12 zero-copy-fixed=on zero-copy-bytes=1", 1, 0},
	} {
		onFixed(t, c.settings, func(r *rig) {
			t := r.t
			fd, peer := r.pair()
			heard := make(chan []byte, 1)
			go func() {
				all := make([]byte, 4000)
				n, _ := io.ReadFull(peer, all)
				heard <- all[:n]
			}()
			in, out := r.copyOf(pattern(1000)), r.pool.Get(2 << 20)[:1000]
			copy(out, in)
			for _, s := range []struct {
				bufs [][]byte
				want uint64
			}{{[][]byte{in}, c.single}, {[][]byte{in[:7], in[7:]}, c.gathered}, {[][]byte{out}, 0}, {[][]byte{in[:7], out[7:]}, 0}} {
				if n := r.registered(func() { r.send(fd, 1000, s.bufs...) }); n != s.want {
					t.Errorf("%s: %d sends of %d buffers from registered memory, want %d", c.settings, n, len(s.bufs), s.want)
				}
			}
			if got := <-heard; !bytes.Equal(got, bytes.Repeat(pattern(1000), 4)) {
				t.Errorf("%s: the peer got %d other bytes", c.settings, len(got))
			}
			r.finish(fd, token, peer)
			r.pool.Put(in)
			r.pool.Put(out)
		})
	}
}

// TestAReceiveIntoRegisteredMemoryIsFullOrEnded, as one by RECV is.
func TestAReceiveIntoRegisteredMemoryIsFullOrEnded(t *testing.T) {
	onFixed(t, "recv=fixed", func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		memory := r.pool.Get(10_000)
		want := pattern(10_000)
		r.registered(func() {
			r.engine.RecvInto(fd, token, memory)
			for at := 0; at < len(want); at += 2500 {
				if n, err := r.engine.Poll(r.done, time.Millisecond); n != 0 || err != nil {
					t.Fatalf("%d completions after %d bytes, %v", n, at, err)
				}
				_, _ = peer.Write(want[at : at+2500])
			}
		})
		if c := r.next(engine.OpRecvInto); c.Res != 10_000 || !bytes.Equal(memory, want) {
			t.Fatalf("%+v", c)
		}
		if r.engine.total.registered == 0 {
			t.Error("no read of registered memory")
		}
		_, _ = peer.Write(want[:100])
		r.engine.RecvInto(fd, token, memory)
		for deadline := time.Now().Add(patience); r.engine.sockets.of(fd).in.got < 100; {
			if n, err := r.engine.Poll(r.done, time.Millisecond); n != 0 || err != nil || time.Now().After(deadline) {
				t.Fatal(n, err)
			}
		}
		r.engine.Cancel(fd, token)
		if c := r.next(engine.OpRecvInto); c.Res != 100 {
			t.Errorf("cancelled after 100 bytes: %+v", c)
		}
		_, _ = peer.Write(want[:100])
		_ = peer.CloseWrite()
		r.engine.RecvInto(fd, token, memory)
		if c := r.next(engine.OpRecvInto); c.Res != 100 {
			t.Errorf("ended after 100 bytes: %+v", c)
		}
		r.engine.RecvInto(fd, token, memory)
		if c := r.next(engine.OpRecvInto); c.Res != 0 {
			t.Errorf("at the end: %+v", c)
		}
		r.pool.Put(memory)
		r.finish(fd, token, peer)
	})
}

// TestConnectionsWithoutARegisteredBufferReceiveAllTheSame: there are 16, and
// each stays with a connection that waits.
func TestConnectionsWithoutARegisteredBufferReceiveAllTheSame(t *testing.T) {
	onFixed(t, "recv=fixed buffer-bytes=4096 fixed-bytes=65536", func(r *rig) {
		t := r.t
		const conns = 24
		var fds [conns]engine.FD
		tokenOf := func(i int) engine.Token { return engine.MakeToken(uint32(i), 1) }
		for i := range fds {
			fd, peer := r.pair()
			fds[i] = fd
			if n := r.registered(func() { r.engine.Recv(fd, tokenOf(i)) }); n != 1 && i < 16 || n != 0 && i >= 16 {
				t.Errorf("receive %d: %d into registered memory", i, n)
			}
			_, _ = peer.Write([]byte{byte(i)})
			defer peer.Close()
		}
		heard, kept := 0, make([]engine.Completion, 0, conns)
		r.until(func(c *engine.Completion) bool {
			if c.Op != engine.OpRecv || c.Res != 1 || !c.More || c.Data[0] != byte(c.Token.Slot()) {
				t.Fatalf("%+v %v", *c, c.Data)
			}
			kept = append(kept, *c)
			heard++
			return heard == conns
		})
		if n := r.engine.counters.Snapshot(); n.BuffersLent != conns || n.LentBytes != conns*4096 {
			t.Errorf("%d buffers and %d bytes are lent, want %d buffers", n.BuffersLent, n.LentBytes, conns)
		}
		for i := range kept {
			r.engine.Recycle(&kept[i])
		}
		for i, fd := range fds {
			r.engine.Cancel(fd, tokenOf(i))
		}
		ended := 0
		r.until(func(c *engine.Completion) bool {
			if c.Errno() != unix.ECANCELED || c.More {
				t.Fatalf("%+v", *c)
			}
			ended++
			return ended == conns
		})
		for i, fd := range fds {
			r.engine.CloseFD(fd, tokenOf(i))
			r.next(engine.OpClose)
		}
		if f := &r.engine.fixed; len(f.spare) != 16 || f.lent != 0 {
			t.Errorf("%d spare buffers, %d lent; want 16 and none", len(f.spare), f.lent)
		}
	})
}
