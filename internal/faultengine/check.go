package faultengine

import (
	"bytes"
	"errors"
	"fmt"
)

// breach records that an owner broke the contract; n.mu is held.
func (n *Network) breach(format string, args ...any) {
	err := fmt.Errorf("faultengine: seed %d: %s", n.cfg.Seed, fmt.Sprintf(format, args...))
	n.breaches = append(n.breaches, err)
	if n.cfg.Report == nil {
		panic(err.Error() + "\nlast steps:\n" + n.trace.String())
	}
	n.cfg.Report(err)
}

// Check returns, at the end of a test, what its owners did wrong: every breach of the
// contract, and every engine, descriptor and lease that was left open.
func (n *Network) Check() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	errs := append([]error(nil), n.breaches...)
	forgotten := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("faultengine: seed %d: %s", n.cfg.Seed, fmt.Sprintf(format, args...)))
	}
	for _, e := range n.engines {
		if !e.closed {
			forgotten("engine %d was not closed", e.number)
		}
		for _, h := range e.held {
			if !bytes.Equal(h.memory, h.was) {
				forgotten("engine %d: memory that it had not given back was used for something else", e.number)
			}
		}
		if k := len(e.lender.lent); k > 0 && (!e.closed || e.orderly) {
			forgotten("engine %d: %d leases were not recycled", e.number, k)
		}
	}
	for _, d := range n.descs {
		if d != nil {
			forgotten("%s was not closed (outstanding: %s)", d, d.outstanding())
		}
	}
	return errors.Join(errs...)
}

// Trace returns the last steps of all engines, one on a line, for a failing test.
func (n *Network) Trace() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trace.String()
}

// Fingerprint is a digest of every step so far: equal for equal schedules.
func (n *Network) Fingerprint() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trace.digest
}
