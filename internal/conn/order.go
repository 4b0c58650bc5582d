package conn

import (
	"math/bits"

	"kring/reqchan"
)

// order brings the answers of a pipelined connection back into the order of
// its requests. Sequence numbers are the server's own: a client's correlation
// ids may repeat.
//
// Invariant: first <= every number out < last <= first + depth.
type order struct {
	depth int            // what the connection began with
	slots []*reqchan.Job // by number, see at; nil: not answered yet
	first uint64         // the number whose answer leaves next
	last  uint64         // the number that the next request gets
}

func newOrder(depth int) *order {
	return &order{depth: depth, slots: make([]*reqchan.Job, 1<<bits.Len(uint(depth-1)))}
}

// at is the place of a number: modulo the places, which are a power of two.
func (o *order) at(seq uint64) **reqchan.Job { return &o.slots[seq&uint64(len(o.slots)-1)] }

// next numbers a request. The caller bounds how many are out.
func (o *order) next() uint64 {
	o.last++
	return o.last - 1
}

// isNext says whether the answer to number seq would leave at once.
func (o *order) isNext(seq uint64) bool { return seq == o.first }

// isAlone says whether it would, and no other with it.
func (o *order) isAlone(seq uint64) bool { return o.isNext(seq) && *o.at(seq + 1) == nil }

// pass lets the answer whose turn it is leave without being put in.
func (o *order) pass() { o.first++ }

// put takes an answered request in.
func (o *order) put(r *reqchan.Job) { *o.at(r.Seq) = r }

// take gives the answered request whose turn it is, nil if it isn't there yet.
func (o *order) take() *reqchan.Job {
	at := o.at(o.first)
	r := *at
	if r != nil {
		*at = nil
		o.first++
	}
	return r
}

// holdsBehind says that an answer waits for the one to number seq.
func (o *order) holdsBehind(seq uint64) bool {
	for n := seq + 1; n < o.last; n++ {
		if *o.at(n) != nil {
			return true
		}
	}
	return false
}
