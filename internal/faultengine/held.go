package faultengine

import "bytes"

// held is memory of an operation that a Close left with the kernel.
type held struct{ memory, was []byte }

// hold keeps the memory of an operation that is outstanding at Close, if Config
// says so.
func (e *Engine) hold(op *operation) {
	if op == nil || !e.n.cfg.HoldMemory {
		return
	}
	for _, b := range append([][]byte{op.into}, op.bufs...) {
		if len(b) > 0 {
			e.held = append(e.held, held{b, bytes.Clone(b)})
		}
	}
}

// Held is the memory that engines did not give back when they were closed.
func (n *Network) Held() (all [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.engines {
		for _, h := range e.held {
			all = append(all, h.memory)
		}
	}
	return all
}
