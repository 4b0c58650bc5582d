package processor

// patientSendsMax bounds the Sends whose completions may wait: with more of them,
// the pass that takes them lets requests gather meanwhile, which is worth more than
// the system call.
const patientSendsMax = 4

// sendsCanWait tells the engine, if that is so and it wants to know, that nothing
// here waits for the Sends since the last Poll.
func (p *Processor) sendsCanWait() bool {
	given := p.given
	p.given = p.given[:0]
	if p.patient == nil || len(given) == 0 || len(given) > patientSendsMax || len(p.waiting)+len(p.hungry.list) > 0 || p.phase != serving {
		return false
	}
	for _, c := range given {
		if c.sending && c.waitsForSend() {
			return false
		}
	}
	p.patient.SendsCanWait()
	return true
}

// waitsForSend says whether anything of the connection goes on when the outstanding
// Send has completed.
func (c *conn) waitsForSend() bool {
	return c.receive == receiveNone || c.cancelled || c.finishing || c.ending || c.phase != serving ||
		c.in.Held() > 0 || c.out.at+c.out.covered < len(c.out.segments)
}
