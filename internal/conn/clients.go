package conn

import "kring/reqchan"

// use is what a connection has done.
type use struct{ requests, received, sent uint64 }

// touch has what the connection does in this pass counted with its client id at the end of
// the pass: once, however many requests come in it.
func (c *Conn) touch() {
	if !c.touched {
		c.touched = true
		c.shared.touched = append(c.shared.touched, c)
	}
}

// tellUse counts with the client id what the connection did since it was counted last.
func (c *Conn) tellUse() {
	now := use{c.pipeline.cut, c.in.bytes, c.out.bytes}
	if reqchan.CountUse(c.info, now.requests-c.told.requests, now.received-c.told.received, now.sent-c.told.sent) {
		c.told = now
	}
}

// publishUse counts with their client ids what connections did in this pass.
func (sh *Shared) publishUse() {
	for i, c := range sh.touched {
		sh.touched[i] = nil
		if c.touched && c.info != nil { // else it ended, or moved, and its slot may be another's
			c.touched = false
			c.tellUse()
		}
	}
	sh.touched = sh.touched[:0]
}
