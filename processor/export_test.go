package processor

import "kring/engine"

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
