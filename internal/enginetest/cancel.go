package enginetest

import (
	"syscall"

	"kring/engine"
)

var cancelProperties = []property{
	{name: "CancelRecvEndsExactlyOnceWithDataBefore", run: cancelRecvEndsExactlyOnce},
	{name: "CancelWithNothingOutstandingIsSilent", run: cancelWithNothingOutstandingIsSilent},
	{name: "CancelInTheSamePollAsItsReceive", run: cancelInTheSamePoll},
	{name: "CancelRacesWithThePeersEnd", run: cancelRacesWithThePeersEnd},
	{name: "RecvIntoCancelledKeepsBytes", run: recvIntoCancelledKeepsBytes},
	{name: "ReceiveChangesItsKindBetweenFrames", run: receiveChangesItsKind},
	{name: "CancelLeavesTheSendAlone", run: cancelLeavesTheSendAlone},
}

// cancelRecvEndsExactlyOnce cancels and re-arms while data streams: every byte
// arrives once, every receive ends once.
func cancelRecvEndsExactlyOnce(o *owner) {
	c := o.pair()
	const total = 8 << 20
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(11)) })
	cancels := 0
	for c.received < total {
		ends := len(c.ends)
		c.recv()
		for range cancels % 4 { // cancel at once, or some polls later
			o.poll(0)
		}
		if c.receiving != 0 {
			c.cancel()
			if cancels%3 == 0 {
				c.cancel()
			}
		}
		o.until("the cancelled receive ended", func() bool { return c.receiving == 0 })
		if len(c.ends) != ends+1 {
			o.Fatalf("one receive ended %d times", len(c.ends)-ends)
		}
		if last := syscall.Errno(-c.last()); c.last() <= 0 && last != syscall.ECANCELED && last != syscall.ENOBUFS {
			o.Fatalf("ended with %d", c.last())
		}
		if cancels++; cancels > 200 && cancels%2 == 0 { // then let it flow, too
			c.stream()
			at := c.received
			o.until("data flows", func() bool { return c.received == total || c.received > at+256<<10 })
			c.cancel()
			o.until("the receive ended", func() bool { return c.receiving == 0 })
		}
	}
	o.await(w)
}

func cancelWithNothingOutstandingIsSilent(o *owner) {
	c := o.pair()
	for range 100 {
		c.cancel()
	}
	o.quiet("nothing was outstanding")
	c.stream()
	o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, 10, always(10)) }))
	o.until("10 bytes", func() bool { return c.received == 10 })
	if c.receiving == 0 {
		o.Fatalf("an earlier Cancel hit a later receive: %v", c.ends)
	}
}

func cancelInTheSamePoll(o *owner) {
	c := o.pair()
	for range 200 {
		c.recv()
		c.cancel()
		o.until("cancelled", func() bool { return c.receiving == 0 })
		if syscall.Errno(-c.last()) != syscall.ECANCELED {
			o.Fatalf("ended with %d", c.last())
		}
		c.recvInto(100)
		c.cancel()
		o.until("cancelled", func() bool { return c.receiving == 0 })
		if syscall.Errno(-c.last()) != syscall.ECANCELED {
			o.Fatalf("RecvInto ended with %d", c.last())
		}
	}
}

func cancelRacesWithThePeersEnd(o *owner) {
	d := o.listen()
	for round := range 100 {
		c := o.connect(d)
		c.recv()
		if round%2 == 0 {
			o.poll(0)
		}
		w := o.peer("finishing", c.peer.CloseWrite)
		c.cancel()
		o.until("ended", func() bool { return c.receiving == 0 })
		if e := syscall.Errno(-c.last()); c.last() != 0 && e != syscall.ECANCELED {
			o.Fatalf("ended with %d", c.last())
		}
		o.await(w)
		c.end()
	}
}

func recvIntoCancelledKeepsBytes(o *owner) {
	c := o.pair()
	const total = 200_000
	c.recvInto(1 << 20)
	o.poll(0)
	o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total/2, always(total/2)) }))
	o.poll(0)
	c.cancel()
	o.until("cancelled", func() bool { return c.receiving == 0 })
	if e := syscall.Errno(-c.last()); c.last() <= 0 && e != syscall.ECANCELED {
		o.Fatalf("ended with %d", c.last())
	}
	c.stream() // goes on at the very next byte
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, total/2, total/2, mixed(2)) })
	o.until("every byte", func() bool { return c.received == total })
	o.await(w)
}

// receiveChangesItsKind does what a processor does for big frames: receive,
// cancel, receive in place, receive again, in mid-stream.
func receiveChangesItsKind(o *owner) {
	c := o.pair()
	const rounds, small, big = 30, 3000, 300_000
	const total = rounds * (small + big)
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(5)) })
	for c.received < total {
		at := c.received
		c.stream()
		o.until("a small part", func() bool { return c.received >= min(total, at+small) })
		c.cancel()
		o.until("cancelled", func() bool { return c.receiving == 0 })
		if left := total - c.received; left > 0 {
			n := int(min(big, left))
			c.recvInto(n)
			o.until("a big part", func() bool { return c.receiving == 0 })
			if int(c.last()) != n {
				o.Fatalf("received %d into %d bytes", c.last(), n)
			}
		}
	}
	o.await(w)
}

func cancelLeavesTheSendAlone(o *owner) {
	c := o.pair()
	c.recv()
	c.say(8 << 20)
	o.poll(0)
	c.cancel()
	o.until("cancelled", func() bool { return c.receiving == 0 })
	if c.receiving == engine.OpRecv {
		o.Fatal("still receiving")
	}
	o.await(o.peer("reading", func() error { return c.out.readFrom(c.peer, 0, 8<<20) }))
	o.until("sent", func() bool { return c.sent == c.queued })
}
