package processor

import (
	"kring/engine"
	"kring/internal/budget"
	"kring/internal/frame"
	"kring/reqchan"
)

const (
	// outputStepBytes is what is taken of the budget of all responses at once for those
	// that are counted here, and outputHoardMax what may be taken and not used, so that
	// small responses don't all go to the shared count.
	outputStepBytes = 64 << 10
	outputHoardMax  = 4 * outputStepBytes
)

// HoardedOutputMax is how much of the budget of all responses a processor may keep
// without using it. The share of small responses must leave room beside that.
const HoardedOutputMax = outputHoardMax + outputStepBytes

// holdOutput counts n bytes of responses in memory of this processor, until
// letOutputGo. What a request has of its own beyond what jobs keep is counted where it
// is taken.
func (p *Processor) holdOutput(n int) {
	if p.output += int64(n); p.output > p.paid {
		p.pay(p.output + outputStepBytes - 1)
	}
}

func (p *Processor) letOutputGo(n int) {
	if p.output -= int64(n); p.paid-p.output > outputHoardMax {
		p.pay(p.output + outputStepBytes)
	}
}

// pay has output count for n bytes, rounded down to steps.
func (p *Processor) pay(n int64) {
	paid := n - n%outputStepBytes
	for p.paid < paid { // in pieces that are small ones
		p.cfg.Responses.Change(0, outputStepBytes)
		p.paid += outputStepBytes
	}
	for p.paid > paid {
		p.cfg.Responses.Change(outputStepBytes, 0)
		p.paid -= outputStepBytes
	}
}

// holdResponse counts a response that lies in memory which its job keeps, and says how
// many bytes that is. A response in its request's own frame counts as the request.
func (p *Processor) holdResponse(r *reqchan.Job) int {
	if r.ResponseHeld() || r.ResponseIsFrame() {
		return 0
	}
	n := r.ResponseMemory()
	p.holdOutput(n)
	return n
}

// outputMax is how many bytes of responses may be queued on a connection before its
// next request is begun. When the memory for all responses is short, who has not read
// one does not get another.
func (p *Processor) outputMax(c *conn) int {
	if p.cfg.Responses.Tight() {
		return 1
	}
	return c.set.QueuedBytesMax
}

// mayBegin says whether the request in a frame may be begun. Otherwise the connection is
// in line, and goes on when its turn has come. Beside a pool it is there that requests
// wait for the room of a large response: see postponed.
func (p *Processor) mayBegin(c *conn, b []byte) bool {
	if c.turn == nil {
		if !p.cfg.Responses.Tight() {
			return true
		}
		c.turn = p.line(c, p.roomFor(b), p.progress)
	}
	return c.turn.Granted()
}

// roomFor is what the response to the request in a frame may take.
func (p *Processor) roomFor(b []byte) int64 {
	switch {
	case p.cfg.Handle == nil:
		return budget.SmallestBytes
	case p.cfg.APIOf == nil:
		return p.cfg.Responses.Expect(-1)
	}
	api, _ := p.cfg.APIOf(b[frame.SizeBytes:])
	return p.cfg.Responses.Expect(api)
}

// takeTurn gives r what its connection has waited for. Who was told to expect nothing
// large holds nothing: a long poll may wait for ever.
func (c *conn) takeTurn(r *reqchan.Job) {
	t := c.turn
	if c.turn = nil; t.Small() {
		t.Release()
	} else {
		r.TakeTurn(t)
	}
}

// line has c wait for n bytes of the budget of all responses; then is called when
// they are there, unless they are at once.
func (p *Processor) line(c *conn, n int64, then func(*conn)) *budget.Ticket {
	token := c.token
	return p.cfg.Responses.Line(n, func() {
		p.do(func() {
			if c := p.connOf(token); c != nil {
				then(c)
			}
		})
	})
}

// leaveLine ends all waiting of c for the budget.
func (c *conn) leaveLine() {
	c.leaveTurn()
	if c.reads != nil {
		c.reads.Release()
		c.reads = nil
	}
}

// leaveTurn has the next request of c stand in line again.
func (c *conn) leaveTurn() {
	if c.turn != nil {
		c.turn.Release()
		c.turn = nil
	}
}

// postponed has a request that came home without an answer handed out again when there
// is room for its response.
func (p *Processor) postponed(r *reqchan.Job) {
	r.Begin(p.responses, p.cfg.Memory)
	if p.later == nil {
		p.later = map[*reqchan.Job]struct{}{}
	}
	p.later[r] = struct{}{}
	t := p.cfg.Responses.Line(p.cfg.Responses.Expect(r.API), func() { p.do(func() { p.handOut(r) }) })
	r.TakeTurn(t)
	if t.Granted() {
		p.handOut(r)
	}
}

// handOut hands a postponed request to a handler, unless its connection has ended.
func (p *Processor) handOut(r *reqchan.Job) {
	if _, waits := p.later[r]; !waits {
		return
	}
	delete(p.later, r)
	if c := p.connOf(engine.Token(r.Token)); c != nil && !c.ending {
		p.enqueue(c, r)
		return
	}
	p.count.late++
	p.measured(r)
	p.recycle(r)
}

// dropLater ends the requests that wait for room.
func (p *Processor) dropLater() {
	for r := range p.later {
		delete(p.later, r)
		p.count.late++
		p.measured(r)
		p.recycle(r)
	}
}
