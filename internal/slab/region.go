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
	stays  bool // it is reserved memory
}

func (r *region) whole() bool { return len(r.free) == len(r.memory)/r.size }

// take is a free piece, nil when there is none. mu is held, as for all of these.
func (c *class) take(k int) []byte {
	from := &c.free
	if k <= classCarved {
		if c.current == nil || len(c.current.free) == 0 {
			c.current = c.fullest()
		}
		if c.current == nil {
			return nil
		}
		from = &c.current.free
	}
	last := len(*from) - 1
	if last < 0 {
		return nil
	}
	b := (*from)[last]
	(*from)[last] = nil
	*from = (*from)[:last]
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
	if size > 1<<classCarved {
		c.free = append(c.free, pieces...)
		return
	}
	r := &region{memory: b, size: size, free: pieces, stays: reserved}
	at, _ := c.find(b)
	c.regions = slices.Insert(c.regions, at, r)
	c.current = r
}

// find says where in regions the one stands that b lies in, or would stand.
func (c *class) find(b []byte) (int, bool) {
	return slices.BinarySearchFunc(c.regions, b, func(r *region, b []byte) int { return position(r.memory, b) })
}

// giveBack takes a piece back. What it returns, if anything, is a region that is to
// be unmapped.
func (c *class) giveBack(b []byte) (gone []byte) {
	at, found := c.find(b)
	invariants.Assert(found, "slab: Put of memory that lies in no region of its class")
	r := c.regions[at]
	r.free = append(r.free, b)
	if r.stays || !r.whole() || !c.another(r) {
		return nil
	}
	if c.current == r {
		c.current = nil
	}
	c.regions = slices.Delete(c.regions, at, at+1)
	return r.memory
}

// another says that there is a whole region beside r.
func (c *class) another(r *region) bool {
	return slices.ContainsFunc(c.regions, func(o *region) bool { return o != r && !o.stays && o.whole() })
}

// empty takes out the regions that nothing is lent of, and returns them, but for
// those that are reserved: these only when all is to go.
func (c *class) empty(all bool) (gone [][]byte) {
	c.current = nil
	c.regions = slices.DeleteFunc(c.regions, func(r *region) bool {
		if r.stays {
			return all
		}
		if r.whole() {
			gone = append(gone, r.memory)
			return true
		}
		return false
	})
	return gone
}
