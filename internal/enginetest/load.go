package enginetest

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
)

var loadProperties = []property{
	{name: "FloodingPeerDoesNotStarveOthers", run: floodingPeerDoesNotStarveOthers},
	{name: "BusyConnectionsAreServedInTurn", run: busyConnectionsAreServedInTurn},
	{name: "ManyConnectionsEcho", run: manyConnectionsEcho},
	{name: "StackGrowthAndGCStress", run: stackGrowthAndGCStress},
}

// floodBound is how many completions of a flooding connection may come before one of a
// quiet connection whose byte has arrived: what an engine may take of one descriptor at
// once (32 on io_uring), times the buffers that it may have filled before, with some
// reserve.
const floodBound = 2048

// floodingPeerDoesNotStarveOthers counts from the moment when the byte is in the quiet
// connection's socket, if the suite can see that (see Arrived): before, the system is
// late. It stays on one thread: io_uring completes what a parked engine armed on the
// thread that armed it, and a goroutine on another thread waits until the system has
// scheduled that one.
func floodingPeerDoesNotStarveOthers(o *owner) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := o.listen()
	flood, quiet := o.connect(d), o.connect(d)
	floods := 0
	flood.onData = func([]byte) { floods++ }
	flood.stream()
	quiet.stream()
	stop := make(chan struct{})
	w := o.peer("flooding", func() error {
		return flood.in.writeTo(flood.peer, 0, 1<<50, func() int {
			select {
			case <-stop:
				_ = flood.peer.CloseWrite() // ends writeTo with an error
			default:
			}
			return 64 << 10
		})
	})
	o.until("the flood", func() bool { return floods > 100 })
	late := 0
	for i := range int64(50) {
		if err := quiet.in.writeTo(quiet.peer, i, 1, always(1)); err != nil {
			o.Fatal(err)
		}
		arrived, before := false, floods
		o.until("the quiet one's byte", func() bool {
			if !arrived {
				arrived, before = o.suite.arrived(o.net, quiet.fd) > i, floods
			}
			return quiet.received == i+1
		})
		if n := floods - before; n > floodBound {
			late++
			o.Logf("%d completions of the flood came before byte %d of another connection, which was there", n, i)
		}
	}
	if late > o.suite.floodLateMax {
		o.Fatalf("in %d rounds of 50 more than %d completions of the flood came first", late, floodBound)
	}
	close(stop)
	o.until("the flood ends", w.over)
}

// turnsMax is how often each other connection may be served while a connection's data
// waits: once because it was before it, once because it is asked again meanwhile, and
// once more if buffers had run out. If the suite can't see what has arrived (see
// Arrived), the order also depends on the scheduling of goroutines.
const turnsMax, turnsUnseenMax = 3, 16

// busyConnectionsAreServedInTurn: every connection always has data, and Poll takes a few
// at once. No connection waits longer than turnsMax allows. It stays on one thread, as
// floodingPeerDoesNotStarveOthers.
//
// Where the goroutines of an engine run when the system lets them, those that wait behind
// a thread that is not scheduled are late together, once. That an engine is unfair shows
// each time.
func busyConnectionsAreServedInTurn(o *owner) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o.done = o.done[:8]
	d := o.listen()
	turns, tries := turnsMax, 1
	if o.suite.floodLateMax > 0 {
		turns, tries = turnsUnseenMax, 10
	}
	late, served := 0, 0
	for try := 0; try == 0 || try < tries && late > o.suite.floodLateMax; try++ {
		late, served = o.takeTurns(d, turns)
	}
	if late > o.suite.floodLateMax {
		o.Fatalf("%d of %d completions came after %d turns of the others, in each of %d tries", late, served, turns, tries)
	}
}

// takeTurns has connections that always have data served, and says how many completions
// came after so many turns of the others, and of how many.
func (o *owner) takeTurns(d *door, turns int) (late, served int) {
	const conns, rounds = 48, 30
	for range conns {
		c := o.connect(d)
		ask := func() {
			if err := c.in.writeTo(c.peer, c.received, 1, always(1)); err != nil {
				o.Fatal(err)
			}
		}
		last := 0
		c.onData = func([]byte) {
			served++
			if c.received > 2 && served-last > turns*conns { // what stood before any turns is gone
				late++
				o.Logf("%d completions of %d others came before byte %d of %s", served-last-1, conns-1, c.received, c.token)
			}
			last = served
			if c.received < rounds {
				ask()
			}
		}
		ask()
		c.stream()
	}
	o.until("all served", func() bool { return served == conns*rounds })
	return late, served
}

// manyConnectionsEcho answers each of 256 connections with what it sent.
func manyConnectionsEcho(o *owner) {
	n, rounds := 256, 20
	if o.suite.light {
		n, rounds = 64, 10
	}
	d := o.listen()
	for i := range n {
		c := o.connect(d)
		c.out = c.in
		c.onData = func(data []byte) {
			b := o.pool.Get(len(data))
			copy(b, data)
			c.add(b)
			c.flush()
		}
		c.stream()
		o.peer("echoing", func() error {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for at, k := int64(0), 0; k < rounds; k++ {
				size := int64(1 + r.IntN([...]int{10, 1000, 30_000}[r.IntN(3)]))
				if err := c.in.writeTo(c.peer, at, size, always(int(size))); err != nil {
					return err
				}
				if err := c.in.readFrom(c.peer, at, size); err != nil {
					return err
				}
				at += size
			}
			return nil
		})
	}
	o.await(o.tasks...)
	for _, c := range o.conns() {
		o.until("everything sent", func() bool { return c.sent == c.received })
	}
}

// stackGrowthAndGCStress moves the owner's stack and runs the garbage collector all the
// time while receives and sends are outstanding: memory whose address the kernel has must
// not depend on either.
func stackGrowthAndGCStress(o *owner) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	d := o.listen()
	const n, total = 4, 300_000
	for range n {
		c := o.connect(d)
		for c.queued < total { // gathered, with one iovec for each piece
			b := o.pool.Get(3000)
			c.out.fill(b, c.queued)
			c.add(b)
		}
		c.flush()
		c.recvInto(total / 2)
	}
	o.poll(0)
	garbage := 0
	churn := func() {
		if garbage++; garbage%16 == 1 {
			runtime.GC()
		}
		garbage += 16 * (grow(200, [64]byte{}) + len(make([]byte, 100_000)))
	}
	churn()
	for _, c := range o.conns() {
		o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(uint64(c.in))) })
		o.peer("reading", func() error { return c.out.readFrom(c.peer, 0, total) })
	}
	o.until("all exchanged under stress", func() bool {
		churn()
		done := true
		for _, c := range o.conns() {
			if c.receiving == 0 && c.received >= total/2 && c.received < total {
				c.stream()
			}
			done = done && c.received == total && c.sent == c.queued
		}
		return done
	})
	o.await(o.tasks...)
	if garbage == 0 {
		o.Fatal("no stress")
	}
}

//go:noinline
func grow(depth int, frame [64]byte) int {
	if depth == 0 {
		return int(frame[0]) + 1
	}
	frame[depth%64]++
	return grow(depth-1, frame)
}
