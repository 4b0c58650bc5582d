package slab_test

import (
	"testing"

	"kring/internal/slab"
)

// residue takes n pieces of size bytes each, writes them, and gives back all except one in
// every so many, which it returns.
func residue(p *slab.Pool, size, n, every int) (left [][]byte) {
	var all [][]byte
	for range n {
		b := p.Get(size)
		clear(b)
		all = append(all, b)
	}
	for i, b := range all {
		if i%every == 0 {
			left = append(left, b)
			continue
		}
		p.Put(b)
	}
	return left
}

func TestWhatIsKeptForReuseIsBoundedOverAllSizes(t *testing.T) {
	var p slab.Pool
	p.SetKeptMax(2 << 20)
	var left [][]byte
	for _, size := range []int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 65 << 10, 1 << 20, 3 << 20} {
		left = append(left, residue(&p, size, max(2, 4<<20/size), 16)...)
		if n := p.Kept(); n > 2<<20 {
			t.Fatalf("%d bytes are kept after pieces of %d", n, size)
		}
	}
	for _, b := range left {
		p.Put(b)
	}
	if n := p.Kept(); n > 2<<20 {
		t.Errorf("%d bytes are kept in the end", n)
	}
	if p.Close(); p.Kept() != 0 || p.Mapped() != 0 {
		t.Errorf("%d bytes kept, %d mapped after Close", p.Kept(), p.Mapped())
	}
}

func TestWhatComesBackIsCountedOnce(t *testing.T) {
	for _, size := range []int{100, 5 << 10, 60 << 10, 80 << 10, 1 << 20} {
		var p slab.Pool
		for range 3 {
			b := p.Get(size)
			if n := p.Kept(); n != 0 {
				t.Fatalf("%d bytes are kept while the only piece of %d is out", n, size)
			}
			p.Put(b)
			if n := p.Kept(); n != int64(cap(b)) {
				t.Fatalf("%d bytes are kept after a piece of %d", n, cap(b))
			}
		}
		p.Close()
	}
}

func TestALargePieceIsLittleLargerThanWhatWasAskedFor(t *testing.T) {
	var p slab.Pool
	for _, n := range []int{64<<10 + 1, 64<<10 + 4, 100 << 10, 1<<20 + 4, 1<<20 + 1<<18, 100<<20 + 4} {
		b := p.Get(n)
		if len(b) != n || cap(b)*4 > n*5+16<<10 {
			t.Errorf("%d bytes for %d", cap(b), n)
		}
		p.Put(b)
	}
	p.Close()
}

func TestASizeThatIsInUseIsKeptBeforeOthers(t *testing.T) {
	var p slab.Pool
	p.SetKeptMax(4 << 20)
	for range 2 {
		p.Put(p.Get(2 << 20)) // and not again
	}
	a, b := p.Get(1<<20), p.Get(1<<20)
	p.Put(a)
	p.Put(b)
	before := p.Mapped()
	for range 10 {
		p.Put(p.Get(1 << 20))
		if n := p.Mapped(); n != before {
			t.Fatalf("%d bytes are mapped, %d before", n, before)
		}
	}
	all := [][]byte{p.Get(1 << 20), p.Get(1 << 20), p.Get(1 << 20), p.Get(1 << 20)}
	for _, b := range all {
		p.Put(b)
	}
	if n := p.Kept(); n != 4<<20 {
		t.Errorf("%d bytes are kept", n)
	}
	p.Close()
}
