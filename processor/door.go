package processor

import (
	"time"

	"kring/engine"
)

// Door lets connections in on a processor's own engine: an acceptor without an
// engine of its own. All methods are called on the processor's goroutine, and
// must not block.
type Door interface {
	// Begin has it accept on e, with completions of t. wake makes the processor
	// call Proceed soon; any goroutine may call that.
	Begin(e engine.Engine, t engine.Token, wake func())
	// Proceed is called before every sleep: how long until something is due by
	// the clock (negative: nothing is), and whether it accepts no more.
	Proceed() (wait time.Duration, over bool)
	// Complete takes a completion of its token.
	Complete(done *engine.Completion)
	// End is the last call, when it is over or the engine is closed; the only
	// one, when the processor ended before it could begin.
	End()
}

// Host opens a door, soon. false: the processor has ended, and d has not been
// touched. Any goroutine.
func (p *Processor) Host(d Door) bool {
	return p.inbox.submit(func() {
		if p.ends.gone {
			d.End()
			return
		}
		at := 0
		for ; at < len(p.doors) && p.doors[at] != nil; at++ {
		}
		if at == len(p.doors) {
			p.doors = append(p.doors, nil)
		}
		p.doors[at] = d
		d.Begin(p.engine.Engine, doorToken(at), p.inbox.wakeFlag.Notify)
	})
}

// Tokens of doors count slots from the end, where no connection ever is.
func doorToken(at int) engine.Token { return engine.MakeToken(^uint32(0)-uint32(at), 0) }

func doorOf(t engine.Token) int { return int(^uint32(0) - t.Slot()) }

// proceedDoors says how long until one of them has something to do. Order: the
// wake flag is set before, so that whoever wakes a door after this look notifies it.
func (p *Processor) proceedDoors() time.Duration {
	due := time.Duration(-1)
	for i, d := range p.doors {
		if d == nil {
			continue
		}
		wait, over := d.Proceed()
		if over {
			p.doors[i] = nil
			d.End()
			continue
		}
		due = sooner(due, wait)
	}
	return due
}

// endDoors closes them under a closed engine.
func (p *Processor) endDoors() {
	for _, d := range p.doors {
		if d != nil {
			d.End()
		}
	}
	p.doors = nil
}

// sooner is the shorter of two waits, of which negative ones have no end.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}
