package queue

import (
	"sync/atomic"
	"testing"
	"time"
)

const deadline = time.Minute

// sleeper is an owner that can only be woken by its wake flag.
type sleeper struct {
	*WakeFlag
	woken chan struct{}
	wakes atomic.Int64
}

func newSleeper() *sleeper {
	s := &sleeper{woken: make(chan struct{}, 1)}
	s.WakeFlag = NewWakeFlag(func() {
		s.wakes.Add(1)
		select {
		case s.woken <- struct{}{}:
		default:
		}
	})
	return s
}

// sleepUnless sleeps at the wake flag unless there is work.
func (s *sleeper) sleepUnless(t *testing.T, work func() bool) {
	s.BeforeSleep()
	defer s.AfterSleep()
	if work() {
		return
	}
	select {
	case <-s.woken:
	case <-time.After(deadline):
		t.Fatal("the owner slept although there was work")
	}
}

func TestNoPushIsMissedByAnOwnerAboutToSleep(t *testing.T) {
	const rounds = 100_000
	ping, pong := newSleeper(), newSleeper()
	there, back := NewManyToOne[int](), NewManyToOne[int]()
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		for n := 0; n < rounds; {
			n += there.Drain(func(i int) { back.Push(i); ping.Notify() }, -1)
			if n < rounds && !there.HasItems() {
				pong.sleepUnless(t, there.HasItems)
			}
		}
	}()
	for i := range rounds {
		there.Push(i)
		pong.Notify()
		for back.Drain(func(got int) {
			if got != i {
				t.Errorf("got %d, want %d", got, i)
			}
		}, 1) == 0 {
			ping.sleepUnless(t, back.HasItems)
		}
	}
	<-echoed
}

func TestOnlyOneOfManyRingersWakesTheOwner(t *testing.T) {
	s := newSleeper()
	s.Notify()
	if n := s.wakes.Load(); n != 0 {
		t.Fatalf("%d wakes of an owner that is awake", n)
	}
	s.BeforeSleep()
	s.Notify()
	s.Notify()
	if n := s.wakes.Load(); n != 1 {
		t.Fatalf("%d wakes of an owner that sleeps, want 1", n)
	}
	s.BeforeSleep()
	s.AfterSleep()
	s.Notify()
	if n := s.wakes.Load(); n != 1 {
		t.Fatalf("%d wakes after AfterSleep, want 1", n)
	}
}

func TestCallReachesAnOwnerThatIsAwake(t *testing.T) {
	s := newSleeper()
	s.NotifyAlways()
	s.sleepUnless(t, func() bool { return false }) // ends at once
	if n := s.wakes.Load(); n != 1 {
		t.Fatalf("%d wakes, want 1", n)
	}
}
