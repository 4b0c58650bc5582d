//go:build unix || windows

package portable

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/enginetest"
)

// TestAConnectionThatWaitsHoldsNoBuffer: it has one when bytes have come, and until they were
// given back.
func TestAConnectionThatWaitsHoldsNoBuffer(t *testing.T) {
	r := newRig(t, Config{})
	var all []engine.Token
	for range 8 {
		fd, tok, peer := r.Connect()
		r.e.Recv(fd, tok)
		r.Write(peer, []byte("x"))
		all = append(all, tok)
	}
	for _, tok := range all {
		if got := r.Receive(tok, 1); got[0] != 'x' {
			t.Errorf("%q received", got)
		}
	}
	for deadline := time.Now().Add(patience); r.n.pool.Lent() > 0; r.Poll(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d buffers are held by %d connections that wait", r.n.pool.Lent(), len(all))
		}
	}
}

// TestWhatCantBeLentStaysInTheKernel: while all buffers are lent nothing more is read, whatever
// number of connections has bytes; they are received when there is a buffer again.
func TestWhatCantBeLentStaysInTheKernel(t *testing.T) {
	r := newRig(t, Config{Buffers: 1, BufferBytes: 512})
	fd, tok, peer := r.Connect()
	r.e.Recv(fd, tok)
	r.Write(peer, []byte("lent"))
	lent := r.Await(tok, engine.OpRecv)
	sent := enginetest.Fill(make([]byte, 300), 1)
	type waiting struct {
		fd  engine.FD
		tok engine.Token
	}
	var all []waiting
	for range 4 {
		fd, tok, peer := r.Connect()
		r.Write(peer, sent)
		r.e.Recv(fd, tok)
		all = append(all, waiting{fd, tok})
	}
	for _, w := range all {
		r.Want(r.Await(w.tok, engine.OpRecv), engine.Failed(syscall.ENOBUFS), false)
	}
	if n := r.n.pool.Lent(); n != 1 {
		t.Errorf("%d buffers are out, and one may be lent", n)
	}
	r.e.Recycle(&lent)
	for _, w := range all {
		r.e.Recv(w.fd, w.tok)
		if got := r.Receive(w.tok, len(sent)); !bytes.Equal(got, sent) {
			t.Errorf("%q received", got)
		}
	}
}
