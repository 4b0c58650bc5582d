package slab

import "kring/internal/invariants"

// ArenaChunkBytes is the size of the chunks that an Arena packs.
const ArenaChunkBytes = 32 << 10

// Arena packs small pieces into chunks of a Pool. A chunk returns to the pool
// when every piece in it was released. It belongs to one goroutine.
type Arena struct {
	pool    *Pool
	current *Chunk
	spare   []*Chunk // descriptors without memory, for reuse
}

// Chunk is the memory behind pieces of an Arena.
type Chunk struct {
	memory []byte
	used   int
	refs   int
}

// NewArena packs into chunks of p.
func NewArena(p *Pool) *Arena { return &Arena{pool: p} }

// Take returns n bytes, 1 to ArenaChunkBytes, and the chunk to release them
// with; a nil chunk if the system refuses memory.
func (a *Arena) Take(n int) ([]byte, *Chunk) {
	b, c := a.OpenPiece(n)
	if c == nil {
		return nil, nil
	}
	a.ClosePiece(c, n)
	return b[:n:n], c
}

// Open begins a piece of at least n bytes. The returned bytes may be written, in part
// or whole. ClosePiece ends the piece and must be called before anything else is taken. A nil
// chunk means that the system refuses memory; then ClosePiece is not called.
func (a *Arena) OpenPiece(n int) ([]byte, *Chunk) {
	c := a.current
	if c == nil || len(c.memory)-c.used < n {
		if c = a.newChunk(n); c == nil {
			return nil, nil
		}
	}
	c.refs++
	return c.memory[c.used:], c
}

// ClosePiece ends the piece that was opened last, with n bytes. The next piece of the same
// chunk lies right behind it.
func (a *Arena) ClosePiece(c *Chunk, n int) {
	invariants.Assert(c == a.current && n <= len(c.memory)-c.used, "slab: piece of %d bytes kept where none was opened", n)
	c.used += n
}

// Release gives one piece of c back.
func (a *Arena) Release(c *Chunk) {
	c.refs--
	invariants.Assert(c.refs >= 0, "slab: chunk released %d times too often", -c.refs)
	if c.refs > 0 {
		return
	}
	if c == a.current {
		c.used = 0 // no piece is left: start over, while it is in the cache
		return
	}
	a.putChunk(c)
}

// Close gives the current chunk back; every piece must have been released.
func (a *Arena) Close() {
	if c := a.current; c != nil && c.refs == 0 {
		a.current = nil
		a.putChunk(c)
	}
}

func (a *Arena) newChunk(n int) *Chunk {
	invariants.Assert(n > 0 && n <= ArenaChunkBytes, "slab: piece of %d bytes", n)
	if old := a.current; old != nil && old.refs == 0 {
		a.current = nil
		a.putChunk(old)
	}
	memory, err := a.pool.TryGet(ArenaChunkBytes)
	if err != nil {
		return nil
	}
	var c *Chunk
	if k := len(a.spare); k > 0 {
		c, a.spare = a.spare[k-1], a.spare[:k-1]
	} else {
		c = &Chunk{}
	}
	c.memory, c.used, c.refs = memory, 0, 0
	a.current = c
	return c
}

func (a *Arena) putChunk(c *Chunk) {
	a.pool.Put(c.memory)
	c.memory = nil
	a.spare = append(a.spare, c)
}
