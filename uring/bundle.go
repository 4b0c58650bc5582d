//go:build linux

package uring

import (
	"slices"

	"kring/engine"
)

// bundles lets a completion bring the data of several buffers: all of those that follow
// the named one in the buffer ring, each filled, the last perhaps not. The owner gets a
// completion for each buffer, because buffers lie anywhere in memory. What a bundle saves
// is the kernel's work.
//
// Kernel: 6.10. A CQE of a bundle without data names a buffer and has taken none.
//
// Cost: CQEs are taken one by one. Off: kernels 6.13 and 6.14 could mix up the order of
// the bytes, and frames smaller than a buffer gain nothing.
var bundles = technique{
	asked: func(c *Config) bool { return c.Bundles },
	open: func(e *ringEngine, _ engine.Wait) error {
		if e.ring.Params().Features&featureBundle == 0 {
			return demand("Bundles", e.config.Bundles, "RECVSEND_BUNDLE (6.10)")
		}
		e.reapMax = 1 // what a CQE is split into comes before the next
		return nil
	},
	hooks: hooks{
		prepared: func(_ *ringEngine, q *SQE, _ engine.FD) {
			if q.Opcode == OpcodeRecv && q.Flags&SQEBufferSelect != 0 {
				q.IOPrio |= RecvSendBundle
				q.Len = 0 // as much as the buffers hold
			}
		},
		split: (*ringEngine).splitBundle,
	},
}

// splitBundle makes a CQE of each buffer that q's has filled: the first in its place, the
// others before all that wait. Only the last says whether more follows, so the operation
// is over for its owner when all are delivered.
func (e *ringEngine) splitBundle(q *CQE) {
	if engine.Op(q.UserData>>opShift) != engine.OpRecv || q.Flags&CQEBuffer == 0 {
		return
	}
	w, left := e.window, int(q.Res)
	if left <= 0 {
		q.Flags &^= CQEBuffer
		return
	}
	whole, at := *q, w.places[q.BufferID()]
	var parts []CQE
	for ; left > 0; at++ {
		part := whole
		part.Res = int32(min(left, w.size))
		part.Flags = whole.Flags&(1<<cqeBufferShift-1) | uint32(w.ring.bufferAt(at))<<cqeBufferShift
		if left -= int(part.Res); left > 0 {
			part.Flags |= CQEMore
		}
		parts = append(parts, part)
	}
	*q = parts[0]
	e.spill = slices.Insert(e.spill, 0, parts[1:]...)
}
