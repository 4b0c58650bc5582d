package slab

import (
	"slices"

	"kring/internal/invariants"
)

// region is memory that pieces of one class are carved from. Without its lent pieces
// it is given back, but for one of each class, which whoever comes next will want.
type region struct {
	memory []byte
	size   int // of a piece
	free   [][]byte
	cold   int  // of free, the first so many have no pages
	stays  bool // it is reserved memory
}

func (r *region) whole() bool { return len(r.free) == len(r.memory)/r.size }

// warm is how many bytes of it are free and have pages.
func (r *region) warm() int { return (len(r.free) - r.cold) * r.size }

// take is a free piece, nil when there is none; warm says that it was counted as kept. mu
// is held, as for all of these.
func (c *class) take(k int) (b []byte, warm bool) {
	if k >= classesCarved {
		b = pop(&c.free)
		return b, b != nil
	}
	if c.current == nil || len(c.current.free) == 0 {
		c.current = c.fullest()
	}
	r := c.current
	if r == nil {
		return nil, false
	}
	b = pop(&r.free)
	if len(r.free) < r.cold {
		r.cold--
		return b, false
	}
	return b, true
}

// pop takes the last piece, nil when there is none.
func pop(from *[][]byte) (b []byte) {
	if last := len(*from) - 1; last >= 0 {
		b, (*from)[last] = (*from)[last], nil
		*from = (*from)[:last]
	}
	return b
}

// fullest is the region with the fewest free pieces that has one, so that others
// become whole; nil when none has.
func (c *class) fullest() (best *region) {
	for _, r := range c.regions {
		if n := len(r.free); n > 0 && (best == nil || n < len(best.free)) {
			best = r
		}
	}
	return best
}

// fill makes free pieces of b, the first on top.
func (c *class) fill(b []byte, size int, reserved bool) {
	pieces := make([][]byte, 0, len(b)/size)
	for at := len(b) - size; at >= 0; at -= size {
		pieces = append(pieces, b[at:at+size:at+size])
	}
	if size > 1<<carvedBits {
		c.free = append(c.free, pieces...)
		return
	}
	r := &region{memory: b, size: size, free: pieces, cold: len(pieces), stays: reserved}
	at, _ := c.find(b)
	c.regions = slices.Insert(c.regions, at, r)
	c.current = r
}

// find says where in regions the one stands that b lies in, or would stand.
func (c *class) find(b []byte) (int, bool) {
	return slices.BinarySearchFunc(c.regions, b, func(r *region, b []byte) int { return position(r.memory, b) })
}

// giveBack takes a piece back, which has pages if it is warm. What it returns, if
// anything, is a region that is to be unmapped, and how many bytes of it are kept.
func (c *class) giveBack(b []byte, warm bool) (gone []byte, kept int) {
	at, found := c.find(b)
	invariants.Assert(found, "slab: Put of memory that lies in no region of its class")
	r := c.regions[at]
	r.free = append(r.free, b)
	if !warm { // below those that are
		last := len(r.free) - 1
		r.free[last], r.free[r.cold] = r.free[r.cold], b
		r.cold++
	}
	if r.stays || !r.whole() || !c.another(r) {
		return nil, 0
	}
	if c.current == r {
		c.current = nil
	}
	c.regions = slices.Delete(c.regions, at, at+1)
	return r.memory, r.warm()
}

// another says that there is a whole region beside r.
func (c *class) another(r *region) bool {
	return slices.ContainsFunc(c.regions, func(o *region) bool { return o != r && !o.stays && o.whole() })
}

// empty takes out the regions that nothing is lent of, and returns them, but for
// those that are reserved: these only when all is to go.
func (c *class) empty(all bool) (gone [][]byte, kept int) {
	c.current = nil
	c.regions = slices.DeleteFunc(c.regions, func(r *region) bool {
		if r.stays {
			return all
		}
		if r.whole() {
			gone = append(gone, r.memory)
			kept += r.warm()
			return true
		}
		return false
	})
	return gone, kept
}
