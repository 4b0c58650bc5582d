package embedded

import (
	"sync"

	"kring/reqchan"
)

// order hands the requests of a pipelined connection on in the order in which
// they were sent, because several handlers may bring them at the same time.
// The numbers are the processor's (Request.Seq: 0, 1, 2, …, none left out).
type order struct {
	mu    sync.Mutex
	next  uint64                     // guarded by mu
	early map[uint64]reqchan.Request // guarded by mu; came before their turn
	over  bool                       // guarded by mu
}

// take passes r to handle when its turn has come, and with it those that
// waited for it. handle is called for one request at a time.
func (o *order) take(r reqchan.Request, handle func(reqchan.Request)) {
	seq, known := r.Seq()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.over:
		r.CloseConnection(reqchan.BackendFailed)
		return
	case !known: // it is answered already
		return
	case seq != o.next:
		if o.early == nil {
			o.early = make(map[uint64]reqchan.Request)
		}
		o.early[seq] = r
		return
	}
	for ok := true; ok; {
		o.next++
		handle(r)
		r, ok = o.early[o.next]
		delete(o.early, o.next)
	}
}

// end answers what still waits for a predecessor: none will come.
func (o *order) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for _, r := range o.early {
		r.CloseConnection(reqchan.BackendFailed)
	}
	o.early = nil
}
