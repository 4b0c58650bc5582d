package kafka

import "sync"

// saslDelays bounds how many failures wait to be told. ends is a ring of when the last so
// many end. All wait for the same time, so the next place is the one that is free first.
type saslDelays struct {
	mu   sync.Mutex
	ends []int64 // guarded by mu; instants, in order from at on
	at   int
}

// take takes a place until end; false: there is none at the instant now.
func (d *saslDelays) take(now, end int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ends[d.at] > now {
		return false
	}
	d.ends[d.at] = end
	d.at = (d.at + 1) % len(d.ends)
	return true
}
