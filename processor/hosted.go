package processor

import (
	"time"

	"kring/engine"
)

// HostedAcceptor lets connections in on a processor's own engine: an acceptor without an
// engine of its own. All methods are called on the processor's goroutine, and
// must not block.
type HostedAcceptor interface {
	// StartOn has it accept on e, with completions of t. wake makes the processor
	// call Advance soon; any goroutine may call that.
	StartOn(e engine.Engine, t engine.Token, wake func())
	// Advance is called before every sleep: how long until something is due by
	// the clock (negative: nothing is), and whether it accepts no more.
	Advance() (wait time.Duration, over bool)
	// HandleCompletion takes a completion of its token.
	HandleCompletion(done *engine.Completion)
	// Close is the last call, when it is over or the engine is closed; the only
	// one, when the processor ended before it could begin.
	Close()
}

// HostAcceptor starts an acceptor, soon. false: the processor has ended, and d has not been
// touched. Any goroutine.
func (p *Processor) HostAcceptor(d HostedAcceptor) bool {
	return p.inbox.submit(func() {
		if p.ends.gone {
			d.Close()
			return
		}
		at := 0
		for ; at < len(p.hostedAcceptors) && p.hostedAcceptors[at] != nil; at++ {
		}
		if at == len(p.hostedAcceptors) {
			p.hostedAcceptors = append(p.hostedAcceptors, nil)
		}
		p.hostedAcceptors[at] = d
		d.StartOn(p.engine.Engine, hostedToken(at), p.inbox.wakeFlag.Notify)
	})
}

// Tokens of hosted acceptors count slots from the end, where no connection ever is.
func hostedToken(at int) engine.Token { return engine.MakeToken(^uint32(0)-uint32(at), 0) }

func hostedOf(t engine.Token) int { return int(^uint32(0) - t.Slot()) }

// runHosted says how long until one of them has something to do. Order: the
// wake flag is set before, so that whoever wakes one after this look notifies it.
func (p *Processor) runHosted() time.Duration {
	due := time.Duration(-1)
	for i, d := range p.hostedAcceptors {
		if d == nil {
			continue
		}
		wait, over := d.Advance()
		if over {
			p.hostedAcceptors[i] = nil
			d.Close()
			continue
		}
		due = sooner(due, wait)
	}
	return due
}

// endHosted closes them under a closed engine.
func (p *Processor) endHosted() {
	for _, d := range p.hostedAcceptors {
		if d != nil {
			d.Close()
		}
	}
	p.hostedAcceptors = nil
}

// sooner is the shorter of two waits, of which negative ones have no end.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}
