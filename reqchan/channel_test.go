package reqchan

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestConfigReportsEveryFaultAtOnce(t *testing.T) {
	err := Config{RequestsMax: -1, BytesMax: -1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "RequestsMax") || !strings.Contains(err.Error(), "BytesMax") {
		t.Errorf("got %v", err)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	if c := New(Config{}); c.ordinary.ring.Cap() != 500 || c.BytesMax() != 256<<20 {
		t.Errorf("defaults: %d requests, %d bytes", c.ordinary.ring.Cap(), c.BytesMax())
	}
}

// exchange lets every sender bring each requests through c to receivers, and
// checks that each arrives once and in its sender's order.
func exchange(t *testing.T, c *Channel, senders, receivers, each, batch int, receive func()) {
	var send, recv sync.WaitGroup
	var got atomic.Int64
	for i := range senders {
		o := newOwner()
		s := c.NewSender(o.wakeFlag)
		send.Go(func() {
			reqs := o.begun(each)
			for _, r := range reqs {
				r.Token = uint64(i)
			}
			for len(reqs) > 0 {
				asked := reqs[:min(len(reqs), batch)]
				n, _ := s.TrySend(asked)
				reqs = reqs[n:]
				if n < len(asked) && !o.sleep(t, "a sender that was refused room") {
					return
				}
			}
		})
	}
	arrived := make([][]atomic.Bool, senders)
	for i := range arrived {
		arrived[i] = make([]atomic.Bool, each)
	}
	for range receivers {
		recv.Go(func() {
			v := c.NewReceiver(nil)
			into := make([]*Job, batch)
			last := make([]uint64, senders)
			for {
				n, ok := v.Receive(into)
				for _, r := range into[:n] {
					if r.Conn != nil {
						continue
					}
					got.Add(1)
					if arrived[r.Token][r.Seq].Swap(true) {
						t.Errorf("%d of sender %d arrived twice", r.Seq, r.Token)
					}
					if r.Seq < last[r.Token] {
						t.Errorf("%d of sender %d after %d", r.Seq, r.Token, last[r.Token])
					}
					last[r.Token] = r.Seq
					receive()
				}
				if !ok {
					return
				}
			}
		})
	}
	send.Wait()
	c.Close()
	recv.Wait()
	if want := int64(senders * each); got.Load() != want {
		t.Errorf("%d arrived, want %d", got.Load(), want)
	}
}

func TestFullChannelNeverStrandsASender(t *testing.T) {
	slow := func() {
		for range 3 {
			runtime.Gosched()
		}
	}
	t.Run("one place", func(t *testing.T) {
		exchange(t, New(Config{RequestsMax: 1}), 32, 2, 200, 5, slow)
	})
	t.Run("few places", func(t *testing.T) {
		exchange(t, New(Config{RequestsMax: 7}), 32, 3, 300, 16, slow)
	})
	t.Run("quick receivers", func(t *testing.T) {
		exchange(t, New(Config{RequestsMax: 8}), 8, 4, 5_000, 8, func() {})
	})
}

func TestSleepingReceiversMissNothing(t *testing.T) {
	exchange(t, New(Config{}), 1, 8, 50_000, 1, func() {})
	exchange(t, New(Config{}), 4, 4, 20_000, 64, func() {})
}

func TestTurnsAreTakenInOrderAndEndWithProgress(t *testing.T) {
	c := New(Config{RequestsMax: 8}) // a turn is for a quarter of it
	full, a, b, late := newOwner(), newOwner(), newOwner(), newOwner()
	refuse := func(s *Sender, reqs []*Job, who string) {
		t.Helper()
		if n, _ := s.TrySend(reqs); n != 0 {
			t.Fatalf("%s overtook somebody with %d requests", who, n)
		}
	}
	if n, _ := c.NewSender(full.wakeFlag).TrySend(full.begun(8)); n != 8 {
		t.Fatalf("%d of 8 accepted", n)
	}
	sa, sb, sl := c.NewSender(a.wakeFlag), c.NewSender(b.wakeFlag), c.NewSender(late.wakeFlag)
	refuse(sa, a.begun(3), "a")
	refuse(sb, b.begun(3), "b")
	v := c.NewReceiver(nil)
	into := make([]*Job, 8)
	v.Receive(into[:1])
	if a.called() {
		t.Error("a was called for less than is worth it")
	}
	v.Receive(into[:1])
	if !a.called() || b.called() {
		t.Error("room for one turn: a has to be called, b not")
	}
	refuse(sl, late.begun(1), "a newcomer")
	refuse(sb, b.begun(3), "b")
	if n, _ := sa.TrySend(a.begun(3)); n != 2 {
		t.Errorf("a's turn: %d accepted, want 2", n)
	}
	v.Receive(into[:3])
	if !b.called() || !late.called() || a.called() {
		t.Error("room for b and the newcomer: both have to be called, a not")
	}
	if n, _ := sl.TrySend(late.begun(3)); n != 1 {
		t.Errorf("the newcomer took %d of the room, its turn was for 1", n)
	}
	if n, _ := sb.TrySend(b.begun(2)); n != 2 {
		t.Errorf("b's turn: %d accepted, want 2", n)
	}
}

func TestASenderThatNeverComesHoldsUpNobody(t *testing.T) {
	for _, places := range []int{1, 2, 16} {
		c := New(Config{RequestsMax: places})
		o, deaf := newOwner(), newOwner()
		fill := o.begun(places)
		for _, r := range fill {
			r.Conn = &Conn{} // not one of those that exchange counts
		}
		c.NewSender(o.wakeFlag).TrySend(fill)
		if n, _ := c.NewSender(deaf.wakeFlag).TrySend(deaf.begun(1)); n != 0 {
			t.Fatalf("%d accepted", n)
		}
		exchange(t, c, 4, 1, 500, 3, runtime.Gosched)
		if deaf.calls.Load() == 0 {
			t.Error("the promise to the first was not kept")
		}
	}
}

func TestASenderThatLeavesPassesItsTurnOn(t *testing.T) {
	c := New(Config{RequestsMax: 4})
	a, b := newOwner(), newOwner()
	sa, sb := c.NewSender(a.wakeFlag), c.NewSender(b.wakeFlag)
	sa.TrySend(a.begun(5))
	sb.TrySend(b.begun(1))
	into := make([]*Job, 1)
	c.NewReceiver(nil).Receive(into)
	if !a.called() || b.called() {
		t.Fatal("it is a's turn")
	}
	sa.CancelWait()
	if !b.called() {
		t.Error("b was not called when a left")
	}
	if n, _ := sb.TrySend(b.begun(1)); n != 1 {
		t.Errorf("%d accepted, want 1", n)
	}
}

// Kafka: GarbageCollectedMemoryPoolTest.
func TestReservationsNeverExceedTheBoundAndStrandNobody(t *testing.T) {
	const bound = 1000
	c := New(Config{BytesMax: bound})
	var wg sync.WaitGroup
	var inside atomic.Int64
	for i := range 16 {
		o := newOwner()
		s := c.NewSender(o.wakeFlag)
		wg.Go(func() {
			for k := range 500 {
				n := int64(1 + (k*37+i*101)%bound)
				for !s.Reserve(n) {
					if !o.sleep(t, "a sender that was refused bytes") {
						return
					}
				}
				if in := inside.Add(n); in > bound {
					t.Errorf("%d bytes reserved of %d", in, bound)
				}
				runtime.Gosched()
				inside.Add(-n)
				c.Release(n)
			}
		})
	}
	wg.Wait()
	if c.Bytes() != 0 {
		t.Errorf("%d bytes left", c.Bytes())
	}
}

func TestSmallReservationsPassALargeOneThatIsKeptInMind(t *testing.T) {
	c := New(Config{BytesMax: 100})
	a, b := newOwner(), newOwner()
	sa, sb := c.NewSender(a.wakeFlag), c.NewSender(b.wakeFlag)
	if !sb.Reserve(60) || sa.Reserve(80) {
		t.Fatal("60 of 100 fit, 80 more do not")
	}
	if !sa.Reserve(10) || !sb.Reserve(20) {
		t.Fatal("small ones have to pass")
	}
	c.Release(60)
	if a.called() {
		t.Error("70 bytes are free: not worth a call for 80")
	}
	c.Release(20)
	if !a.called() {
		t.Error("90 bytes are free: a was promised a call")
	}
}

func TestWhatIsAcceptedBeforeCloseIsReceivedAndNothingElse(t *testing.T) {
	for round := range 200 {
		c := New(Config{RequestsMax: 4})
		var wg sync.WaitGroup
		var accepted, received atomic.Int64
		for range 3 {
			o := newOwner()
			s := c.NewSender(o.wakeFlag)
			wg.Go(func() {
				for !c.ordinary.ring.Closed() {
					n, _ := s.TrySend(o.begun(3))
					accepted.Add(int64(n))
					if n < 3 && !c.ordinary.ring.Closed() && !o.sleep(t, "a sender of a closed channel") {
						return
					}
				}
			})
		}
		for range 3 {
			wg.Go(func() {
				v := c.NewReceiver(nil)
				into := make([]*Job, 2)
				for ok := true; ok; {
					var n int
					n, ok = v.Receive(into)
					received.Add(int64(n))
				}
			})
		}
		for range round % 20 {
			runtime.Gosched()
		}
		c.Close()
		wg.Wait()
		if accepted.Load() != received.Load() {
			t.Fatalf("accepted %d, received %d", accepted.Load(), received.Load())
		}
	}
}

func TestARousedReceiverReturns(t *testing.T) {
	c := New(Config{})
	var work atomic.Bool
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		v := c.NewReceiver(work.Load)
		for !work.Load() {
			if n, ok := v.Receive(make([]*Job, 1)); n != 0 || !ok {
				t.Errorf("received %d, %v", n, ok)
			}
		}
	}()
	for range 1000 {
		c.Rouse()
		runtime.Gosched()
	}
	work.Store(true)
	c.Rouse()
	<-returned
	if c.Sleeping() != 0 {
		t.Errorf("%d sleep", c.Sleeping())
	}
}

func TestARoundTripAllocatesNothing(t *testing.T) {
	c := New(Config{})
	o := newOwner()
	s, v := c.NewSender(o.wakeFlag), c.NewReceiver(nil)
	reqs, into := o.begun(64), make([]*Job, 64)
	allocs := testing.AllocsPerRun(100, func() {
		for _, r := range reqs {
			r.Begin(o.home, &o.pool)
		}
		s.TrySend(reqs)
		n, _ := v.Receive(into)
		for _, r := range into[:n] {
			q := r.Request()
			copy(q.Buffer(3), "abc")
			q.Respond(q.Buffer(3))
			r.HandleReturned()
		}
		Return(into[:n])
		for r := o.home.Take(); r != nil; r = r.Next() {
			r.Answer()
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations in 64 round trips", allocs)
	}
}
