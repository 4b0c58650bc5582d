package processor

import (
	"fmt"

	"kring/engine"
)

// SpoilMute puts every connection that there is into a mute state that it can't
// be in: with a request in flight, or without.
func (p *Processor) SpoilMute() {
	p.do(func() {
		for _, c := range p.conns {
			c.mute = noState
			if c.inFlight > 0 {
				c.mute = muted
			}
		}
	})
}

// InAPass runs f on the processor's goroutine, in the middle of a pass.
func (p *Processor) InAPass(f func()) { p.do(f) }

// CompleteForNobody has the processor take completions of connections that it
// never had.
func (p *Processor) CompleteForNobody() {
	p.do(func() {
		for op := engine.OpRecv; op <= engine.OpClose; op++ {
			p.complete(&engine.Completion{Op: op, Token: engine.MakeToken(1<<20, 3), Res: 5})
			p.complete(&engine.Completion{Op: op, Token: engine.MakeToken(0, 1<<20), Res: -5})
		}
	})
}

// Slots is how many connections there is room for.
func (p *Processor) Slots() int { return len(p.conns) }

// Residue names what a processor has that it must not have at rest, with every
// request answered and every response read; "" is nothing. Only while Run stands
// still.
func (p *Processor) Residue() (left string) {
	for name, n := range map[string]int{
		"waiting": len(p.waiting), "dirty": len(p.dirty), "movers": len(p.movers), "away": p.away, "pinned": p.pinned,
		"pending": len(p.ordinary.pending) + len(p.priority.pending), "alarms": len(p.alarms.byTime),
		"hoarded too much": int(max(p.credit-HoardedBytesMax, 0)),
		"bytes of output":  int(p.output), "later": len(p.later), "followers": p.followers,
	} {
		if n != 0 {
			left += fmt.Sprintf("%s: %d ", name, n)
		}
	}
	for _, c := range p.conns {
		switch {
		case c.info == nil:
		case c.out != nil:
			left += fmt.Sprintf("%s has output ", c.token)
		case c.mute != notMuted && c.phase == serving && !c.ending && !c.finishing:
			left += fmt.Sprintf("%s is %s ", c.token, c.mute)
		}
	}
	return left
}

// HoldFileReaders takes every place of those who may wait for a disk, as so many
// slow files would, until release is called.
func HoldFileReaders() (release func()) {
	for range cap(fileReaders) {
		fileReaders <- struct{}{}
	}
	return func() {
		for range cap(fileReaders) {
			<-fileReaders
		}
	}
}

// ErrandsWaiting is how many wait to be done.
func (p *Processor) ErrandsWaiting() int {
	p.errands.mu.Lock()
	defer p.errands.mu.Unlock()
	return len(p.errands.list)
}
