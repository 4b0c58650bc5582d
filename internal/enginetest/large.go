package enginetest

import (
	"syscall"

	"kring/engine"
)

// What engine.LargeReceiver says, of engines that are one.
var largeProperties = []property{
	{name: "ALargeReceiveLendsRoomForTheRest", run: aLargeReceiveLendsRoomForTheRest},
	{name: "LargeReceivesBringNoMoreThanAskedFor", run: largeReceivesBringNoMoreThanAskedFor},
	{name: "LargeBuffersEndWithENOBUFSAndRecover", run: largeBuffersEndWithENOBUFSAndRecover},
	{name: "ALargeReceiveIsCancelled", run: aLargeReceiveIsCancelled},
}

// recvLarge receives up to n bytes into a large buffer.
func (c *conn) recvLarge(l engine.LargeReceiver, n int) {
	c.receiving, c.armedAt, c.large = engine.OpRecv, c.o.recycled, n
	l.RecvLarge(c.fd, c.token, n)
}

// largeReceiver is the engine as that; most is 0 if it is none.
func (o *owner) largeReceiver() (l engine.LargeReceiver, least, most int) {
	l, _ = o.e.(engine.LargeReceiver)
	if l != nil {
		least, most = l.LargeFrames()
		if most > 0 && least > most {
			o.Fatalf("large frames are from %d to %d bytes", least, most)
		}
	}
	return l, least, most
}

// untilReceived has c receive n bytes more, the rest where the first of them lie.
func (c *conn) untilReceived(l engine.LargeReceiver, n int) {
	o := c.o
	c.hold = true
	at := c.received
	for c.received == at { // one that lost a race against a Recycle is told -ENOBUFS
		c.recvLarge(l, n)
		o.until("a large receive has ended", func() bool { return c.receiving == 0 })
		if r := c.last(); r <= 0 && r != engine.Failed(syscall.ENOBUFS) {
			o.Fatalf("a large receive ended with %d", r)
		}
	}
	lent := &c.held[len(c.held)-1].c
	for got := int(c.received - at); got < n; got = int(c.received - at) {
		c.receiving, c.into, c.intoLent = engine.OpRecvInto, lent.Data[got:n], true
		o.e.RecvInto(c.fd, c.token, c.into)
		o.until("the rest", func() bool { return c.receiving == 0 })
	}
	lent.Data = lent.Data[:n]
}

func aLargeReceiveLendsRoomForTheRest(o *owner) {
	l, least, most := o.largeReceiver()
	if most == 0 {
		return
	}
	c := o.pair()
	const rounds = 20
	total := int64(rounds * (least + most))
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(9)) })
	for range rounds {
		c.untilReceived(l, least)
		c.untilReceived(l, most)
		c.giveAllBack()
	}
	o.await(w)
	if lent := o.e.Counters().LentBytes.Load(); lent != 0 {
		o.Fatalf("%d bytes lent", lent)
	}
}

func largeReceivesBringNoMoreThanAskedFor(o *owner) {
	l, _, most := o.largeReceiver()
	if most == 0 {
		return
	}
	c := o.pair()
	total := int64(4 * most)
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, always(most)) })
	for n := 1; c.received < total; n = min(2*n, most) { // completeRecv holds it against n
		c.recvLarge(l, n)
		o.until("a large receive has ended", func() bool { return c.receiving == 0 })
	}
	o.await(w)
}

func largeBuffersEndWithENOBUFSAndRecover(o *owner) {
	l, least, most := o.largeReceiver()
	if most == 0 {
		return
	}
	c := o.pair()
	const buffers = 1 << 10 // more than there are
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, int64(buffers+least), mixed(5)) })
	c.hold = true
	for starved := 0; starved < 2; { // here nobody recycles, so two in a row are the end
		if len(c.held) == buffers {
			o.Fatalf("%d large buffers are lent at once", buffers)
		}
		c.recvLarge(l, 1)
		o.until("a large receive has ended", func() bool { return c.receiving == 0 })
		if starved++; c.last() > 0 {
			starved = 0
		} else if c.last() != engine.Failed(syscall.ENOBUFS) {
			o.Fatalf("a large receive ended with %d", c.last())
		}
	}
	c.giveAllBack()
	c.untilReceived(l, least)
	c.giveAllBack()
	c.hold = false
	c.stream()
	o.until("all of it", func() bool { return c.received == int64(buffers+least) })
	o.await(w)
}

func aLargeReceiveIsCancelled(o *owner) {
	l, least, most := o.largeReceiver()
	if most == 0 {
		return
	}
	c := o.pair()
	c.recvLarge(l, least)
	o.quiet("nothing is there")
	c.cancel()
	o.until("cancelled", func() bool { return c.receiving == 0 })
	if c.last() != engine.Failed(syscall.ECANCELED) {
		o.Fatalf("a cancelled large receive ended with %d", c.last())
	}
	o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, 10, always(10)) }))
	c.stream()
	o.until("10 bytes", func() bool { return c.received == 10 })
}
