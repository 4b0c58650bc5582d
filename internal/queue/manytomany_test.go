package queue

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// TestManyToManyIsABoundedQueue compares it with a slice, also where positions
// and counts come around.
func TestManyToManyIsABoundedQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(1, 20).Draw(t, "bound")
		q := NewManyToMany[int](bound)
		start := rapid.SampledFrom([]uint64{0, 1<<32 - 5, countMask | (1<<32 - 5), countMask - 3*countOne}).Draw(t, "start")
		for _, mark := range []*atomic.Uint64{&q.push.claimed, &q.push.done, &q.pop.claimed, &q.pop.done} {
			mark.Store(start)
		}
		var model []int
		next, closed := 0, false
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				items := make([]int, rapid.IntRange(0, 25).Draw(t, "items"))
				for i := range items {
					items[i] = next + i
				}
				want := min(len(items), bound-len(model))
				if closed {
					want = 0
				}
				if n := q.TryPush(items); n != want {
					t.Fatalf("pushed %d, want %d", n, want)
				}
				model = append(model, items[:want]...)
				next += want
			},
			"pop": func(t *rapid.T) {
				into := make([]int, rapid.IntRange(0, 25).Draw(t, "into"))
				n := q.TryPop(into)
				if want := min(len(into), len(model)); n != want {
					t.Fatalf("popped %d, want %d", n, want)
				}
				for i, x := range into[:n] {
					if x != model[i] {
						t.Fatalf("got %d, want %d", x, model[i])
					}
				}
				model = model[n:]
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					q.Close()
					closed = true
				}
			},
			"": func(t *rapid.T) {
				if q.Len() != len(model) || q.Ready() != (len(model) > 0) || q.Cap() != bound {
					t.Fatalf("Len %d, Ready %v, Cap %d with %d of %d", q.Len(), q.Ready(), q.Cap(), len(model), bound)
				}
				if q.Closed() != closed || q.Drained() != (closed && len(model) == 0) {
					t.Fatalf("Closed %v, Drained %v", q.Closed(), q.Drained())
				}
			},
		})
	})
}

// crowd lets producers and consumers loose on a queue, closes it when all
// was pushed, and checks what came out.
func crowd(t *testing.T, bound, producers, consumers, each, batch int) {
	q := NewManyToMany[numbered](bound)
	// inside is never more than what is really inside: it is raised after a push
	// and lowered before a pop.
	var inside atomic.Int64
	var push, pop sync.WaitGroup
	seen := make([][]atomic.Int32, producers)
	for p := range producers {
		seen[p] = make([]atomic.Int32, each)
		push.Go(func() {
			items := make([]numbered, 0, batch)
			for n := 0; n < each || len(items) > 0; {
				for ; n < each && len(items) < 1+n%batch; n++ {
					items = append(items, numbered{p, n})
				}
				k := q.TryPush(items)
				if in := inside.Add(int64(k)); in > int64(bound) {
					t.Errorf("%d inside, the bound is %d", in, bound)
				}
				if items = items[:copy(items, items[k:])]; k == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	for c := range consumers {
		pop.Go(func() {
			last := make([]int, producers)
			into := make([]numbered, 1+c%batch)
			for !q.Drained() {
				inside.Add(-int64(len(into)))
				n := q.TryPop(into)
				inside.Add(int64(len(into) - n))
				for _, x := range into[:n] {
					if x.n < last[x.producer] {
						t.Errorf("producer %d: %d after %d", x.producer, x.n, last[x.producer])
					}
					last[x.producer] = x.n
					seen[x.producer][x.n].Add(1)
				}
				if n == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	push.Wait()
	q.Close()
	pop.Wait()
	for p := range seen {
		for n := range seen[p] {
			if k := seen[p][n].Load(); k != 1 {
				t.Fatalf("producer %d: %d came out %d times", p, n, k)
			}
		}
	}
}

func TestManyToManyHandsOutEachItemOnceAndInOrder(t *testing.T) {
	each := 40_000
	if testing.Short() {
		each = 4_000
	}
	t.Run("roomy", func(t *testing.T) { crowd(t, 1024, 4, 4, each, 64) })
	t.Run("tight", func(t *testing.T) { crowd(t, 3, 4, 4, each/2, 8) })
	t.Run("one", func(t *testing.T) { crowd(t, 1, 3, 3, each/4, 1) })
	t.Run("lopsided", func(t *testing.T) { crowd(t, 100, 8, 1, each/2, 16) })
}

func TestManyToManyLosesNothingThatItAcceptedBeforeClose(t *testing.T) {
	for range 300 {
		q := NewManyToMany[int](8)
		var accepted, taken atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for !q.Closed() {
					if n := q.TryPush([]int{1, 2, 3}); n > 0 {
						accepted.Add(int64(n))
					} else {
						runtime.Gosched()
					}
				}
				if q.TryPush([]int{1}) != 0 {
					t.Error("accepted after Close")
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				var into [4]int
				for !q.Drained() {
					if n := q.TryPop(into[:]); n > 0 {
						taken.Add(int64(n))
					} else {
						runtime.Gosched()
					}
				}
			})
		}
		for range 3 {
			runtime.Gosched()
		}
		q.Close()
		wg.Wait()
		if accepted.Load() != taken.Load() {
			t.Fatalf("accepted %d, taken %d", accepted.Load(), taken.Load())
		}
	}
}

func TestAStoppedPusherHidesWhatCameAfterItAndOnlyUntilItGoesOn(t *testing.T) {
	q := NewManyToMany[int](8)
	from := q.push.claimed.Load() // one that claimed a slot and was stopped
	q.push.claimed.Store(advance(from, 1))
	if n := q.TryPush([]int{2, 3}); n != 2 {
		t.Fatalf("pushed %d beside the stopped one", n)
	}
	if q.Ready() {
		t.Fatal("a slot is visible that was not written")
	}
	q.slots[0] = 1
	q.push.finishClaim()
	var into [8]int
	if n := q.TryPop(into[:]); n != 3 || into != [8]int{1, 2, 3} {
		t.Fatalf("got %v", into[:n])
	}
}
