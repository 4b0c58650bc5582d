package replay

import (
	"context"
	"sync"
)

// queue is what a connection has yet to send, in order. It has no bound of its own: budget
// bounds all of them.
type queue struct {
	mu    sync.Mutex
	items []*item       // guarded by mu
	ended bool          // guarded by mu; nothing more comes
	some  chan struct{} // has one when there is something new
}

func newQueue() *queue { return &queue{some: make(chan struct{}, 1)} }

func (q *queue) push(it *item) {
	q.mu.Lock()
	q.items = append(q.items, it)
	q.mu.Unlock()
	q.tell()
}

func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.tell()
}

func (q *queue) tell() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// pop is the next; nil when there is none any more, or ctx has ended.
func (q *queue) pop(ctx context.Context) *item {
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			it := q.items[0]
			q.items[0] = nil
			q.items = q.items[1:]
			q.mu.Unlock()
			return it
		}
		ended := q.ended
		q.mu.Unlock()
		if ended {
			return nil
		}
		select {
		case <-q.some:
		case <-ctx.Done():
			return nil
		}
	}
}

// budget bounds what all queues hold.
type budget struct {
	mu   sync.Mutex
	held int64         // guarded by mu
	most int64         // of held
	room chan struct{} // has one when something was given back
}

const (
	// queuedBytesMax bounds the bytes of requests that were read ahead.
	queuedBytesMax = 256 << 20
	// itemBytes is what an item takes beside its body.
	itemBytes = 256
)

func newBudget() *budget { return &budget{most: queuedBytesMax, room: make(chan struct{}, 1)} }

// take waits for room; false: ctx has ended. One that is larger than all waits until it is alone.
func (b *budget) take(ctx context.Context, n int64) bool {
	for {
		b.mu.Lock()
		if b.held == 0 || b.held+n <= b.most {
			b.held += n
			b.mu.Unlock()
			return true
		}
		b.mu.Unlock()
		select {
		case <-b.room:
		case <-ctx.Done():
			return false
		}
	}
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	b.held -= n
	b.mu.Unlock()
	select {
	case b.room <- struct{}{}:
	default:
	}
}
