package queue

import (
	"runtime"
	"sync"
	"testing"
)

type numbered struct{ producer, n int }

func TestManyToOneKeepsTheOrderOfEachProducer(t *testing.T) {
	const producers, each = 8, 10_000
	q := NewManyToOne[numbered]()
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := range each {
				q.Push(numbered{p, n})
			}
		})
	}
	next := make([]int, producers)
	for got := 0; got < producers*each; {
		k := q.Drain(func(x numbered) {
			if x.n != next[x.producer] {
				t.Errorf("producer %d: got %d, want %d", x.producer, x.n, next[x.producer])
			}
			next[x.producer] = x.n + 1
		}, 100)
		if got += k; k == 0 {
			runtime.Gosched()
		}
	}
	wg.Wait()
	if q.HasItems() || q.Drain(func(numbered) {}, -1) != 0 {
		t.Error("something is left")
	}
}

func TestManyToOneDrainsNoMoreThanItsLimit(t *testing.T) {
	q := NewManyToOne[int]()
	for i := range 5 {
		q.Push(i)
	}
	var got []int
	take := func(i int) { got = append(got, i) }
	if n := q.Drain(take, 0); n != 0 {
		t.Errorf("limit 0: %d", n)
	}
	if n := q.Drain(take, 2); n != 2 || !q.HasItems() {
		t.Errorf("limit 2: %d", n)
	}
	q.Push(5)
	if n := q.Drain(take, -1); n != 4 || q.HasItems() {
		t.Errorf("no limit: %d", n)
	}
	for i, x := range got {
		if i != x {
			t.Errorf("place %d: %d", i, x)
		}
	}
}

func TestManyToOneMayBePushedToWhileItDrains(t *testing.T) {
	q := NewManyToOne[int]()
	q.Push(3)
	sum := 0
	n := q.Drain(func(i int) {
		sum += i
		if i > 0 {
			q.Push(i - 1)
		}
	}, -1)
	if n != 4 || sum != 6 {
		t.Errorf("drained %d with sum %d, want 4 with 6", n, sum)
	}
}
