package processor

import (
	"fmt"

	"kring/engine"
)

// InAPass runs f on the processor's goroutine, in the middle of a pass.
func (p *Processor) InAPass(f func()) { p.inbox.submit(f) }

// CompleteForNobody has the processor take completions of connections that it
// never had.
func (p *Processor) CompleteForNobody() {
	p.inbox.submit(func() {
		for op := engine.OpRecv; op <= engine.OpClose; op++ {
			p.complete(&engine.Completion{Op: op, Token: engine.MakeToken(1<<20, 3), Res: 5})
			p.complete(&engine.Completion{Op: op, Token: engine.MakeToken(0, 1<<20), Res: -5})
		}
	})
}

// Slots is how many connections there is room for.
func (p *Processor) Slots() int { return len(p.slots.all) }

// Residue names what a processor has that it must not have at rest, with every
// request answered and every response read; "" is nothing. Only while Run stands
// still.
func (p *Processor) Residue() (left string) {
	residue := p.shared.Residue()
	residue["retry"], residue["dirty"], residue["to migrate"] = len(p.slots.retry), len(p.slots.dirty), len(p.migration.list)
	residue["pending"], residue["alarms"] = len(p.handlers.ordinary.pending)+len(p.handlers.priority.pending), len(p.timers.alarms.byTime)
	residue["later"], residue["arrived"] = len(p.handlers.later), len(p.inbox.arrived)
	for name, n := range residue {
		if n != 0 {
			left += fmt.Sprintf("%s: %d ", name, n)
		}
	}
	for _, c := range p.slots.all {
		if of := c.Residue(); of != "" {
			left += fmt.Sprintf("%s %s ", c.Token(), of)
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

// TasksWaiting is how many wait to be done, on a processor that does none meanwhile.
func (p *Processor) TasksWaiting() (n int) {
	var all []message
	p.inbox.messages.Drain(func(m message) {
		n++
		all = append(all, m)
	}, -1)
	for _, m := range all {
		p.inbox.messages.Push(m)
	}
	return n
}
