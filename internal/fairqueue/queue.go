package fairqueue

import "net/netip"

// networkBits is how much of an IPv6 address says who it is: a client has a network of its
// own, and with it as many addresses as it likes.
const networkBits = 64

// KeyOf is what clients of addr wait as: an IPv4 address for itself, an IPv6 address with
// its /64, and all without an address (Unix domain sockets) as one.
func KeyOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return netip.Prefix{}
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = networkBits
	}
	p, _ := addr.Prefix(bits) // addr is valid, and has as many bits
	return p
}

// Queue is a queue. The zero value is empty. It is for one goroutine at a time.
//
// Invariant: turns are the addresses of own, each once, and none of these is empty.
type Queue[T any] struct {
	own   map[netip.Prefix]*line[T]
	turns []*line[T] // whose turn comes next is first
	len   int
}

// line is what waits for one address, the oldest first.
type line[T any] struct {
	key     netip.Prefix
	waiting []*Item[T]
}

// Item is one value in a Queue.
type Item[T any] struct {
	Value T
	key   netip.Prefix
}

// Len is how many values wait.
func (q *Queue[T]) Len() int { return q.len }

// Push puts v at the end of key's own queue. An address that had nothing there has its turn
// after the others.
func (q *Queue[T]) Push(key netip.Prefix, v T) *Item[T] {
	if q.own == nil {
		q.own = map[netip.Prefix]*line[T]{}
	}
	l := q.own[key]
	if l == nil {
		l = &line[T]{key: key}
		q.own[key] = l
		q.turns = append(q.turns, l)
	}
	it := &Item[T]{Value: v, key: key}
	l.waiting = append(l.waiting, it)
	q.len++
	return it
}

// Pop takes out the value whose turn it is; false: there is none.
func (q *Queue[T]) Pop() (v T, ok bool) {
	if q.len == 0 {
		return v, false
	}
	l := q.turns[0]
	q.turns[0] = nil
	q.turns = q.turns[1:]
	it := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	q.len--
	if len(l.waiting) > 0 {
		q.turns = append(q.turns, l)
	} else {
		delete(q.own, l.key)
	}
	return it.Value, true
}

// Remove takes out it; false: it is not there any more.
func (q *Queue[T]) Remove(it *Item[T]) bool {
	l := q.own[it.key]
	if l == nil {
		return false
	}
	for i, other := range l.waiting {
		if other == it {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			q.removed(l)
			return true
		}
	}
	return false
}

// DropFor takes out what makes way for a value of key: the youngest of the address that has
// most in the queue, if it has at least two more than key. false: key waits with the others.
func (q *Queue[T]) DropFor(key netip.Prefix) (v T, ok bool) {
	own := 0
	if l := q.own[key]; l != nil {
		own = len(l.waiting)
	}
	most := (*line[T])(nil)
	for _, l := range q.turns {
		if most == nil || len(l.waiting) > len(most.waiting) {
			most = l
		}
	}
	if most == nil || len(most.waiting) < own+2 {
		return v, false
	}
	last := len(most.waiting) - 1
	v, most.waiting[last] = most.waiting[last].Value, nil
	most.waiting = most.waiting[:last]
	q.removed(most)
	return v, true
}

// removed counts a value out that was not at its turn.
func (q *Queue[T]) removed(l *line[T]) {
	q.len--
	if len(l.waiting) > 0 {
		return
	}
	delete(q.own, l.key)
	for i, other := range q.turns {
		if other == l {
			q.turns = append(q.turns[:i], q.turns[i+1:]...)
			return
		}
	}
}
