package epoll

import (
	"fmt"

	"kring/internal/invariants"
	"kring/internal/slab"
)

// buffers is the memory that an engine lends. It belongs to the engine's owner.
type buffers struct {
	memory []byte
	size   int
	free   []uint32 // a stack: the buffer used last is in the cache
	lent   []bool   // by index
	closed bool
}

func newBuffers(count, size int) (*buffers, error) {
	memory, err := slab.Map(count * size)
	if err != nil {
		return nil, explainErrno(fmt.Sprintf("map %d receive buffers of %d bytes", count, size), err)
	}
	slab.Register(memory)
	b := &buffers{memory: memory, size: size, free: make([]uint32, count), lent: make([]bool, count)}
	for i := range b.free {
		b.free[i] = uint32(count - 1 - i)
	}
	return b, nil
}

// next is the buffer that lend would lend, nil if all are lent.
func (b *buffers) next() []byte {
	if len(b.free) == 0 {
		return nil
	}
	at := int(b.free[len(b.free)-1]) * b.size
	return b.memory[at : at+b.size : at+b.size]
}

// lend lends the first n bytes of next. The lease is never 0.
func (b *buffers) lend(n int) (data []byte, lease uint32) {
	data = b.next()[:n:n]
	i := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	b.lent[i] = true
	return data, i + 1
}

// giveBack ends a lease.
func (b *buffers) giveBack(lease uint32) {
	i := lease - 1
	invariants.Assert(int(i) < len(b.lent) && b.lent[i], "epoll: lease %d recycled twice", lease)
	b.lent[i] = false
	if invariants.Enabled {
		at := int(i) * b.size
		invariants.Poison(b.memory[at : at+b.size])
	}
	b.free = append(b.free, i)
	if b.closed {
		b.release()
	}
}

// close returns the memory to the system, at once or with the last lease.
func (b *buffers) close() {
	b.closed = true
	b.release()
}

func (b *buffers) release() {
	if b.memory == nil || len(b.free) < len(b.lent) {
		return
	}
	memory := b.memory
	b.memory = nil
	slab.Unregister(memory)
	if err := slab.Unmap(memory); err != nil {
		panic(fmt.Sprintf("kring: munmap of %d bytes: %v", len(memory), err))
	}
}
