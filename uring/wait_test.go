//go:build linux

package uring

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/engine"
)

func TestWakesAreNeverLostAndCostNothingTwice(t *testing.T) {
	onAllWaits(t, Config{}, func(r *rig) {
		t := r.t
		e := r.engine
		e.Wake()
		r.poll(-1) // sticky
		if n := e.counters.Wakes.Load(); n != 0 {
			t.Errorf("a Wake of an awake owner made %d system calls", n)
		}
		const rounds = 20_000
		var asked, parked atomic.Int64
		over := make(chan struct{})
		go func() {
			defer close(over)
			for i := range int64(rounds) {
				asked.Store(i + 1)
				if parked.Swap(0) == 1 {
					e.Wake()
				}
				for asked.Load() != 0 {
					runtime.Gosched()
				}
			}
		}()
		for answered := 0; answered < rounds; {
			parked.Store(1)
			if asked.Load() == 0 {
				r.poll(patience)
			}
			parked.Store(0)
			if asked.Swap(0) != 0 {
				answered++
			}
		}
		<-over
	})
}

func TestAWakeStormReturnsOnePoll(t *testing.T) {
	onAllWaits(t, Config{}, func(r *rig) {
		t := r.t
		e := r.engine
		var group sync.WaitGroup
		var stop atomic.Bool
		for range 8 {
			group.Go(func() {
				for !stop.Load() {
					e.Wake()
					runtime.Gosched()
				}
			})
		}
		for range 2000 {
			r.poll(patience)
		}
		stop.Store(true)
		group.Wait()
		for range 4 { // what the storm left
			r.poll(0)
		}
		start := time.Now()
		for time.Since(start) < 20*time.Millisecond {
			if n := r.poll(20 * time.Millisecond); n != 0 {
				t.Fatal(n)
			}
		}
		r.close()
		e.Wake() // harmless after Close
		if _, err := e.Poll(r.done, 0); err == nil {
			t.Error("Poll of a closed engine worked")
		}
	})
}

func TestWaitingQuietlyIsGivenUpWhereItIsInVain(t *testing.T) {
	for _, wait := range []time.Duration{quietWait / 2, 4 * quietWait} {
		t.Run(wait.String(), func(t *testing.T) {
			onAllWaits(t, Config{QuietWait: On}, func(r *rig) {
				const polls, tries = 40, 100
				most := uint64(polls + 2)
				if ringFlavour != "" { // it can't say whether an enter is needed, so each look is one
					most += polls
				}
				// Where the owner gave a limit it hears of a quiet wait in vain. A signal of
				// the Go scheduler may add a call, but hardly in each of the tries.
				var calls []uint64
				for len(calls) < tries && (len(calls) == 0 || calls[len(calls)-1] > most) {
					mustPay(r.engine)
					before := r.engine.total.enters
					for range polls {
						r.poll(wait)
					}
					calls = append(calls, r.engine.total.enters-before)
				}
				if calls[len(calls)-1] > most {
					r.t.Errorf("%d calls for %d waits of an idle engine", calls, polls)
				}
			})
		})
	}
}

// TestAWakeEndsAQuietWait: nothing else would end it in time for all the rounds.
func TestAWakeEndsAQuietWait(t *testing.T) {
	onAllWaits(t, Config{QuietWait: On}, func(r *rig) {
		var polling atomic.Int64
		over := make(chan struct{})
		const rounds = 300
		go func() {
			defer close(over)
			for i := range int64(rounds) {
				for polling.Load() <= i {
					runtime.Gosched()
				}
				r.engine.Wake()
			}
		}()
		for range rounds {
			polling.Add(1)
			if n := r.poll(-1); n != 0 {
				r.t.Fatal(n)
			}
		}
		<-over
	})
}

func TestQuietWaitsShareATick(t *testing.T) {
	onAllWaits(t, Config{QuietWait: On}, func(r *rig) {
		fd, peer := r.pair()
		r.engine.Recv(fd, token)
		const rounds = 1000
		before, start := r.engine.issued, time.Now()
		for range rounds {
			if _, err := peer.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			r.until(func(c *engine.Completion) bool {
				came := len(c.Data) > 0
				r.engine.Recycle(c)
				return came
			})
		}
		others := 8 + int(r.engine.total.followed)*4 // the receive, its watch, the wake word
		if n, most := int(r.engine.issued-before), int(2*time.Since(start)/quietWait)+1+others; ringFlavour == "" && n > most {
			t.Errorf("%d operations for %d waits: want one for each %v at most, %d in all", n, rounds, quietWait/2, most)
		}
		r.engine.Cancel(fd, token)
		r.next(engine.OpRecv)
		r.finish(fd, token, peer)
	})
}

// TestATickIsNotTakenForWhatCameBeforeIt: another thread (SQPoll's, or one that the
// owner has left) may add the tick's CQE while the owner looks at another.
func TestATickIsNotTakenForWhatCameBeforeIt(t *testing.T) {
	onWait(t, Config{}, engine.WaitLocked, func(r *rig) {
		e := r.engine
		complete := func(op engine.Op) {
			q := e.sqe()
			q.PrepNop()
			q.UserData = userData(op, 0, 0)
			if err := e.submit(); err != nil {
				t.Fatal(err)
			}
		}
		complete(opMessage)
		ready := e.ring.CQReady()
		complete(opTimeout)
		if ready != 1 || e.onlyTimeout(ready, 0) {
			t.Errorf("one of %d completions is taken for the tick behind it", ready)
		}
		if e.onlyTimeout(e.ring.CQReady(), 0) {
			t.Error("two completions are taken for one tick")
		}
		e.ring.Reap(e.batch[:1])
		if ringFlavour == "" && !e.onlyTimeout(e.ring.CQReady(), 0) {
			t.Error("the tick alone is not known")
		}
		e.ring.Reap(e.batch[:1])
	})
}

func TestOthersRunBesideAnEngineThatWaitsQuietly(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one P, the engine's
	onAllWaits(t, Config{QuietWait: On}, func(r *rig) {
		fd, peer := r.pair()
		r.engine.Recv(fd, token)
		const rounds = 100
		go func() {
			for i := range byte(rounds) {
				if i%10 == 0 {
					runtime.GC() // stops the world, and with it the engine's P
				}
				if _, err := peer.Write([]byte{i}); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		came := 0
		r.until(func(c *engine.Completion) bool {
			came += len(c.Data)
			r.engine.Recycle(c)
			return came == rounds
		})
		r.engine.Cancel(fd, token)
		r.next(engine.OpRecv)
		r.finish(fd, token, peer)
	})
}

// TestASendThatMayWaitIsHeardOfSoon: nothing else completes, and the wait has no limit.
func TestASendThatMayWaitIsHeardOfSoon(t *testing.T) {
	onAllWaits(t, Config{}, func(r *rig) {
		fd, peer := r.pair()
		data := r.copyOf(pattern(100))
		for range 3 * skippedMax { // until waiting quietly pays no more, and beyond
			r.engine.Send(fd, token, [][]byte{data})
			r.engine.AllowDelayedSends()
			n := 0
			for n == 0 {
				n = r.poll(-1)
			}
			if c := r.done[0]; n != 1 || c.Op != engine.OpSend || int(c.Res) != len(data) {
				r.t.Fatalf("%d completions, %+v", n, c)
			}
		}
		r.finish(fd, token, peer)
	})
}
