package enginetest

import (
	"syscall"

	"kring/engine"
)

var receiveProperties = []property{
	{name: "ReceivedBytesEqualSentBytes", run: receivedBytesEqualSentBytes},
	{name: "OneByteWritesArriveInOrder", run: oneByteWritesArriveInOrder},
	{name: "DataBeforeTheFirstReceiveIsDelivered", run: dataBeforeTheFirstReceiveIsDelivered},
	{name: "LentDataStaysIntactUntilRecycle", run: lentDataStaysIntactUntilRecycle},
	{name: "RecycleOutOfOrder", run: recycleOutOfOrder},
	{name: "RecycleOfNothingDoesNothing", run: recycleOfNothingDoesNothing},
	{name: "ExhaustionEndsWithENOBUFSAndRecovers", run: exhaustionEndsWithENOBUFSAndRecovers},
	{name: "ExhaustionStopsNobodyForGood", run: exhaustionStopsNobodyForGood},
	{name: "RecvIntoFillsExactly", run: recvIntoFillsExactly},
	{name: "RecvIntoShortAtPeerEnd", run: recvIntoShortAtPeerEnd},
	{name: "PeerFinishEndsReceivesWithZero", run: peerFinishEndsReceivesWithZero},
	{name: "ResetMidReceive", run: resetMidReceive},
}

func receivedBytesEqualSentBytes(o *owner) {
	c := o.pair()
	c.stream()
	const total = 2 << 20
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(7)) })
	o.until("2 MiB", func() bool { return c.received == total })
	o.await(w)
}

func oneByteWritesArriveInOrder(o *owner) {
	c := o.pair()
	c.stream()
	const total = 3000
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, always(1)) })
	o.until("3,000 bytes", func() bool { return c.received == total })
	o.await(w)
}

func dataBeforeTheFirstReceiveIsDelivered(o *owner) {
	c := o.pair()
	o.await(o.peer("writing", func() error {
		if err := c.in.writeTo(c.peer, 0, 1000, always(1000)); err != nil {
			return err
		}
		return c.peer.CloseWrite()
	}))
	c.stream()
	o.until("the end", func() bool { return c.receiving == 0 && c.last() == 0 })
	if c.received != 1000 {
		o.Fatalf("%d of 1000 bytes", c.received)
	}
}

func lentDataStaysIntactUntilRecycle(o *owner) {
	c := o.pair()
	c.stream()
	const total = 4 << 20
	c.hold = true
	// The first buffer stays lent; what follows goes through the others.
	c.onData = func([]byte) { c.hold = len(c.held) == 0 }
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(3)) })
	o.until("4 MiB", func() bool { return c.received == total })
	o.await(w)
	c.giveAllBack() // looks at the first data again
}

func recycleOutOfOrder(o *owner) {
	c := o.pair()
	c.stream()
	const total = 2 << 20
	c.hold = true
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, always(1500)) })
	for c.received < total {
		before := c.received
		o.until("more data", func() bool { return c.received > before })
		if len(c.held) < 4 && c.received < total && c.receiving != 0 {
			continue
		}
		for step, i := len(c.held)/2+1, 0; i < step; i++ { // from the middle outwards
			for _, k := range []int{step - 1 - i, step - 1 + i} {
				if k >= 0 && k < len(c.held) {
					c.giveBack(k)
				}
			}
		}
		c.giveAllBack()
	}
	o.await(w)
}

func recycleOfNothingDoesNothing(o *owner) {
	c := o.pair()
	o.e.Recycle(&engine.Completion{})
	o.e.Recycle(&engine.Completion{Token: c.token, Op: engine.OpSend, Res: 5})
	o.e.Recycle(&engine.Completion{Token: c.token, Op: engine.OpRecv, Res: engine.Failed(syscall.ENOBUFS)})
	c.stream()
	o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, 10, always(10)) }))
	o.until("10 bytes", func() bool { return c.received == 10 })
	if lent := o.e.Counters().LentBytes.Load(); lent != 0 {
		o.Fatalf("%d bytes lent", lent)
	}
}

// exhaust streams into c and holds every lease until nothing is left to lend.
func exhaust(o *owner, c *conn) {
	o.Helper()
	c.hold = true
	c.recv()
	o.until("every buffer is lent", func() bool {
		if c.receiving != 0 {
			return false
		}
		if e := syscall.Errno(-c.last()); c.last() < 0 && e != syscall.ENOBUFS {
			o.Fatalf("receive ended with %v", e)
		}
		// One that lost a race against a Recycle isn't the end yet; here nobody
		// recycles, so a second one in a row is.
		if k := len(c.ends); k >= 2 && c.ends[k-1] < 0 && c.ends[k-2] < 0 && o.leases > 0 {
			return true
		}
		c.recv()
		return false
	})
}

func exhaustionEndsWithENOBUFSAndRecovers(o *owner) {
	c := o.pair()
	const total = 96 << 20
	stop := make(chan struct{})
	defer close(stop)
	o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, always(64<<10)) })
	for range 3 {
		exhaust(o, c)
		if o.e.Counters().LentBytes.Load() <= 0 {
			o.Fatal("LentBytes is 0 while every buffer is lent")
		}
		before := o.exhausted
		o.quiet("nothing is armed") // an engine that retries by itself would spin here
		if o.exhausted != before {
			o.Fatal("exhaustion is reported without a receive")
		}
		for i := 0; i < len(c.held); i += 2 {
			c.giveBack(i)
		}
		at := c.received
		c.hold = false
		c.stream()
		o.until("another MiB through half of the buffers", func() bool { return c.received > at+1<<20 })
		c.cancel()
		o.until("cancelled", func() bool { return c.receiving == 0 })
		c.giveAllBack()
	}
	// Each receive ends at most once, so reports are bounded by arms.
	if arms := uint64(len(c.ends)); o.exhausted > arms {
		o.Fatalf("%d exhaustions in %d receives", o.exhausted, arms)
	}
}

// exhaustionStopsNobodyForGood holds every buffer on one connection while others have
// data, and then gives them back.
func exhaustionStopsNobodyForGood(o *owner) {
	d := o.listen()
	greedy := o.connect(d)
	o.peer("flooding", func() error { return greedy.in.writeTo(greedy.peer, 0, 96<<20, always(64<<10)) })
	exhaust(o, greedy)
	var others []*conn
	for range 8 {
		c := o.connect(d)
		others = append(others, c)
		o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, 2000, always(2000)) }))
		c.stream()
	}
	for range 10 { // they end with ENOBUFS, or wait: the contract allows both
		o.poll(0)
	}
	greedy.giveAllBack()
	o.until("everybody served", func() bool {
		for _, c := range others {
			if c.received < 2000 {
				return false
			}
		}
		return true
	})
}

func recvIntoFillsExactly(o *owner) {
	c := o.pair()
	sizes := []int{1, 100, 64 << 10, 1 << 20, 5<<20 + 17, 3}
	total := int64(0)
	for _, n := range sizes {
		total += int64(n)
	}
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total+1000, mixed(9)) })
	for _, n := range sizes {
		c.recvInto(n)
		o.until("the buffer is full", func() bool { return c.receiving == 0 })
		if int(c.last()) != n {
			o.Fatalf("received %d into %d bytes", c.last(), n)
		}
	}
	c.stream() // and what follows comes the other way
	o.until("the rest", func() bool { return c.received == total+1000 })
	o.await(w)
}

func recvIntoShortAtPeerEnd(o *owner) {
	c := o.pair()
	c.recvInto(1 << 20)
	o.await(o.peer("writing", func() error {
		if err := c.in.writeTo(c.peer, 0, 70_000, always(10_000)); err != nil {
			return err
		}
		return c.peer.CloseWrite()
	}))
	o.until("the peer's end", func() bool { return c.receiving == 0 })
	if c.last() != 70_000 {
		o.Fatalf("short RecvInto has res %d, want 70000", c.last())
	}
	c.recvInto(10)
	o.until("the end shows", func() bool { return c.receiving == 0 })
	if c.last() != 0 {
		o.Fatalf("the RecvInto after the end has res %d", c.last())
	}
	c.recv()
	o.until("the end shows again", func() bool { return c.receiving == 0 })
	if c.last() != 0 {
		o.Fatalf("the Recv after the end has res %d", c.last())
	}
}

func peerFinishEndsReceivesWithZero(o *owner) {
	c := o.pair()
	c.stream()
	o.poll(0)
	o.await(o.peer("finishing", c.peer.CloseWrite))
	o.until("the end", func() bool { return c.receiving == 0 })
	if c.last() != 0 {
		o.Fatalf("res %d", c.last())
	}
	o.quiet("the receive ended")
}

func resetMidReceive(o *owner) {
	for _, into := range []bool{false, true} {
		c := o.pair()
		if into {
			c.recvInto(1 << 20)
		} else {
			c.stream()
		}
		o.await(o.peer("writing and resetting", func() error {
			if err := c.in.writeTo(c.peer, 0, 5000, always(5000)); err != nil {
				return err
			}
			return c.peer.Reset()
		}))
		o.until("the reset", func() bool { return c.receiving == 0 })
		if into && c.last() > 0 {
			// The next receive reports what stopped it, as an error or as 0: the kernel
			// reports a reset once, and MSG_WAITALL may have consumed it.
			c.recvInto(10)
			o.until("the reset at the next receive", func() bool { return c.receiving == 0 })
			if c.last() == 0 {
				continue
			}
		}
		if e := syscall.Errno(-c.last()); c.last() >= 0 || !broken(e) {
			o.Fatalf("RecvInto %t: a reset connection ended with res %d", into, c.last())
		}
	}
}
