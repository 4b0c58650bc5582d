package processor

import (
	"kring/engine"
	"kring/reqchan"
)

// DrainSome has up to n connections end, each as soon as it has nothing in flight; of
// several calls each chooses others. First their slots are given back, so that another
// process which counts them too has room when they come to it. Then chosen is called with
// their number and with drain, which begins to end them: any goroutine may call that, once.
// later is how many were passed over that are about to ask for the first time: ask again for
// these. chosen runs on the processor's goroutine, or with 0 on the caller's if the processor has
// ended, and must not block. Any goroutine.
func (p *Processor) DrainSome(n int, chosen func(n, later int, drain func())) {
	choose := func() {
		tokens, later := p.chooseToDrain(n)
		chosen(len(tokens), later, func() { p.inbox.submit(func() { p.drainChosen(tokens) }) })
	}
	if !p.inbox.submit(choose) {
		chosen(0, 0, func() {})
	}
}

func (p *Processor) chooseToDrain(n int) (tokens []engine.Token, later int) {
	for _, c := range p.slots.all {
		if len(tokens) >= n {
			break
		}
		if c.Info() == nil || c.upstream != nil || c.Ended() || c.chosen {
			continue
		}
		if c.IsBeginning() {
			later++
			continue
		}
		c.chosen = true
		c.admission.Release()
		tokens = append(tokens, c.Token())
	}
	return tokens, later
}

func (p *Processor) drainChosen(tokens []engine.Token) {
	for _, t := range tokens {
		if c := p.slots.of(t); c != nil { // else it ended, or went on elsewhere, where it drains with the rest
			c.Drain()
		}
	}
}

// CutAll terminates every connection that there is, whatever it has in flight; the
// processor goes on. Any goroutine.
func (p *Processor) CutAll() {
	p.inbox.submit(func() {
		for _, c := range p.slots.all {
			if c.Info() != nil && c.upstream == nil {
				c.CutOff(reqchan.ServerDraining)
			}
		}
	})
}
