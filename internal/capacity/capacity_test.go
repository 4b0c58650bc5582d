package capacity_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"kring/internal/capacity"
	"kring/internal/queue"
)

// sleeper is an owner that counts how often it is called.
func sleeper(b *capacity.Capacity) (*capacity.Taker, *atomic.Int64) {
	calls := new(atomic.Int64)
	wakeFlag := queue.NewWakeFlag(func() { calls.Add(1) })
	wakeFlag.BeforeSleep()
	return b.NewTaker(wakeFlag), calls
}

func TestATakerIsCalledWhenThereIsEnoughForIt(t *testing.T) {
	b := capacity.New(100)
	little, called := sleeper(b)
	much, calledMuch := sleeper(b)
	if !little.Reserve(90) || little.Reserve(20) || much.Reserve(100) {
		t.Fatal("90 of 100 can be reserved, and no more than 10 beside them")
	}
	if !little.Waiting() || !much.Waiting() {
		t.Error("who was refused does not know it")
	}
	b.Release(5)
	if called.Load() != 0 || calledMuch.Load() != 0 {
		t.Error("somebody was called for 15 bytes")
	}
	b.Release(5)
	if called.Load() != 1 || calledMuch.Load() != 0 || little.Waiting() || !much.Waiting() {
		t.Errorf("20 bytes are free: called %d and %d times", called.Load(), calledMuch.Load())
	}
	b.SetMax(200)
	if calledMuch.Load() != 1 || !much.Reserve(100) {
		t.Error("the bound was raised, and who waits does not get what there is")
	}
}

func TestWhatIsTakenBeyondTheBoundKeepsOthersOut(t *testing.T) {
	b := capacity.New(100)
	taker, _ := sleeper(b)
	if n := b.TakeBeyond(150); n != 150 || b.Used() != 150 || taker.Reserve(1) {
		t.Fatalf("%d bytes are taken", n)
	}
	b.Release(50)
	if taker.Reserve(1) {
		t.Error("a byte more than the bound")
	}
	b.Release(50)
	if !taker.Reserve(50) || b.Used() != 100 {
		t.Errorf("%d bytes are taken", b.Used())
	}
	taker.CancelWait()
}

func TestNothingIsLostAmongMany(t *testing.T) {
	b := capacity.New(1000)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			taker, _ := sleeper(b)
			defer taker.CancelWait()
			for i := range 10_000 {
				if n := int64((i*7+g)%300 + 1); taker.Reserve(n) {
					if b.Used() > b.Max() {
						t.Error("more is reserved than there may be")
					}
					b.Release(n)
				}
			}
		})
	}
	all.Wait()
	if b.Used() != 0 {
		t.Errorf("%d bytes are left", b.Used())
	}
}
