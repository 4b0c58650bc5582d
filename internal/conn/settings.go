package conn

// Phase is how far the life of a processor or a listener has come; it only grows.
type Phase uint32

// The phases.
const (
	Serving   Phase = iota
	Retiring        // nothing new is cut; connections go on with other processors
	Draining        // nothing new is cut; connections close when they have nothing in flight
	Cutting         // connections are terminated whatever they have in flight
	Stopped         // the loop ends once every request is home
	Abandoned       // the loop ends
)

// ApplySettings has the connection go by its listener's settings of now, and be in the
// phase that it shall be in.
func (c *Conn) ApplySettings() {
	c.set = c.from.settings.Load()
	c.shared.loop.SetDeadline(c)
	if c.up != nil {
		c.applyUpstream()
		return
	}
	switch ph := max(c.shared.phase, c.from.Phase()); {
	case ph >= Cutting:
		c.cutOff(c.endReason())
	case ph == Draining || c.life == draining: // the latter also of its own, see Drain
		c.Drain()
	case ph == Retiring:
		c.Migrate()
	default:
		c.become(toServe)
		c.Resume()
	}
}

// Drain has the connection end once it has nothing in flight, whatever phase its processor
// and its listener are in.
func (c *Conn) Drain() {
	if c.life == delayed {
		c.unpark()
		return
	}
	c.become(toDrain)
	c.finishIfIdle()
}
