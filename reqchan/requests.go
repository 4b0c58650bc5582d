package reqchan

import (
	"slices"
	"sync/atomic"
	"time"

	"kring/internal/budget"
	"kring/internal/slab"
)

const (
	// requestsKeptMax bounds how many jobs wait for reuse, and largesKeptMax how many
	// of them keep memory beyond smallBytes.
	requestsKeptMax = 4096
	largesKeptMax   = 256
	// A block of Requests is one allocation, and stays as long as anybody holds one
	// of it. blockMax makes it no more than one for so many requests, and
	// blocksHeldMax bounds what those keep that take long: a block is the smaller
	// the more requests are out, down to blockMin.
	blockMax      = 512
	blockMin      = 16
	blocksHeldMax = 1 << 19
)

// Requests are where a processor has its Requests from. It belongs to one
// goroutine, but for Extra.
//
// Every frame gets a Request that nobody has had before, because whoever had one
// may have it still, and answer late; what is costly of it, the job behind, is
// used again. So a late answer finds that its life is over.
type Requests struct {
	// Budget is that of all responses; nil: there is none. Set it before the first Take.
	Budget *budget.Budget

	free  []*job
	block []Request
	out   int
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
func (s *Requests) putAside(pool *slab.Pool, memory []byte, held int64) {
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
func (s *Requests) Tidy(now int64) time.Duration {
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
func (s *Requests) takeBack(due func(*asidePiece) bool) {
	n := 0
	for ; n < len(s.aside) && due(&s.aside[n]); n++ {
		s.asideBytes -= cap(s.aside[n].memory)
		s.aside[n].pool.Put(s.aside[n].memory)
		s.Budget.Change(s.aside[n].held, 0)
	}
	s.aside = slices.Delete(s.aside, 0, n)
}

// Take returns a Request of c that has no frame yet.
func (s *Requests) Take(c *Conn, token uint64) *Request {
	j := (*job)(nil)
	if n := len(s.free); n > 0 {
		j = s.free[n-1]
		s.free[n-1] = nil
		s.free = s.free[:n-1]
	} else {
		j = &job{from: s, budget: s.Budget}
	}
	s.out++
	return s.give(j, c, token)
}

// Again returns another Request instead of r, which is home and needed no more.
func (s *Requests) Again(r *Request, c *Conn, token uint64) *Request { return s.give(r.job, c, token) }

func (s *Requests) give(j *job, c *Conn, token uint64) *Request {
	if len(s.block) == 0 {
		s.block = make([]Request, max(min(blocksHeldMax/max(s.out, 1), blockMax), blockMin))
	}
	r := &s.block[0]
	s.block = s.block[1:]
	r.job, r.Conn, j.Token = j, c, token
	return r
}

// Put takes back what r was made of. r is home, and Reset.
func (s *Requests) Put(r *Request) {
	s.out--
	if len(s.free) < requestsKeptMax {
		if r.large != nil && len(s.free) >= largesKeptMax {
			r.dropLarge()
		}
		s.free = append(s.free, r.job)
	} else {
		r.Free()
	}
}

// Free gives the memory of those back that are not out.
func (s *Requests) Free() {
	for _, j := range s.free {
		(&Request{job: j}).Free()
	}
	s.free, s.block = nil, nil
	s.takeBack(func(*asidePiece) bool { return true })
}

// Extra is how many answers came to requests that were answered before, and were
// dropped. Any goroutine.
func (s *Requests) Extra() uint64 { return s.extra.Load() }
