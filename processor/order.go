package processor

import "kring/reqchan"

// order brings the answers of a pipelined connection back into the order of
// its requests. Sequence numbers are the server's own: a client's correlation
// ids may repeat.
//
// Invariant: first <= every number out < last <= first + len(slots).
type order struct {
	slots []*reqchan.Request // by number modulo the depth; nil: not answered yet
	first uint64             // the number whose answer leaves next
	last  uint64             // the number that the next request gets
}

func newOrder(depth int) *order { return &order{slots: make([]*reqchan.Request, depth)} }

// next numbers a request. The caller bounds how many are out.
func (o *order) next() uint64 {
	o.last++
	return o.last - 1
}

// isNext says whether the answer to number seq would leave at once.
func (o *order) isNext(seq uint64) bool { return seq == o.first }

// put takes an answered request in.
func (o *order) put(r *reqchan.Request) { o.slots[r.Seq%uint64(len(o.slots))] = r }

// take gives the answered request whose turn it is, nil if it isn't there yet.
func (o *order) take() *reqchan.Request {
	at := o.first % uint64(len(o.slots))
	r := o.slots[at]
	if r != nil {
		o.slots[at] = nil
		o.first++
	}
	return r
}
