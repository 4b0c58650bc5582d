package gateway

// fifo is a queue; the zero value is empty. What leaves it is not kept alive.
type fifo[T any] struct {
	items []T
	at    int
}

func (q *fifo[T]) len() int { return len(q.items) - q.at }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

// first is the oldest, the zero value when there is none.
func (q *fifo[T]) first() (v T) {
	if q.len() > 0 {
		v = q.items[q.at]
	}
	return v
}

func (q *fifo[T]) pop() (v T) {
	var none T
	if q.len() == 0 {
		return v
	}
	v, q.items[q.at] = q.items[q.at], none
	q.at++
	if q.at == len(q.items) {
		q.items, q.at = q.items[:0], 0
	} else if q.at >= 64 && q.at*2 >= len(q.items) {
		n := copy(q.items, q.items[q.at:])
		clear(q.items[n:])
		q.items, q.at = q.items[:n], 0
	}
	return v
}

// all are what is in it, oldest first.
func (q *fifo[T]) all() []T { return q.items[q.at:] }

// putBack puts items in front, in their order.
func (q *fifo[T]) putBack(items []T) {
	q.items, q.at = append(append(make([]T, 0, len(items)+q.len()), items...), q.all()...), 0
}

func (q *fifo[T]) clear() { *q = fifo[T]{} }
