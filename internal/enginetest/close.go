package enginetest

import (
	"errors"
	"io"
	"os"

	"kring/internal/slab"
)

var closeProperties = []property{
	{name: "ShutdownEndsEverythingOnce", run: shutdownEndsEverythingOnce},
	{name: "ShutdownKeepsWhatWasTaken", run: shutdownKeepsWhatWasTaken},
	{name: "ShutdownSendEndsWhatThePeerReadsAndReceivesGoOn", run: shutdownSendLeavesReceives},
	{name: "CloseFDIsTheLastWord", run: closeFDIsTheLastWord},
	{name: "DetachedConnectionsGoOnWithAnotherEngine", run: detachedGoOn},
	{name: "ReusedNumbersNeverCrossTokens", run: reusedNumbersNeverCrossTokens},
	{name: "EngineCloseWithOperationsOutstandingFreesEverything", run: engineCloseFreesEverything},
	{name: "LentDataOutlivesTheEngine", run: lentDataOutlivesTheEngine},
	{name: "EngineCloseWithoutAnyOperation", run: func(*owner) {}},
}

func shutdownEndsEverythingOnce(o *owner) {
	for _, into := range []bool{false, true} {
		c := o.pair()
		o.choke(c)
		if into {
			c.recvInto(1000)
		} else {
			c.recv()
		}
		o.poll(0)
		o.e.Shutdown(c.fd, c.token)
		o.e.Shutdown(c.fd, c.token)
		o.until("both ended", c.idle)
		o.e.Shutdown(c.fd, c.token)
		o.quiet("everything ended")
		if c.last() > 0 {
			o.Fatalf("a receive without data ended with %d", c.last())
		}
		// What is submitted now ends as well.
		c.recv()
		o.until("a receive after Shutdown ended", c.idle)
		c.drop()
		c.say(10)
		o.until("a send after Shutdown ended", c.idle)
		if last := c.sends[len(c.sends)-1]; last >= 0 {
			o.Fatalf("a send after Shutdown took %d bytes", last)
		}
	}
}

func shutdownKeepsWhatWasTaken(o *owner) {
	c := o.pair()
	const total = 3000 // fits any window: nobody reads yet
	c.say(total)
	o.until("sent", func() bool { return c.sent == total })
	c.end()
	o.await(o.peer("reading to the end", func() error {
		if err := c.out.readFrom(c.peer, 0, total); err != nil {
			return err
		}
		return wantEnd(c.peer)
	}))
}

// shutdownSendLeavesReceives: the peer reads all that was sent and then an end, and what it
// sends from then on still comes, up to its own end.
func shutdownSendLeavesReceives(o *owner) {
	c := o.pair()
	const total = 3000 // fits any window: nobody reads yet
	c.say(total)
	o.until("sent", func() bool { return c.sent == total })
	c.stream()
	o.poll(0)
	o.e.ShutdownSend(c.fd, c.token)
	o.e.ShutdownSend(c.fd, c.token)
	o.poll(0)
	o.await(o.peer("reading to the end, and sending behind it", func() error {
		if err := c.out.readFrom(c.peer, 0, total); err != nil {
			return err
		}
		if err := wantEnd(c.peer); err != nil {
			return err
		}
		return c.in.writeTo(c.peer, 0, total, always(100))
	}))
	o.until("received behind the end", func() bool { return c.received == total })
	o.e.Shutdown(c.fd, c.token)
	o.until("the receive ended", c.idle)
}

// detachedGoOn hands a connection to another engine and back, with data before,
// between and after, and some in a receive in place that was cancelled.
func detachedGoOn(o *owner) {
	c := o.pair()
	home, other := o, newOwner(o.TB, o.suite, o.net, o.wait)
	defer other.abandon()
	const round, rounds = 1000, 6
	for i := range rounds {
		at := int64(i * round)
		if err := c.in.writeTo(c.peer, at, round/2, always(100)); err != nil {
			c.o.Fatal(err)
		}
		if i%2 == 0 {
			c.stream()
			c.o.until("data", func() bool { return c.received >= at+round/2 })
		} else {
			c.recvInto(2 * round) // more than will come
			c.o.poll(0)
		}
		c.say(100)
		c.cancel()
		c.o.until("idle", func() bool { return c.idle() && len(c.pieces) == 0 })
		if err := c.in.writeTo(c.peer, at+round/2, round/2, always(100)); err != nil {
			c.o.Fatal(err)
		}
		from, to := c.o, other
		if from == other {
			to = home
		}
		from.e.Detach(c.fd, c.token)
		from.release(c.token)
		c.o, c.token = to, to.assign(c, nil)
	}
	c.stream()
	c.o.until("all data", func() bool { return c.received == rounds*round })
	c.o.await(c.o.peer("reading what was sent on the way", func() error { return c.out.readFrom(c.peer, 0, rounds*100) }))
	c.end()
	other.finish()
}

func wantEnd(p Peer) error {
	if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return errors.Join(errors.New("no end of the stream"), err)
	}
	return nil
}

func closeFDIsTheLastWord(o *owner) {
	c := o.pair()
	c.stream()
	o.poll(0)
	c.end()
	o.await(o.peer("reading the end", func() error { return wantEnd(c.peer) }))
	o.until("closed", func() bool { return len(o.conns()) == 0 })
	o.quiet("the connection is closed")

	bare := o.pair() // never used
	bare.close()
	o.until("closed", func() bool { return len(o.conns()) == 0 })
	o.await(o.peer("reading the end", func() error { return wantEnd(bare.peer) }))
}

// reusedNumbersNeverCrossTokens opens and closes 2,000 connections, eight at a time,
// with data under way when they end. route fails the case if a completion arrives for an
// earlier use of a slot.
func reusedNumbersNeverCrossTokens(o *owner) {
	rounds := 250
	if o.suite.light {
		rounds = 25
	}
	o.done = o.done[:3]
	d := o.listen()
	for round := range rounds {
		var now []*conn
		for range 8 {
			c := o.connect(d)
			now = append(now, c)
			c.stream()
			_ = c.in.writeTo(c.peer, 0, 100, always(100)) // fits any window
		}
		for i, c := range now {
			if (i+round)%3 == 0 {
				o.until("data", func() bool { return c.received > 0 })
			}
			c.keep = false
			o.e.Shutdown(c.fd, c.token)
		}
		for _, c := range now {
			o.until("ended", c.idle)
			c.close()
			_ = c.peer.Reset()
		}
		if round%2 == 0 { // else their last words come among the next connections'
			o.until("closed", func() bool { return len(o.conns()) == 0 })
		}
		o.peers = o.peers[:0]
	}
}

// engineCloseFreesEverything closes an engine while operations of every kind are
// outstanding. The checks after the case look for descriptors, goroutines and memory.
func engineCloseFreesEverything(o *owner) {
	d := o.listen()
	var all []*conn
	for range 6 {
		all = append(all, o.connect(d))
	}
	for _, c := range all[:3] {
		c.hold = true
		c.recv()
		_ = c.in.writeTo(c.peer, 0, 1000, always(1000))
	}
	o.until("leases are out", func() bool { return o.leases >= 3 })
	into, bare := all[3], all[5]
	into.recvInto(100_000)
	o.choke(all[4])
	bare.recv() // submitted, never polled
	for range 10 {
		_ = o.dial(d.listener.Addr) // accepted perhaps, never delivered
	}
	o.done = o.done[:1]
	o.poll(0)
	o.closeEngine()
	o.closeEngine()

	// The engine must not write to memory any more, nor read from descriptors.
	mark := pattern(999)
	mark.fill(into.into, 0)
	_ = into.in.writeTo(into.peer, 0, 4000, always(4000))
	for _, c := range all {
		o.net.Discard(c.fd)
	}
	d.discard()
	o.endPeersOfAClosedEngine()
	if err := mark.check(into.into, 0); err != nil {
		o.Fatalf("memory was written to after Close: %v", err)
	}
	o.pool.Put(into.into)
	for _, c := range all {
		c.drop()
	}
	o.ended = true
	if lent := o.pool.Lent(); lent != 0 {
		o.Errorf("%d pieces of memory did not come home", lent)
	}
}

// lentDataOutlivesTheEngine closes engines while they receive, and keeps what they lent.
// Their memory is freed by the last Recycle: the third engine leaves no more than the
// first.
func lentDataOutlivesTheEngine(o *owner) {
	regions := 0
	for round := range 3 {
		other := newOwner(o.TB, o.suite, o.net, o.wait)
		defer other.abandon()
		d := other.listen()
		c := other.connect(d)
		c.hold, c.keep = true, true
		c.recv()
		other.peer("writing", func() error { return c.in.writeTo(c.peer, 0, 96<<20, mixed(5)) })
		other.until("leases are out", func() bool { return len(c.held) >= 3 })
		c.keep, other.starved = false, nil // no operation after Close
		other.closeEngine()
		o.net.Discard(c.fd)
		d.discard()
		other.endPeers()
		other.ended = true
		for k := range c.held {
			i := (2*k + 1) % (len(c.held) | 1) // every other, and then the others
			if left := other.e.Counters().LentBytes.Load(); left <= 0 {
				o.Fatalf("LentBytes is %d while %d leases are out", left, other.leases)
			}
			c.giveBack(i)
		}
		if left := other.e.Counters().LentBytes.Load(); left != 0 || other.leases != 0 {
			o.Fatalf("LentBytes is %d with %d leases out", left, other.leases)
		}
		other.pool.Close()
		if round == 0 {
			regions = slab.Regions()
		}
	}
	if now := slab.Regions(); now > regions {
		o.Errorf("%d regions of memory are mapped after three engines, %d after one", now, regions)
	}
}

// endPeersOfAClosedEngine demands that every peer sees the end of its connection.
func (o *owner) endPeersOfAClosedEngine() {
	o.Helper()
	for _, p := range o.peers {
		if _, err := io.Copy(io.Discard, p); errors.Is(err, os.ErrDeadlineExceeded) {
			o.Error("a connection of a closed engine was discarded and is still open")
		}
	}
	o.endPeers()
}
