package enginetest

import (
	"syscall"
	"time"
)

var sendProperties = []property{
	{name: "SendGathersInOrder", run: sendGathersInOrder},
	{name: "SendOfManyMegabytesToASlowReader", run: sendOfManyMegabytesToASlowReader},
	{name: "SendToPeerThatNeverReadsEndsAtShutdown", run: sendToPeerThatNeverReadsEndsAtShutdown},
	{name: "SendAfterResetFails", run: sendAfterResetFails},
	{name: "SendStuckWhenThePeerResetsEnds", run: sendStuckWhenThePeerResetsEnds},
	{name: "HalfCloseStillDeliversResponses", run: halfCloseStillDeliversResponses},
	{name: "SendAndReceiveDoNotDisturbEachOther", run: sendAndReceiveDoNotDisturbEachOther},
}

func sendGathersInOrder(o *owner) {
	c := o.pair()
	for _, n := range []int{1, 2, 64, 1100} { // the last is more than one system call takes: IOV_MAX is 1024
		for _, size := range []int{1, 13, 4096} {
			from := c.queued
			for i := range n {
				b := o.pool.Get(1 + (i*size)%(2*size))
				c.out.fill(b, c.queued)
				c.add(b)
			}
			c.flush()
			total := c.queued - from
			r := o.peer("reading", func() error { return c.out.readFrom(c.peer, from, total) })
			o.until("sent", func() bool { return c.sent == c.queued })
			o.await(r)
		}
	}
}

func sendOfManyMegabytesToASlowReader(o *owner) {
	c := o.pair()
	const total = 24 << 20
	c.say(total / 2)
	c.say(total / 2)
	r := o.peer("reading", func() error {
		for at := int64(0); at < total; at += 1 << 20 {
			if err := c.out.readFrom(c.peer, at, 1<<20); err != nil {
				return err
			}
			<-time.After(time.Millisecond) // a slow reader is slow
		}
		return nil
	})
	o.until("sent", func() bool { return c.sent == total })
	o.await(r)
}

// choke sends until the peer, which does not read, takes no more.
func (o *owner) choke(c *conn) {
	o.Helper()
	if p, ok := c.peer.(interface{ SetReadBuffer(int) error }); ok {
		_ = p.SetReadBuffer(64 << 10)
	}
	const piece, most = 4 << 20, 512 << 20
	c.say(piece)
	for stuck := false; !stuck; {
		if !c.sending {
			if c.queued > most {
				o.Fatalf("%d bytes were taken for a peer that does not read", c.queued)
			}
			c.say(piece)
		}
		sent := c.sent
		stuck = true
		for end := time.Now().Add(150 * time.Millisecond); stuck && time.Now().Before(end); {
			o.poll(time.Until(end))
			stuck = c.sending && c.sent == sent
		}
	}
	c.hush = true
}

func sendToPeerThatNeverReadsEndsAtShutdown(o *owner) {
	c := o.pair()
	o.choke(c)
	sends := len(c.sends)
	o.e.Shutdown(c.fd, c.token)
	o.until("the send ended", func() bool { return !c.sending })
	o.quiet("the send ended")
	if len(c.sends) != sends+1 {
		o.Fatalf("one send ended %d times", len(c.sends)-sends)
	}
	if last := c.sends[sends]; last < 0 && !broken(syscall.Errno(-last)) {
		o.Fatalf("the send ended with %v", syscall.Errno(-last))
	}
}

func sendAfterResetFails(o *owner) {
	for _, receiving := range []bool{false, true} {
		c := o.pair()
		if receiving {
			c.stream()
			o.poll(0)
		}
		o.await(o.peer("resetting", c.peer.Reset))
		if receiving {
			o.until("the reset", func() bool { return c.receiving == 0 })
		}
		for end := time.Now().Add(patience); ; {
			c.say(100)
			o.until("the send ended", func() bool { return !c.sending })
			if last := c.sends[len(c.sends)-1]; last < 0 {
				if !broken(syscall.Errno(-last)) {
					o.Fatalf("the send failed with %v", syscall.Errno(-last))
				}
				break
			}
			if time.Now().After(end) {
				o.Fatal("sends to a reset connection succeed")
			}
		}
	}
}

func sendStuckWhenThePeerResetsEnds(o *owner) {
	c := o.pair()
	o.choke(c)
	o.await(o.peer("resetting", c.peer.Reset))
	o.until("the send ended", func() bool { return !c.sending })
	if last := c.sends[len(c.sends)-1]; last < 0 && !broken(syscall.Errno(-last)) {
		o.Fatalf("the send ended with %v", syscall.Errno(-last))
	}
}

func halfCloseStillDeliversResponses(o *owner) {
	c := o.pair()
	c.stream()
	o.await(o.peer("asking and finishing", func() error {
		if err := c.in.writeTo(c.peer, 0, 1000, always(1000)); err != nil {
			return err
		}
		return c.peer.CloseWrite()
	}))
	o.until("the end", func() bool { return c.receiving == 0 && c.last() == 0 })
	if c.received != 1000 {
		o.Fatalf("%d of 1000 bytes", c.received)
	}
	const answer = 3 << 20
	c.say(answer)
	r := o.peer("reading the answer", func() error { return c.out.readFrom(c.peer, 0, answer) })
	o.until("sent", func() bool { return c.sent == answer })
	o.await(r)
}

func sendAndReceiveDoNotDisturbEachOther(o *owner) {
	c := o.pair()
	const total = 8 << 20
	c.stream()
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(4)) })
	r := o.peer("reading", func() error { return c.out.readFrom(c.peer, 0, total) })
	size := mixed(8)
	for c.sent < total || c.received < total {
		for c.queued < total && len(c.pieces) < 20 {
			b := o.pool.Get(int(min(int64(size()), total-c.queued)))
			c.out.fill(b, c.queued)
			c.add(b)
		}
		c.flush()
		sent, received := c.sent, c.received
		o.until("progress", func() bool { return c.sent > sent || c.received > received })
	}
	o.await(w, r)
}
