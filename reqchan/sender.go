package reqchan

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"kring/internal/capacity"
	"kring/internal/queue"
)

// Sender is one processor's way into a lane of the Channel. It belongs to one goroutine.
//
// What TrySend or Reserve refuses stays with the owner, and the channel then
// promises to notify (NotifyAlways) the owner's wake flag when it is worth another try. So an owner
// that tries again whenever its wake flag woke it never strands anything.
type Sender struct {
	channel  *Channel
	lane     *lane
	wakeFlag *queue.WakeFlag
	bytes    *capacity.Taker

	// Guarded by turns.mu.
	inLine bool
	called bool // it is its turn, and it has not come yet
	wants  int  // requests that it was refused room for, as far as one turn goes
}

// NewSender makes a Sender for ordinary requests whose owner sleeps at wakeFlag.
func (c *Channel) NewSender(wakeFlag *queue.WakeFlag) *Sender {
	return &Sender{channel: c, lane: &c.ordinary, wakeFlag: wakeFlag, bytes: c.bytes.NewTaker(wakeFlag)}
}

// TrySend hands on the first n of reqs, each of which may begin a run, as many as there
// is room for, in one piece, and returns n, and how many requests there are in these runs.
// They are not the sender's any more. If n < len(reqs) the owner will be called when there
// is room for more, unless the channel is closed: then nothing is accepted and nothing
// promised.
func (s *Sender) TrySend(reqs []*Job) (n, requests int) {
	c, l := s.channel, s.lane
	if l.turns.count.Load() == 0 { // nobody waits who would be overtaken
		n, requests = l.push(reqs, math.MaxInt)
	}
	if n < len(reqs) {
		more, inThem := l.turns.send(s, reqs[n:], l)
		n, requests = n+more, requests+inThem
	}
	if n > 0 && c.idle.count.Load() > 0 {
		c.idle.wakeOne()
	}
	return n, requests
}

// Reserve takes n bytes of the channel's byte capacity, to be given back by
// Channel.Release, as capacity.Taker.Reserve does. Invariant: n is at most BytesMax, or
// it would wait for ever.
func (s *Sender) Reserve(n int64) bool { return s.bytes.Reserve(n) }

// Claim is Reserve for a frame that may be long in coming, or never come: it leaves
// Config.ClaimsSpare to frames that are here. Its caller sees to it that a frame which
// does not come gives its bytes back.
//
// small ones leave half of it, for those who send no more before their size was seen.
func (s *Sender) Claim(n int64, small bool) bool {
	spare := s.channel.spareOf(small)
	if !s.Reserve(n + spare) {
		return false
	}
	if spare > 0 {
		s.channel.Release(spare)
	}
	return true
}

// ClaimNeeds is how many bytes must be free for Claim.
func (s *Sender) ClaimNeeds(n int64, small bool) int64 { return n + s.channel.spareOf(small) }

func (c *Channel) spareOf(small bool) int64 {
	if small {
		return c.spare.Load() / 2
	}
	return c.spare.Load()
}

// Waiting says that Reserve or Claim was refused and that there is no reason yet to try
// again.
func (s *Sender) Waiting() bool { return s.bytes.Waiting() }

// CancelWait gives up what was promised; for an owner that ends.
func (s *Sender) CancelWait() {
	s.lane.turns.leave(s, s.lane)
	s.bytes.CancelWait()
}

// turns is the line of Senders that found no room.
//
// Who is in line has its turn when it is called, and those before it too: the
// first as soon as there is room for what it wants, the next as soon as there
// is room for both, and so on. Whoever is not called, or not in line, has to
// queue up, so nobody overtakes; and a turn ends when something was accepted, so
// nobody stays in front. A Sender that doesn't come when it is called has no
// more use for its turn, as when the connection ended: it can't hold up the
// others for longer than it takes the Receivers to empty the channel, because
// then the line is dissolved and everybody in it called. Only there is it first
// come, first served.
type turns struct {
	count atomic.Int32 // in line; stored under mu, read without
	mu    sync.Mutex
	line  []*Sender // guarded by mu
}

// send is TrySend for a Sender that has to wait, or finds others waiting.
func (t *turns) send(s *Sender, reqs []*Job, l *lane) (n, requests int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.ring.Closed() {
		return 0, 0
	}
	if !s.inLine {
		s.inLine, s.called, s.wants = true, false, wanted(reqs, l)
		t.line = append(t.line, s)
		t.count.Store(int32(len(t.line)))
	}
	// Order: that s waits is visible before it looks for room once more.
	if first := t.line[0] == s; first || s.called {
		if !first { // the room was counted for those before it as well
			n, requests = l.push(reqs, s.wants)
		} else {
			n, requests = l.push(reqs, math.MaxInt)
		}
		t.came(s, n, reqs[n:], l)
	}
	t.callThoseWhoFit(l)
	return n, requests
}

// came ends a turn of s in which n runs were accepted and left were not.
func (t *turns) came(s *Sender, n int, left []*Job, l *lane) {
	s.called, s.wants = false, wanted(left, l)
	if n == 0 {
		return // it keeps its place
	}
	t.remove(s)
	if len(left) > 0 {
		s.inLine = true
		t.line = append(t.line, s)
		t.count.Store(int32(len(t.line)))
	}
}

// wanted is how much room is worth a call: a quarter of the channel, or the
// owner would be called for every request that a slow handler takes. A run needs as
// much as it is long.
func wanted(left []*Job, l *lane) int {
	if len(left) == 0 {
		return 0
	}
	quarter := (l.ring.Cap() + 3) / 4
	if len(left) >= quarter { // there may be very many, which nobody has looked at for long
		return max(quarter, left[0].InRun())
	}
	return max(min(requestsIn(left), quarter), left[0].InRun())
}

// roomWasMade calls whose turn it is.
func (t *turns) roomWasMade(l *lane) {
	t.mu.Lock()
	t.callThoseWhoFit(l)
	t.mu.Unlock()
}

// callThoseWhoFit needs t.mu.
func (t *turns) callThoseWhoFit(l *lane) {
	taken := l.waiting()
	if taken == 0 {
		t.callAll()
		return
	}
	room := l.ring.Cap() - taken
	for _, s := range t.line {
		if room -= s.wants; room < 0 {
			return
		}
		if !s.called {
			s.called = true
			s.wakeFlag.NotifyAlways()
		}
	}
}

// callAll dissolves the line; it needs t.mu.
func (t *turns) callAll() {
	t.count.Store(0)
	for i, s := range t.line {
		s.inLine = false
		s.wakeFlag.NotifyAlways() // again, if it was called: that call may have been for less
		t.line[i] = nil
	}
	t.line = t.line[:0]
}

func (t *turns) dissolve() {
	t.mu.Lock()
	t.callAll()
	t.mu.Unlock()
}

func (t *turns) leave(s *Sender, l *lane) {
	t.mu.Lock()
	if s.inLine {
		t.remove(s)
		t.callThoseWhoFit(l)
	}
	t.mu.Unlock()
}

// remove needs t.mu.
func (t *turns) remove(s *Sender) {
	s.inLine = false
	t.line = slices.DeleteFunc(t.line, func(other *Sender) bool { return other == s })
	t.count.Store(int32(len(t.line)))
}
