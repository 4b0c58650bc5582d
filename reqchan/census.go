package reqchan

import "sync"

// LabelsMax is how many kinds of client software are counted each for itself
// (Kafka's bound, too): names are the clients' own, and could be endless.
const LabelsMax = 100

// OtherSoftware stands for what is beyond LabelsMax.
var OtherSoftware = Software{Name: "other", Version: "other"}

// Census counts open connections by client software. Its lock is taken when a
// client says what it is and when a connection ends, not for requests.
type Census struct {
	mu     sync.Mutex
	counts map[Software]int // guarded by mu; none is 0
}

// Enter has s count c by its client's software; LeaveCensus ends that. They are for the
// processor.
func (s *Census) Enter(c *Conn) { c.census = s }

// LeaveCensus is beside Census.Enter.
func LeaveCensus(c *Conn) {
	if c.census != nil {
		c.census.leave(c)
	}
}

// Counts are the connections that said what they are. Any goroutine.
func (s *Census) Counts() map[Software]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[Software]int, len(s.counts))
	for k, n := range s.counts {
		counts[k] = n
	}
	return counts
}

// move counts c as what it says now, unless it has left.
func (s *Census) move(c *Conn, to Software) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.left {
		s.count(c, -1)
		if s.counts == nil {
			s.counts = map[Software]int{}
		}
		c.counted = to
		if _, known := s.counts[to]; !known && len(s.counts) >= LabelsMax {
			c.counted = OtherSoftware
		}
		s.count(c, +1)
	}
	c.software.Store(&to)
}

// leave counts c out, for good.
func (s *Census) leave(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.left {
		c.left = true
		s.count(c, -1)
	}
}

// count needs mu.
func (s *Census) count(c *Conn, by int) {
	if c.counted == (Software{}) {
		return // it never said
	}
	if s.counts[c.counted] += by; s.counts[c.counted] == 0 {
		delete(s.counts, c.counted)
	}
}
