//go:build unix

package park

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/internal/leaktest"
)

// patience bounds failures; a passing test does not take that long.
const patience = time.Minute

func never() bool { return false }

// newPipe is a pipe whose reading end a Parker watches.
func newPipe(t *testing.T) (p *Parker, read, write int) {
	t.Helper()
	left := leaktest.Begin()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	p, err := New(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		left(t)
	})
	return p, fds[0], fds[1]
}

// readable checks as an engine does, and drains the pipe.
func readable(fd int) func() bool {
	var b [64]byte
	return func() bool {
		n, _ := unix.Read(fd, b[:])
		return n > 0
	}
}

func TestParkReturnsWhenReady(t *testing.T) {
	p, r, w := newPipe(t)
	ready := readable(r)
	for range 1000 {
		go func() { _, _ = unix.Write(w, []byte{1}) }()
		seen := false
		for deadline := time.Now().Add(patience); !seen; {
			p.Park(func() bool { seen = ready(); return seen }, patience)
			if time.Now().After(deadline) {
				t.Fatal("an edge was lost")
			}
		}
	}
}

func TestParkReturnsAtOnceWhenReadyBefore(t *testing.T) {
	p, _, _ := newPipe(t)
	asked := 0
	p.Park(func() bool { asked++; return true }, -1)
	if asked != 1 {
		t.Errorf("ready was asked %d times", asked)
	}
}

func TestParkReturnsAfterItsTimeAndNotLongBefore(t *testing.T) {
	p, _, _ := newPipe(t)
	for _, wait := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 2 * time.Millisecond, 50 * time.Millisecond} {
		start := time.Now()
		parks := 0
		for time.Since(start) < wait {
			p.Park(never, wait-time.Since(start))
			parks++
		}
		if took := time.Since(start); took > wait+patience/2 {
			t.Errorf("%v took %v", wait, took)
		}
		if parks > 50 {
			t.Errorf("%v took %d parks: it spins", wait, parks)
		}
	}
}

func TestALaterDeadlineDoesNotKeepAnEarlierOneFromStanding(t *testing.T) {
	p, _, _ := newPipe(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Park(func() bool { return true }, time.Hour)
		start := time.Now()
		for time.Since(start) < 5*time.Millisecond {
			p.Park(never, 5*time.Millisecond)
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a short wait slept on the long one's deadline")
	}
}

func TestUnparkIsSticky(t *testing.T) {
	p, _, _ := newPipe(t)
	p.Unpark()
	p.Unpark()
	p.Park(never, -1) // hangs if it was lost
	start := time.Now()
	for time.Since(start) < 10*time.Millisecond {
		p.Park(never, 10*time.Millisecond)
	}
}

func TestUnparkIsNeverLost(t *testing.T) {
	for _, wait := range []time.Duration{-1, time.Hour, 100 * time.Microsecond} {
		p, _, _ := newPipe(t)
		const rounds = 5_000
		var ball atomic.Int64
		var group sync.WaitGroup
		group.Go(func() {
			for i := range int64(rounds) {
				ball.Store(i + 1)
				p.Unpark()
				for ball.Load() != 0 {
					runtime.Gosched()
				}
			}
		})
		stuck := time.AfterFunc(patience, func() { panic("park: an Unpark was lost") })
		for n := 0; n < rounds; {
			p.Park(func() bool { return ball.Load() != 0 }, wait)
			if ball.Swap(0) != 0 {
				n++
			}
		}
		group.Wait()
		stuck.Stop()
	}
}

func TestUnparkStormsAndCloseAreHarmless(t *testing.T) {
	p, _, _ := newPipe(t)
	var stop atomic.Bool
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for !stop.Load() {
				p.Unpark()
				runtime.Gosched()
			}
		})
	}
	for range 2000 {
		p.Park(never, patience)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	stop.Store(true)
	group.Wait()
	p.Unpark()
}

func TestADescriptorWithoutPollIsRefused(t *testing.T) {
	fd, err := unix.Open("park.go", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := New(fd); err == nil {
		t.Error("a regular file was accepted")
	}
	if _, err := New(-1); err == nil {
		t.Error("descriptor -1 was accepted")
	}
}

func TestParkAllocatesNothing(t *testing.T) {
	p, _, _ := newPipe(t)
	ready := func() bool { return true }
	if n := testing.AllocsPerRun(100, func() {
		p.Park(ready, time.Minute)
		p.Park(never, time.Microsecond)
		p.Unpark()
		p.Park(never, -1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
