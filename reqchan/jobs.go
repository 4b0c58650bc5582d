package reqchan

import (
	"slices"
	"sync/atomic"
	"time"

	"kring/internal/budget"
	"kring/internal/slab"
)

const (
	// jobsKeptMax bounds how many jobs wait for reuse, and largesKeptMax how many of
	// them keep memory beyond smallBytes.
	jobsKeptMax   = 4096
	largesKeptMax = 256
)

// Jobs are where a processor has its jobs from. It belongs to one goroutine, but for
// Extra.
//
// Whoever had the Request of a job may have it still, and answer late: that finds
// that its life is over.
type Jobs struct {
	// Budget is that of all responses; nil: there is none. Set it before the first Take.
	Budget *budget.Budget

	free  []*Job
	extra atomic.Uint64

	// aside is memory that somebody may still write to, oldest first, asideBytes of
	// it.
	aside      []asidePiece
	asideBytes int
}

// asidePiece is memory that goes back to its pool some time later.
type asidePiece struct {
	pool   *slab.Pool
	memory []byte
	held   int64 // of the budget
	until  int64 // of Now
}

const (
	// asideTime is how long memory is put aside: whoever had it from Buffer, and has
	// not learned that another goroutine answered, has this long to be done.
	asideTime = int64(10 * time.Second)
	// asideBytesMax bounds what is put aside, and so does asidePart of the budget.
	// Beyond it the oldest goes back early, and a larger piece at once.
	asideBytesMax = 16 << 20
	asidePart     = 8
)

// putAside takes memory that goes back later, and counts for held bytes of the budget
// until then.
func (s *Jobs) putAside(pool *slab.Pool, memory []byte, held int64) {
	now := Now()
	s.aside = append(s.aside, asidePiece{pool, memory, held, now + asideTime})
	s.asideBytes += cap(memory)
	most := asideBytesMax
	if max := s.Budget.Max(); max > 0 {
		most = int(min(int64(most), max/asidePart))
	}
	s.takeBack(func(a *asidePiece) bool { return a.until <= now || s.asideBytes > most })
}

// Tidy gives back what has been put aside for long enough, and says in how many
// nanoseconds there will be more of it; negative: nothing is there.
func (s *Jobs) Tidy(now int64) time.Duration {
	if len(s.aside) == 0 {
		return -1
	}
	s.takeBack(func(a *asidePiece) bool { return a.until <= now })
	if len(s.aside) == 0 {
		return -1
	}
	return time.Duration(s.aside[0].until - now)
}

// takeBack gives back what was put aside, from the oldest on, as long as due says.
func (s *Jobs) takeBack(due func(*asidePiece) bool) {
	n := 0
	for ; n < len(s.aside) && due(&s.aside[n]); n++ {
		s.asideBytes -= cap(s.aside[n].memory)
		s.aside[n].pool.Put(s.aside[n].memory)
		s.Budget.Change(s.aside[n].held, 0)
	}
	s.aside = slices.Delete(s.aside, 0, n)
}

// Take returns a job for a request of c, which has no frame yet.
func (s *Jobs) Take(c *Conn, token uint64) *Job {
	r := (*Job)(nil)
	if n := len(s.free); n > 0 {
		r = s.free[n-1]
		s.free[n-1] = nil
		s.free = s.free[:n-1]
	} else {
		r = &Job{from: s, budget: s.Budget}
	}
	r.Conn, r.Token = c, token
	return r
}

// Put takes r back, which is home, and Reset.
func (s *Jobs) Put(r *Job) {
	if len(s.free) < jobsKeptMax && !r.Worn() {
		if r.large != nil && len(s.free) >= largesKeptMax {
			r.dropLarge()
		}
		s.free = append(s.free, r)
	} else {
		r.Free()
	}
}

// Free gives the memory of those back that are not out.
func (s *Jobs) Free() {
	for _, r := range s.free {
		r.Free()
	}
	s.free = nil
	s.takeBack(func(*asidePiece) bool { return true })
}

// Extra is how many answers came to requests that were answered before, and were
// dropped. Any goroutine.
func (s *Jobs) Extra() uint64 { return s.extra.Load() }
