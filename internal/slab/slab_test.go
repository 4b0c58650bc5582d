package slab_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"kring/internal/invariants"
	"kring/internal/slab"
)

func TestPiecesAreLongEnoughAndDoNotOverlap(t *testing.T) {
	var p slab.Pool
	var all [][]byte
	for _, n := range []int{0, 1, 4096, 4097, 65536, 65537, 1 << 20, 5 << 20} {
		for range 3 {
			b := p.Get(n)
			if len(b) != n {
				t.Fatalf("length %d of %d", len(b), n)
			}
			b = b[:cap(b)]
			b[0], b[len(b)/2], b[len(b)-1] = byte(len(all)), byte(len(all)), byte(len(all))
			all = append(all, b)
		}
	}
	for i, b := range all {
		if b[0] != byte(i) || b[len(b)/2] != byte(i) || b[len(b)-1] != byte(i) {
			t.Fatalf("piece %d was written by another", i)
		}
		p.Put(b)
	}
	if p.Lent() != 0 {
		t.Fatalf("%d lent", p.Lent())
	}
}

func TestLargePiecesGoBackToTheSystem(t *testing.T) {
	var p slab.Pool
	p.Put(p.Get(4096))
	for range 4 {
		p.Put(p.Get(40 << 20))
	}
	if p.Mapped() > 64<<20 {
		t.Fatalf("%d bytes stay mapped", p.Mapped())
	}
	p.Close()
	if p.Mapped() != 0 {
		t.Fatalf("%d bytes mapped after Close", p.Mapped())
	}
}

func TestAnyGoroutineMayGetAndPut(t *testing.T) {
	var p slab.Pool
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				b := p.Get(1 + (i*977+g)%100000)
				b[0] = byte(g)
				p.Put(b)
			}
		})
	}
	all.Wait()
	if p.Lent() != 0 {
		t.Fatalf("%d lent", p.Lent())
	}
}

func TestArenaPacksNeighboursAndReturnsChunks(t *testing.T) {
	var p slab.Pool
	a := slab.NewArena(&p)
	type taken struct {
		b []byte
		c *slab.Chunk
	}
	var out []taken
	for i := range 1000 {
		b, c := a.Take(100)
		for k := range b {
			b[k] = byte(i)
		}
		out = append(out, taken{b, c})
	}
	if got, want := p.Lent(), int64(1000*100/slab.ArenaChunkBytes+1); got != want {
		t.Fatalf("%d chunks for 1000 pieces of 100 bytes, want %d", got, want)
	}
	for i, o := range out {
		if o.b[0] != byte(i) || o.b[99] != byte(i) {
			t.Fatalf("piece %d was overwritten", i)
		}
		a.Release(o.c)
	}
	a.Close()
	if p.Lent() != 0 {
		t.Fatalf("%d chunks did not come back", p.Lent())
	}
}

func TestOpenedPiecesAreAdjacentAndKeepTheirChunk(t *testing.T) {
	var p slab.Pool
	a := slab.NewArena(&p)
	frame, c := a.Take(100)
	room, c1 := a.OpenPiece(10)
	if c1 != c || len(room) < 10 {
		t.Fatalf("%d bytes, in another chunk: %v", len(room), c1 != c)
	}
	first := room[:copy(room, "0123456789")]
	a.Release(c) // the piece that is open keeps its memory
	a.ClosePiece(c1, len(first))
	second, c2 := a.OpenPiece(5)
	if c2 != c || &first[:11][10] != &second[0] {
		t.Fatal("two pieces that were opened one behind the other are not adjacent")
	}
	a.ClosePiece(c2, 5)
	if string(first) != "0123456789" || &frame[0] == &first[0] {
		t.Fatalf("%q", first)
	}
	rest, other := a.OpenPiece(slab.ArenaChunkBytes)
	if len(rest) != slab.ArenaChunkBytes || other == c {
		t.Fatalf("%d bytes of a chunk that had not as many", len(rest))
	}
	a.ClosePiece(other, 0)
	a.Release(other)
	a.Release(c)
	a.Release(c)
	a.Close()
	if p.Lent() != 0 {
		t.Fatalf("%d chunks did not come back", p.Lent())
	}
}

func TestOwnsTellsSlabMemoryFromTheHeap(t *testing.T) {
	var p slab.Pool
	b := p.Get(100)
	defer p.Put(b)
	if !slab.Owns(b[10:20]) {
		t.Fatal("slab memory is not recognised")
	}
	if invariants.Enabled && slab.Owns(make([]byte, 10)) {
		t.Fatal("heap memory passes for slab memory")
	}
}

func TestReservedMemoryIsUsedFirstAndStaysUntilTheEnd(t *testing.T) {
	var p slab.Pool
	whole, err := p.Reserve(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	inside := func(b []byte) bool {
		for at := 0; at < len(whole); at += 4096 {
			if &whole[at] == &b[0] {
				return true
			}
		}
		return false
	}
	small, big := p.Get(100), p.Get(200_000)
	if !inside(small) || !inside(big) {
		t.Fatal("reserved memory is there, and other was taken")
	}
	huge := p.Get(2 << 20)
	if inside(huge) || !slab.Owns(huge) {
		t.Fatal("a piece larger than what is reserved does not lie on its own")
	}
	p.Put(big)
	p.Close() // takes nothing of what is lent, or reserved
	again := p.Get(200_000)
	if &again[0] != &big[0] {
		t.Fatal("a reserved piece that came back was not used again")
	}
	again[len(again)-1] = 1
	p.Put(again)
	p.Put(small)
	p.Put(huge)
	if p.Close(); p.Mapped() != 0 {
		t.Fatalf("%d bytes mapped after Close", p.Mapped())
	}
	if b := p.Get(100); p.Mapped() == 0 {
		t.Fatal("nothing is mapped")
	} else {
		p.Put(b)
		p.Close()
	}
}

// The last piece that is given back after Close unmaps everything. A piece that is taken
// at that moment has memory nevertheless.
func TestMemoryTakenWhileTheLastComesBackIsThere(t *testing.T) {
	for range 50 {
		var p slab.Pool
		if _, err := p.Reserve(1 << 20); err != nil {
			t.Fatal(err)
		}
		last := p.Get(4 << 10)
		p.Close()
		var w sync.WaitGroup
		for _, size := range []int{4 << 10, 64 << 10, 200_000} {
			w.Go(func() {
				for range 10 {
					b := p.Get(size)
					b[0], b[size-1] = 1, 1
					runtime.Gosched()
					p.Put(b)
				}
			})
		}
		p.Put(last)
		w.Wait()
		if p.Close(); p.Mapped() != 0 || p.Lent() != 0 {
			t.Fatalf("%d bytes mapped, %d lent", p.Mapped(), p.Lent())
		}
	}
}

// A refusal of memory is an error and changes nothing: the same class serves the next
// request, and Get panics without holding a lock.
func TestRefusedMemoryIsAnErrorAndNothingElse(t *testing.T) {
	var p slab.Pool
	defer p.Close()
	warm := p.Get(100)
	p.Put(warm)
	restore := slab.Refuse(func(int) error { return syscall.ENOMEM })
	defer restore()
	for range 2 {
		if _, err := p.TryGet(200_000); !errors.Is(err, syscall.ENOMEM) {
			t.Fatalf("refused with %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Get of memory that there is not: no panic")
				}
			}()
			p.Get(200_000)
		}()
	}
	p.Put(p.Get(100)) // there is some of it
	restore()
	b, err := p.TryGet(200_000)
	if err != nil || len(b) != 200_000 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	p.Put(b)
	if p.Lent() != 0 || p.Refused() != 4 {
		t.Errorf("%d lent, %d refused", p.Lent(), p.Refused())
	}
}

// After a peak small pieces are given back to the system too, except one region of each
// size. A lent piece keeps no more than its own region.
func TestSmallPiecesAreGivenBackAfterAPeak(t *testing.T) {
	var p slab.Pool
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10} {
		const peak = 64 << 20
		var lent [][]byte
		for range peak / size {
			lent = append(lent, p.Get(size))
		}
		if p.Mapped() < peak {
			t.Fatalf("%d bytes mapped at the peak", p.Mapped())
		}
		rand.Shuffle(len(lent), func(i, j int) { lent[i], lent[j] = lent[j], lent[i] })
		for _, b := range lent[1:] {
			p.Put(b)
		}
		if n := p.Mapped(); n > 6<<20 {
			t.Errorf("pieces of %d: %d bytes stay mapped for one piece", size, n)
		}
		p.Put(lent[0])
		for range 1000 { // and to and fro costs no system call each
			p.Put(p.Get(size))
		}
	}
	if n := p.Mapped(); n > 3<<20 {
		t.Errorf("%d bytes stay mapped", n)
	}
	if p.Close(); p.Mapped() != 0 || p.Lent() != 0 {
		t.Errorf("%d bytes mapped, %d lent", p.Mapped(), p.Lent())
	}
}

// The memory of a burst of large pieces goes back to the system, whatever their sizes,
// except one bounded amount; pieces of the size in use are kept.
func TestABurstOfLargePiecesGoesBackToTheSystem(t *testing.T) {
	p := &slab.Pool{}
	var out [][]byte
	for size := 128 << 10; size <= 64<<20; size *= 2 {
		for range max(1, 32<<20/size) {
			out = append(out, p.Get(size))
		}
	}
	peak := p.Mapped()
	for _, b := range out {
		p.Put(b)
	}
	const kept = 32 << 20
	if n := p.Mapped(); peak < 256<<20 || n > kept {
		t.Errorf("%d bytes stay mapped, of %d", n, peak)
	}
	for range 8 {
		out = append(out[:0], p.Get(1<<20), p.Get(1<<20))
		for _, b := range out {
			p.Put(b)
		}
	}
	before := p.Mapped()
	for range 2 {
		out = append(out[:0], p.Get(1<<20), p.Get(1<<20))
		if n := p.Mapped(); n != before {
			t.Errorf("%d bytes mapped anew for a size that is in use", n-before)
		}
		for _, b := range out {
			p.Put(b)
		}
	}
	if p.Close(); p.Mapped() != 0 {
		t.Errorf("%d bytes mapped after Close", p.Mapped())
	}
}
