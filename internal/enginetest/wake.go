package enginetest

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var wakeProperties = []property{
	{name: "WakeMakesPollReturn", run: wakeMakesPollReturn},
	{name: "WakeIsSticky", run: wakeIsSticky},
	{name: "WakeStormIsHarmless", run: wakeStormIsHarmless},
	{name: "HandOversAreNeverLost", run: handOversAreNeverLost},
	{name: "WakeDoesNotDisturbOperations", run: wakeDoesNotDisturbOperations},
	{name: "WakeRacesWithClose", run: wakeRacesWithClose},
}

// wakeMakesPollReturn wakes a Poll without a limit: only Wake can end it.
func wakeMakesPollReturn(o *owner) {
	c := o.pair()
	c.recv()
	for range 200 {
		var woken atomic.Bool
		go func() {
			runtime.Gosched()
			woken.Store(true)
			o.e.Wake()
		}()
		for !woken.Load() {
			o.poll(-1)
		}
	}
	// And one that surely sleeps.
	var woken atomic.Bool
	time.AfterFunc(20*time.Millisecond, func() {
		woken.Store(true)
		o.e.Wake()
	})
	for !woken.Load() {
		o.poll(-1)
	}
}

func wakeIsSticky(o *owner) {
	c := o.pair()
	c.recv()
	for range 200 {
		o.e.Wake()
		o.e.Wake()
		o.poll(-1) // would hang
	}
	// One Wake is one return: then Poll waits again.
	o.poll(0)
	polls := 0
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); polls++ {
		o.poll(time.Until(end))
	}
	if polls > 1000 {
		o.Fatalf("%d polls in 50 ms: an old Wake goes on", polls)
	}
}

func wakeStormIsHarmless(o *owner) {
	c := o.pair()
	c.stream()
	const total = 1 << 20
	stop := make(chan struct{})
	for range 8 {
		o.peer("storming", func() error {
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
	}
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(6)) })
	o.until("1 MiB", func() bool { return c.received == total })
	close(stop)
	o.await(w)
}

// handOversAreNeverLost does what a processor and its handlers do: the owner sets its
// flag, looks once more, and sleeps; the other goroutine hands over and wakes it only if
// the flag is set. A lost Wake leaves both waiting.
func handOversAreNeverLost(o *owner) {
	c := o.pair()
	c.recv()
	rounds := 20_000
	if o.suite.light {
		rounds = 5_000
	}
	var parked atomic.Bool
	var handed atomic.Int64
	answers := make(chan struct{}, 1)
	o.peer("handing over", func() error {
		for i := range rounds {
			if i%64 == 0 {
				runtime.Gosched()
			}
			handed.Store(int64(i + 1))
			if parked.Swap(false) {
				o.e.Wake()
			}
			select {
			case <-answers:
			case <-time.After(patience):
				return nil // the owner reports it
			}
		}
		return nil
	})
	for i := range rounds {
		o.until("hand-over", func() bool {
			if handed.Load() > int64(i) {
				return true
			}
			parked.Store(true)
			// Order: pairs with the Swap above: either that sees parked, or this
			// sees what was handed over.
			return handed.Load() > int64(i) && parked.Swap(false)
		})
		answers <- struct{}{}
	}
}

func wakeDoesNotDisturbOperations(o *owner) {
	c := o.pair()
	const total = 2 << 20
	c.recvInto(total)
	c.say(total)
	stop := make(chan struct{})
	o.peer("waking", func() error {
		for {
			select {
			case <-stop:
				return nil
			case <-time.After(50 * time.Microsecond):
				o.e.Wake()
			}
		}
	})
	w := o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, mixed(1)) })
	r := o.peer("reading", func() error { return c.out.readFrom(c.peer, 0, total) })
	o.until("both done", c.idle)
	o.until("sent", func() bool { return c.sent == total })
	close(stop)
	o.await(w, r)
	if c.received != total {
		o.Fatalf("%d bytes received", c.received)
	}
}

// wakeRacesWithClose wakes an engine while its owner closes it, and long after.
func wakeRacesWithClose(o *owner) {
	for range 30 {
		e, err := o.net.Open(o.wait)
		if err != nil {
			o.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					e.Wake()
				}
			})
		}
		if _, err := e.Poll(o.done, 0); err != nil {
			o.Fatal(err)
		}
		if err := e.Close(); err != nil {
			o.Fatal(err)
		}
		wg.Wait()
		e.Wake()
	}
}
