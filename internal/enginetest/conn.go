package enginetest

import (
	"syscall"

	"kring/engine"
)

// conn is a connection as its owner sees it, with what is expected of it: received
// bytes are those of pattern in, sent bytes those of pattern out.
type conn struct {
	o     *owner
	fd    engine.FD
	token engine.Token
	peer  Peer
	in    pattern
	out   pattern

	connecting bool
	connects   []int32 // Res of each connect

	receiving engine.Op // the receive that is outstanding, 0 if none
	into      []byte    // RecvInto's memory
	intoLent  bool      // it is lent memory
	large     int       // bytes that a RecvLarge asked for, 0 if it is a Recv
	armedAt   uint64    // the owner's count of Recycles when Recv was armed
	keep      bool      // re-arm a Recv that ended without a Cancel
	hold      bool      // keep leases instead of recycling them
	held      []lease
	onData    func(data []byte) // sees received bytes after they were checked
	received  int64
	ends      []int32 // Res of the last completion of each receive

	pieces  []piece  // to be sent
	bufs    [][]byte // what Send was given
	sending bool
	hush    bool // do not send the rest of a short send
	queued  int64
	sent    int64
	sends   []int32 // Res of each send
	closing bool
}

// lease is held lent data, and its offset in the stream.
type lease struct {
	c  engine.Completion
	at int64
}

// piece is memory of the owner's pool on its way out.
type piece struct{ whole, rest []byte }

// recv arms a Recv.
func (c *conn) recv() {
	c.receiving, c.armedAt, c.large = engine.OpRecv, c.o.recycled, 0
	c.o.e.Recv(c.fd, c.token)
}

// stream arms a Recv that is armed again whenever it ends without a Cancel or an error.
func (c *conn) stream() {
	c.keep = true
	c.recv()
}

// recvInto receives n bytes into memory of their own.
func (c *conn) recvInto(n int) {
	c.receiving = engine.OpRecvInto
	c.into = c.o.pool.Get(n)
	c.o.e.RecvInto(c.fd, c.token, c.into)
}

// cancel stops the receive that is outstanding, and the re-arming.
func (c *conn) cancel() {
	c.keep = false
	c.o.e.Cancel(c.fd, c.token)
}

// say sends n bytes of the pattern, in one piece.
func (c *conn) say(n int) {
	b := c.o.pool.Get(n)
	c.out.fill(b, c.queued)
	c.add(b)
	c.flush()
}

// add queues slab memory, which returns to the pool when it was sent.
func (c *conn) add(b []byte) {
	c.queued += int64(len(b))
	c.pieces = append(c.pieces, piece{b, b})
}

// flush sends all that is queued, as one operation.
func (c *conn) flush() {
	if c.sending || len(c.pieces) == 0 {
		return
	}
	c.bufs = c.bufs[:0]
	for _, p := range c.pieces {
		c.bufs = append(c.bufs, p.rest)
	}
	c.sending = true
	c.o.e.Send(c.fd, c.token, c.bufs)
}

// idle reports whether nothing is outstanding.
func (c *conn) idle() bool { return c.receiving == 0 && !c.sending && !c.connecting }

// last is the Res with which the latest receive ended.
func (c *conn) last() int32 { return c.ends[len(c.ends)-1] }

func (c *conn) complete(d *engine.Completion) {
	c.o.Helper()
	switch d.Op {
	case engine.OpRecv:
		c.completeRecv(d)
	case engine.OpRecvInto:
		c.completeInto(d)
	case engine.OpSend:
		c.completeSend(d)
	case engine.OpConnect:
		c.completeConnect(d)
	case engine.OpClose:
		if !c.closing || d.More {
			c.o.Fatalf("close of %s completed: asked for %t, more %t", c.token, c.closing, d.More)
		}
		c.o.release(c.token)
	default:
		c.o.Fatalf("connection %s got %s res %d", c.token, d.Op, d.Res)
	}
}

func (c *conn) completeRecv(d *engine.Completion) {
	o := c.o
	o.Helper()
	switch {
	case c.receiving != engine.OpRecv:
		o.Fatalf("recv res %d more %t of %s, which has %v outstanding", d.Res, d.More, c.token, c.receiving)
	case d.Res > 0 && (len(d.Data) != int(d.Res) || c.large == 0 && cap(d.Data) != len(d.Data)):
		o.Fatalf("recv res %d lends %d bytes with capacity %d", d.Res, len(d.Data), cap(d.Data))
	case c.large > 0 && (d.More || int(d.Res) > c.large || d.Res > 0 && cap(d.Data) < c.large):
		o.Fatalf("a large recv of %d: res %d more %t capacity %d", c.large, d.Res, d.More, cap(d.Data))
	case d.Res <= 0 && d.More:
		o.Fatalf("recv res %d of %s says that more will come", d.Res, c.token)
	}
	if !d.More {
		c.receiving = 0
		c.ends = append(c.ends, d.Res)
	}
	if d.Res > 0 {
		c.lent(d)
	}
	if d.Errno() == syscall.ENOBUFS {
		// After a Recycle since the arming no other need follow: try again at once.
		o.exhausted++
		if c.keep && o.leases > 0 && o.recycled == c.armedAt {
			o.starved = append(o.starved, c)
			return
		}
	}
	if !d.More && c.keep && c.receiving == 0 && (d.Res > 0 || d.Errno() == syscall.ENOBUFS) {
		c.recv()
	}
}

// lent checks the data of a completion and keeps it or gives it back.
func (c *conn) lent(d *engine.Completion) {
	o := c.o
	o.Helper()
	o.leases++
	at := c.received
	if err := c.in.check(d.Data, at); err != nil {
		o.Fatalf("%s received %d bytes at %d: %v", c.token, d.Res, at, err)
	}
	c.received += int64(d.Res)
	if c.onData != nil {
		c.onData(d.Data)
	}
	if c.hold {
		c.held = append(c.held, lease{*d, at})
		return
	}
	o.recycle(d)
}

// giveBack recycles a held lease, whose data must still be what it was.
func (c *conn) giveBack(i int) {
	c.o.Helper()
	l := &c.held[i]
	if l.c.Data == nil {
		return
	}
	if err := c.in.check(l.c.Data, l.at); err != nil {
		c.o.Fatalf("lent data of %s changed before Recycle: %v", c.token, err)
	}
	c.o.recycle(&l.c)
}

func (c *conn) giveAllBack() {
	c.o.Helper()
	for i := range c.held {
		c.giveBack(i)
	}
	c.held = nil
}

func (c *conn) completeInto(d *engine.Completion) {
	o := c.o
	o.Helper()
	if c.receiving != engine.OpRecvInto || d.More || int(d.Res) > len(c.into) {
		o.Fatalf("recv_into res %d more %t of %s, which has %v of %d bytes outstanding", d.Res, d.More, c.token, c.receiving, len(c.into))
	}
	c.receiving = 0
	c.ends = append(c.ends, d.Res)
	if d.Res > 0 {
		if err := c.in.check(c.into[:d.Res], c.received); err != nil {
			o.Fatalf("%s received %d bytes at %d in place: %v", c.token, d.Res, c.received, err)
		}
		c.received += int64(d.Res)
	}
	if !c.intoLent {
		o.pool.Put(c.into)
	}
	c.into, c.intoLent = nil, false
}

func (c *conn) completeSend(d *engine.Completion) {
	o := c.o
	o.Helper()
	total := 0
	for _, b := range c.bufs {
		total += len(b)
	}
	if !c.sending || d.More || d.Res == 0 || int(d.Res) > total {
		o.Fatalf("send res %d more %t of %s, which sends %t %d bytes", d.Res, d.More, c.token, c.sending, total)
	}
	c.sending = false
	c.sends = append(c.sends, d.Res)
	if d.Res < 0 {
		c.drop()
		return
	}
	c.sent += int64(d.Res)
	c.advance(int(d.Res))
	if !c.hush {
		c.flush()
	}
}

// advance drops n sent bytes from the front.
func (c *conn) advance(n int) {
	done := 0
	for n > 0 {
		p := &c.pieces[done]
		k := min(n, len(p.rest))
		p.rest = p.rest[k:]
		if n -= k; len(p.rest) == 0 {
			c.o.pool.Put(p.whole)
			done++
		}
	}
	c.pieces = append(c.pieces[:0], c.pieces[done:]...)
}

// drop gives up what was not sent.
func (c *conn) drop() {
	for _, p := range c.pieces {
		c.o.pool.Put(p.whole)
	}
	c.pieces = c.pieces[:0]
}

// end closes the connection as the contract asks: a join, then CloseFD.
func (c *conn) end() {
	o := c.o
	o.Helper()
	if c.closing {
		return
	}
	c.keep, c.hold, c.hush = false, false, true
	c.giveAllBack()
	if !c.idle() {
		o.e.Shutdown(c.fd, c.token)
	}
	o.until("connection "+c.token.String()+" idle", c.idle)
	c.drop()
	c.close()
}

// close asks for CloseFD.
func (c *conn) close() {
	c.closing = true
	c.o.e.CloseFD(c.fd, c.token)
}
