package enginetest

import (
	"runtime"
	"syscall"
	"time"
)

var pollProperties = []property{
	{name: "PollZeroDoesNotBlock", run: pollZeroDoesNotBlock},
	{name: "PollTimesOut", run: pollTimesOut},
	{name: "SmallDoneSliceLosesNothing", run: smallDoneSliceLosesNothing},
	{name: "CountersAdvance", run: countersAdvance},
	{name: "NothingHappensOutsidePoll", run: nothingHappensOutsidePoll},
	{name: "PollFollowsItsGoroutine", run: pollFollowsItsGoroutine},
}

func pollZeroDoesNotBlock(o *owner) {
	c := o.pair()
	c.recv()
	start := time.Now()
	for range 1000 {
		o.poll(0)
	}
	if took := time.Since(start); took > patience/3 {
		o.Fatalf("1,000 polls without waiting took %v", took)
	}
}

func pollTimesOut(o *owner) {
	c := o.pair()
	c.recv()
	for _, wait := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 7 * time.Millisecond, 100 * time.Millisecond} {
		// Poll may come back early, but not for ever. Each is looked at by itself: on a busy
		// machine any number of polls may take as long as one that waits.
		took := time.Duration(0)
		for early := 0; took < wait/2; early++ {
			if early > 1000 {
				o.Fatalf("%d polls for %v came back early: Poll does not wait", early, wait)
			}
			start := time.Now()
			o.poll(wait)
			took = time.Since(start)
		}
		if took > wait+patience/3 {
			o.Fatalf("Poll for %v took %v", wait, took)
		}
	}
}

func smallDoneSliceLosesNothing(o *owner) {
	o.done = o.done[:1]
	d := o.listen()
	const n, total = 20, 100_000
	for i, c := range o.connectMany(d, n) {
		c.stream()
		c.say(total)
		o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(uint64(i))) })
		o.peer("reading", func() error { return c.out.readFrom(c.peer, 0, total) })
	}
	o.until("all received and sent", func() bool {
		for _, c := range o.conns() {
			if c.received < total || c.sent < total {
				return false
			}
		}
		return true
	})
	o.await(o.tasks...)
}

func countersAdvance(o *owner) {
	n := o.e.Counters()
	c := o.pair()
	c.hold = true
	enters, submitted, completed := n.Enters.Load(), n.Submitted.Load(), n.Completed.Load()
	c.recv()
	c.say(1000)
	o.await(o.peer("exchanging", func() error {
		if err := c.in.writeTo(c.peer, 0, 1000, always(1000)); err != nil {
			return err
		}
		return c.out.readFrom(c.peer, 0, 1000)
	}))
	o.until("received", func() bool { return c.received > 0 && c.sent == 1000 })
	// A Poll shows what was counted before it waited: the kernel's thread of SQPOLL takes
	// entries meanwhile, which the next Poll sees.
	o.until("an advance of Submitted", func() bool { return n.Submitted.Load() > submitted })
	switch {
	case n.Enters.Load() <= enters && !o.suite.unentered:
		o.Error("Enters stands still")
	case n.Completed.Load() < completed+2:
		o.Error("Completed stands still")
	case n.LentBytes.Load() < c.received:
		o.Errorf("LentBytes is %d with %d bytes lent", n.LentBytes.Load(), c.received)
	}
	c.giveAllBack()
	if n.LentBytes.Load() != 0 {
		o.Errorf("LentBytes is %d after the last Recycle", n.LentBytes.Load())
	}

	wakes := n.Wakes.Load()
	stop := make(chan struct{})
	o.peer("waking", func() error {
		for {
			select {
			case <-stop:
				return nil
			default:
				o.e.Wake()
				runtime.Gosched()
			}
		}
	})
	defer close(stop)
	o.until("Wakes advances", func() bool { return n.Wakes.Load() > wakes })
}

// nothingHappensOutsidePoll submits a close and observes it from outside: the engine
// enters the kernel only in Poll.
func nothingHappensOutsidePoll(o *owner) {
	c := o.pair()
	o.poll(0)
	n := o.e.Counters()
	before := n.Enters.Load()
	c.recv()
	c.say(10)
	c.cancel()
	o.e.Shutdown(c.fd, c.token)
	if now := n.Enters.Load(); now != before {
		o.Fatalf("submitting entered the kernel %d times", now-before)
	}
	o.until("all ended", c.idle)
	if e := syscall.Errno(-c.last()); c.last() != 0 && e != syscall.ECANCELED {
		o.Fatalf("the receive ended with %d", c.last())
	}
}

// pollFollowsItsGoroutine makes the owner change threads between Polls, if the wait
// allows it, as ordinary goroutines do.
func pollFollowsItsGoroutine(o *owner) {
	c := o.pair()
	c.stream()
	const rounds = 500
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, rounds*100, always(100)) })
	busy := make(chan struct{})
	for range 2 * runtime.GOMAXPROCS(0) {
		o.peer("busy", func() error {
			for {
				select {
				case <-busy:
					return nil
				default:
					runtime.Gosched()
				}
			}
		})
	}
	defer close(busy)
	for c.received < rounds*100 {
		before := c.received
		o.until("more", func() bool { return c.received > before })
		runtime.Gosched()
		handOff := make(chan struct{})
		go close(handOff)
		<-handOff
	}
	o.await(w)
}
