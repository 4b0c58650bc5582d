package slab

import (
	"slices"

	"kring/internal/invariants"
)

// region is memory that pieces of one class are carved from. When all pieces are free it
// is unmapped, except one region of each class, which is kept for the next pieces.
type region struct {
	memory   []byte
	size     int // of a piece
	free     [][]byte
	cold     int  // of free, the first so many have no pages
	reserved bool // it is reserved memory
}

func (r *region) allFree() bool { return len(r.free) == len(r.memory)/r.size }

// warmBytes is how many free bytes of it have pages.
func (r *region) warmBytes() int { return (len(r.free) - r.cold) * r.size }

// takePiece takes a free piece, nil if there is none; warm: it was counted as kept. mu is
// held, as for all methods of class.
func (c *class) takePiece(k int) (b []byte, warm bool) {
	if k >= classesCarved {
		b = popPiece(&c.free)
		return b, b != nil
	}
	if c.current == nil || len(c.current.free) == 0 {
		c.current = c.fullest()
	}
	r := c.current
	if r == nil {
		return nil, false
	}
	b = popPiece(&r.free)
	if len(r.free) < r.cold {
		r.cold--
		return b, false
	}
	return b, true
}

// popPiece takes the last piece, nil if there is none.
func popPiece(from *[][]byte) (b []byte) {
	if last := len(*from) - 1; last >= 0 {
		b, (*from)[last] = (*from)[last], nil
		*from = (*from)[:last]
	}
	return b
}

// fullest is the region with the fewest free pieces, at least one, so that others can
// become free; nil if none has a free piece.
func (c *class) fullest() (best *region) {
	for _, r := range c.regions {
		if n := len(r.free); n > 0 && (best == nil || n < len(best.free)) {
			best = r
		}
	}
	return best
}

// addPieces divides b into free pieces, the first on top.
func (c *class) addPieces(b []byte, size int, reserved bool) {
	pieces := make([][]byte, 0, len(b)/size)
	for at := len(b) - size; at >= 0; at -= size {
		pieces = append(pieces, b[at:at+size:at+size])
	}
	if size > 1<<carvedBits {
		c.free = append(c.free, pieces...)
		return
	}
	r := &region{memory: b, size: size, free: pieces, cold: len(pieces), reserved: reserved}
	at, _ := c.findRegion(b)
	c.regions = slices.Insert(c.regions, at, r)
	c.current = r
}

// findRegion returns the index of the region that b lies in, or where it would be.
func (c *class) findRegion(b []byte) (int, bool) {
	return slices.BinarySearchFunc(c.regions, b, func(r *region, b []byte) int { return comparePosition(r.memory, b) })
}

// putPiece makes a piece free; it has pages if it is warm. gone, if not nil, is a region
// that has to be unmapped, with kept bytes that were counted as kept.
func (c *class) putPiece(b []byte, warm bool) (gone []byte, kept int) {
	at, found := c.findRegion(b)
	invariants.Assert(found, "slab: Put of memory that lies in no region of its class")
	r := c.regions[at]
	r.free = append(r.free, b)
	if !warm { // below the warm ones
		last := len(r.free) - 1
		r.free[last], r.free[r.cold] = r.free[r.cold], b
		r.cold++
	}
	if r.reserved || !r.allFree() || !c.hasOtherFreeRegion(r) {
		return nil, 0
	}
	if c.current == r {
		c.current = nil
	}
	c.regions = slices.Delete(c.regions, at, at+1)
	return r.memory, r.warmBytes()
}

// hasOtherFreeRegion reports whether another region than r is entirely free.
func (c *class) hasOtherFreeRegion(r *region) bool {
	return slices.ContainsFunc(c.regions, func(o *region) bool { return o != r && !o.reserved && o.allFree() })
}

// removeFreeRegions removes the regions without lent pieces and returns them. Reserved
// regions are removed only if all is set, and are not returned.
func (c *class) removeFreeRegions(all bool) (gone [][]byte, kept int) {
	c.current = nil
	c.regions = slices.DeleteFunc(c.regions, func(r *region) bool {
		if r.reserved {
			return all
		}
		if r.allFree() {
			gone = append(gone, r.memory)
			kept += r.warmBytes()
			return true
		}
		return false
	})
	return gone, kept
}
