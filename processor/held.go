package processor

// sweptPerPassMax is how many connections are told in one pass that memory is scarce. Each
// costs a cancel, which io_uring looks for among all that is armed (5 µs with 16,000), and
// those that are served wait meanwhile.
const sweptPerPassMax = 128

// watchHeld has the connections go by whether held memory is scarce, some in each pass.
func (p *Processor) watchHeld() {
	if p.shared.WatchHeld(); p.shared.Scarce() {
		p.sweep()
	}
}

// becomeScarce is called in the middle of a pass: what the rest of it brings is held
// too.
func (p *Processor) becomeScarce() {
	p.swept = 0
	p.sweep()
}

// sweep has connections end what they receive into buffers.
func (p *Processor) sweep() {
	for n := 0; n < sweptPerPassMax && p.swept < len(p.slots.all); n++ {
		if c := p.slots.all[p.swept]; c.Info() != nil {
			c.EndStream()
		}
		p.swept++
	}
}

// sweeping says that there are connections that watchHeld has not come to.
func (p *Processor) sweeping() bool { return p.shared.Scarce() && p.swept < len(p.slots.all) }
