package processor

import "kring/internal/conn"

// delayedSendsMax bounds the Sends whose completions may wait: with more of them,
// the pass that takes them lets requests gather meanwhile, which is worth more than
// the system call.
const delayedSendsMax = 4

// allowDelayedSends tells the engine, if that is so and it wants to know, that nothing
// here waits for the Sends since the last Poll.
func (p *Processor) allowDelayedSends() bool {
	given := p.slots.sending
	p.slots.sending = given[:0]
	if p.engine.delayed == nil || len(given) == 0 || len(given) > delayedSendsMax || len(p.slots.retry)+len(p.slots.rearm.list) > 0 || p.phase != conn.Serving {
		return false
	}
	for _, c := range given {
		if c.WaitsForSend() {
			return false
		}
	}
	p.engine.delayed.AllowDelayedSends()
	return true
}
