package slab

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"kring/internal/invariants"
)

// PieceBytesMin is the smallest piece of memory that a Pool hands out: a page.
const PieceBytesMin = 1 << pageBits

const (
	pageBits = 12
	// carvedBits is the largest class that is carved from regions. A region is unmapped
	// when all its pieces are free. Larger pieces are mapped one by one.
	carvedBits    = 16
	classesCarved = carvedBits - pageBits + 1
	maxBits       = 40
	classes       = classesCarved + 4*(maxBits-carvedBits)
	regionBytes   = 1 << 20
	// keptBytesDefault is what a Pool keeps for reuse: each fresh page costs a page
	// fault.
	keptBytesDefault = 32 << 20
)

// Pool hands out off-heap memory in size classes. The zero value works. Any
// goroutine may use it.
type Pool struct {
	classes [classes]class
	regions struct {
		mu   sync.Mutex
		left []byte // of reserved, not carved yet, guarded by mu
	}
	reserved []byte // never changes between Reserve and Close
	mapped   atomic.Int64
	lent     atomic.Int64
	refused  atomic.Uint64
	kept     atomic.Int64 // bytes of free pieces that have pages
	keptMax  atomic.Int64 // 0: keptBytesDefault
	closed   atomic.Bool
}

// class has the pieces of one size. Large ones are mapped one by one and are in free;
// small ones are in regions, see region.go.
type class struct {
	mu      sync.Mutex
	free    [][]byte  // guarded by mu
	regions []*region // guarded by mu; by address
	current *region   // guarded by mu; has a free piece, if any region has
}

// reservedCarve is how many bytes of reserved memory a class of small pieces gets at
// once.
const reservedCarve = 1 << carvedBits

// Reserve maps n bytes, whole pages, that Get uses before it maps anything else. It
// returns them, so that they can be registered with the kernel. It may be called once,
// before the first Get. They stay until a Close with nothing lent.
func (p *Pool) Reserve(n int) ([]byte, error) {
	b, err := Map(n)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d bytes: %w", n, err)
	}
	register(b)
	p.mapped.Add(int64(n))
	p.reserved = b
	p.regions.mu.Lock()
	defer p.regions.mu.Unlock()
	p.regions.left = b
	return b, nil
}

// TryGet returns memory of length n with undefined content, whose capacity is that of
// the size class. An error means that the system refused it, and says what to do.
func (p *Pool) TryGet(n int) ([]byte, error) {
	if refuse := refusalOfAny.Load(); refuse != nil {
		if err := (*refuse)(); err != nil {
			p.refused.Add(1)
			return nil, err
		}
	}
	return p.get(n)
}

func (p *Pool) get(n int) ([]byte, error) {
	k := classOf(n)
	c := &p.classes[k]
	p.lent.Add(1) // Order: before it is taken, so that Close never takes it away
	c.mu.Lock()
	b, warm := c.takePiece(k)
	if b == nil {
		if err := p.refill(c, k); err != nil {
			c.mu.Unlock()
			p.refused.Add(1)
			p.lent.Add(-1)
			return nil, err
		}
		b, _ = c.takePiece(k) // fresh: it has no pages yet
	}
	c.mu.Unlock()
	if warm {
		p.kept.Add(-int64(cap(b)))
	}
	return b[:n], nil
}

// Get is TryGet for callers that can't go on without memory: it panics if the system
// refuses it, as the Go heap does.
func (p *Pool) Get(n int) []byte {
	b, err := p.get(n)
	if err != nil {
		panic("kring: " + err.Error())
	}
	return b
}

// Put gives back a slice that Get returned; only its start and capacity matter.
func (p *Pool) Put(b []byte) {
	b = b[:cap(b)]
	k := classOf(len(b))
	invariants.Assert(len(b) == sizeOf(k), "slab: Put of %d bytes, not a size class", len(b))
	invariants.Assert(Owns(b), "slab: Put of memory that is not slab memory")
	invariants.Poison(b)
	reserved := isWithin(b, p.reserved)
	warm := reserved || p.roomToKeep(k)
	if !warm && k < classesCarved {
		warm = !discard(b)
	}
	if warm {
		p.kept.Add(int64(len(b)))
	}
	c := &p.classes[k]
	c.mu.Lock()
	gone, kept := b, 0
	switch {
	case k < classesCarved:
		gone, kept = c.putPiece(b, warm)
	case warm:
		c.free, gone = append(c.free, b), nil
	}
	c.mu.Unlock()
	if gone != nil {
		p.kept.Add(-int64(kept))
		p.unmap(gone)
	}
	if p.lent.Add(-1) == 0 && p.closed.Load() { // Order: after it is among the free ones
		p.Close()
	}
}

// roomToKeep reports whether a free piece of class k may be kept. Free large pieces of
// other classes are unmapped to make room for it.
func (p *Pool) roomToKeep(k int) bool {
	most := p.keptBytesMax() - int64(sizeOf(k))
	for j := classes - 1; j >= classesCarved && p.kept.Load() > most; j-- {
		if j != k {
			p.releaseFree(&p.classes[j], most)
		}
	}
	return p.kept.Load() <= most
}

// releaseFree unmaps free large pieces of a class until no more than most is kept.
func (p *Pool) releaseFree(c *class, most int64) {
	var gone [][]byte
	c.mu.Lock()
	for i := len(c.free) - 1; i >= 0 && p.kept.Load() > most; i-- {
		if b := c.free[i]; !isWithin(b, p.reserved) {
			p.kept.Add(-int64(len(b)))
			gone = append(gone, b)
			c.free = slices.Delete(c.free, i, i+1)
		}
	}
	c.mu.Unlock()
	for _, b := range gone {
		p.unmap(b)
	}
}

// SetKeptMax bounds what is kept for reuse, in bytes. Beyond it, freed memory goes back to the
// system at once. 0 is the default, 32 MiB.
func (p *Pool) SetKeptMax(n int64) { p.keptMax.Store(n) }

func (p *Pool) keptBytesMax() int64 {
	if n := p.keptMax.Load(); n > 0 {
		return n
	}
	return keptBytesDefault
}

// Kept is how many bytes are kept for reuse.
func (p *Pool) Kept() int64 { return p.kept.Load() }

// Lent is how many slices are lent: 0 when all were given back.
func (p *Pool) Lent() int64 { return p.lent.Load() }

// Mapped is the memory taken from the system, in bytes.
func (p *Pool) Mapped() int64 { return p.mapped.Load() }

// Refused counts how often the system refused memory.
func (p *Pool) Refused() uint64 { return p.refused.Load() }

// Close unmaps everything. While something is lent, it unmaps only what is free and
// mapped by itself, and the rest when the last slice is given back. The Pool may be used
// again.
func (p *Pool) Close() {
	p.closed.Store(true)
	for k := range p.classes {
		p.classes[k].mu.Lock()
		defer p.classes[k].mu.Unlock()
	}
	all := p.Lent() == 0 // Order: with every lock held, so that nothing is taken before the unmapping
	for k := range p.classes {
		c := &p.classes[k]
		free := c.free
		c.free = nil
		for _, b := range free {
			if !isWithin(b, p.reserved) {
				p.kept.Add(-int64(len(b)))
				p.unmap(b)
			} else if !all {
				c.free = append(c.free, b)
			}
		}
		gone, kept := c.removeFreeRegions(all)
		p.kept.Add(-int64(kept))
		for _, b := range gone {
			p.unmap(b)
		}
	}
	if !all {
		return
	}
	p.kept.Store(0)     // only reserved memory was left in it
	p.regions.mu.Lock() // Order: after every class, as in refill
	defer p.regions.mu.Unlock()
	if p.reserved != nil {
		p.unmap(p.reserved)
	}
	p.regions.left, p.reserved = nil, nil
}

// refill adds at least one free piece of class k; c.mu is held.
func (p *Pool) refill(c *class, k int) error {
	size := sizeOf(k)
	if b := p.carve(max(size, reservedCarve)); b != nil {
		c.addPieces(b, size, true)
		return nil
	}
	n := size
	if k < classesCarved {
		n = regionBytes
	}
	region, err := mapOrRefuse(n)
	if err != nil {
		return fmt.Errorf("mmap of %d bytes: %w (raise the address-space limit, the memory limit or vm.max_map_count)", n, err)
	}
	register(region)
	p.mapped.Add(int64(n))
	c.addPieces(region, size, false)
	return nil
}

// carve takes n bytes of reserved memory, nil if there are fewer.
func (p *Pool) carve(n int) []byte {
	if p.reserved == nil {
		return nil
	}
	p.regions.mu.Lock() // Order: after a class, as in Close
	defer p.regions.mu.Unlock()
	if len(p.regions.left) < n {
		return nil
	}
	b := p.regions.left[:n:n]
	p.regions.left = p.regions.left[n:]
	return b
}

func (p *Pool) unmap(b []byte) {
	unregister(b)
	p.mapped.Add(-int64(len(b)))
	if err := Unmap(b); err != nil {
		panic(fmt.Sprintf("kring: munmap of %d bytes: %v", len(b), err))
	}
}

// classOf is the index of the smallest class of n bytes or more. Carved classes are
// powers of two; beyond, there are four classes for each power of two, so that at most a
// fifth of a large piece is unused.
func classOf(n int) int {
	if n <= 1<<pageBits {
		return 0
	}
	k := bits.Len(uint(n-1)) - 1
	if k < carvedBits {
		return k + 1 - pageBits
	}
	if k >= maxBits {
		panic(fmt.Sprintf("kring: slab of %d bytes asked for", n))
	}
	return classesCarved + 4*(k-carvedBits) + (n-1-1<<k)>>(k-2)
}

// sizeOf is the length of the pieces of class i.
func sizeOf(i int) int {
	if i < classesCarved {
		return 1 << (pageBits + i)
	}
	i -= classesCarved
	k := carvedBits + i/4
	return 1<<k + (i%4+1)<<(k-2)
}
