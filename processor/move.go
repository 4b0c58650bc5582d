package processor

import (
	"math"
	"sync/atomic"

	"kring/engine"
	"kring/internal/conn"
)

// migration is how connections get to other processors.
type migration struct {
	targets atomic.Pointer[[]*Processor] // who gets the connections of a retiring one; set before it is
	turn    int                          // of targets
	list    []*slot                      // may be handed over
}

// Retire has the processor hand its connections over to targets, each as soon as
// it has nothing in flight, and take no new ones; Drained tells when none is
// left. The targets must outlive it, or take none any more themselves. Any
// goroutine.
func (p *Processor) Retire(targets []*Processor) {
	p.migration.targets.Store(&targets)
	p.inbox.ask(conn.Retiring)
}

// Shed has up to n connections that nothing is going on with go on with another
// processor; those that have been idle for longest stay. While an earlier call has
// not been heeded this one does nothing. Any goroutine.
func (p *Processor) Shed(n int, to *Processor) {
	p.inbox.submitOnce(onceShed, func() {
		for _, c := range p.slots.all {
			if n <= 0 || p.phase != conn.Serving {
				return
			}
			if c.Info() != nil && c.Resting() {
				c.target = to
				c.Migrate()
				n--
			}
		}
	})
}

// Load is how many connections the processor has, those that wait to be adopted
// with them. Any goroutine.
func (p *Processor) Load() int64 { return p.load.Load() }

// Serves says that the processor takes connections: it was not told to end, and
// its engine is alive. Any goroutine.
func (p *Processor) Serves() bool { return p.inbox.wanted() == conn.Serving }

// migrate hands over who can go.
func (p *Processor) migrate() {
	m := &p.migration
	for i := 0; i < len(m.list); i++ { // one who can't may add to the list
		if c := m.list[i]; c.CanMigrate() { // else its slot is another's, or something came between
			p.handOver(c)
		}
	}
	clear(m.list)
	m.list = m.list[:0]
}

func (p *Processor) handOver(c *slot) {
	target := p.targetOf(c)
	if target == nil {
		if p.phase == conn.Serving { // else everybody is ending, and so will this
			c.target = nil
			c.ApplySettings()
		}
		return
	}
	p.engine.Detach(c.fd, c.Token())
	p.timers.wheel.remove(c)
	p.timers.alarms.remove(c)
	m := message{socket: engine.Accepted{FD: c.fd, Slot: c.admission}, moved: c.Detach()}
	p.slots.open--
	p.slots.release(c)
	p.load.Add(-1)
	target.inbox.post(m)
}

// targetOf finds who takes the connection, and has it expect that; nil when nobody does.
func (p *Processor) targetOf(c *slot) *Processor {
	if c.target != nil && c.target.expect() {
		return c.target
	}
	if p.phase == conn.Serving {
		return nil
	}
	targets := *p.migration.targets.Load()
	for range targets {
		p.migration.turn = (p.migration.turn + 1) % len(targets)
		if t := targets[p.migration.turn]; t.expect() {
			return t
		}
	}
	return nil
}

// expect counts a connection in that is about to be handed over; false when the
// processor is ending. There is no bound but that on connections: it is here already.
func (p *Processor) expect() bool {
	if !p.inbox.expect(math.MaxInt64) {
		return false
	}
	p.load.Add(1)
	return true
}
