package compare

import (
	"cmp"
	"context"
	"math"

	"kring/bench/load"
	"kring/bench/stats"
)

// Asked is where the rate of an open loop comes from.
type Asked struct {
	Of       OpenRate `json:"of"`
	Capacity float64  `json:"capacity"` // requests/s: its own, or the slowest one's
	Share    float64  `json:"share"`
}

func (a Asked) rate() float64 { return a.Capacity * a.Share }

// capacityOf is what a contestant's capacity depends on.
type capacityOf struct {
	contestant            string
	kind                  load.Kind
	conns, depth, payload int
	tls                   bool
}

func (t turn) capacityOf() capacityOf {
	return capacityOf{t.c.Name, t.s.Kind, t.s.Conns, t.s.Depth, t.s.Payload, t.s.TLS}
}

// capacityRounds is how often a capacity is measured. The median counts: on a
// shared machine a single run may be far off, and all that follows with it.
const capacityRounds = 3

// findRates measures the capacity of who takes part in open loops, in a closed
// one of the same shape, once for all scenarios of that shape.
func (r *runner) findRates(ctx context.Context, g []*Scenario) (map[turn]Asked, error) {
	open := r.openTurns(g)
	for round := range capacityRounds {
		for _, t := range open {
			of := t.capacityOf()
			if len(r.capacity[of]) > round {
				continue
			}
			closed := *t.s
			closed.Open, closed.Idle = "", 0
			rec, err := r.one(ctx, turn{&closed, t.c}, round, Capacity, Asked{})
			if err != nil {
				return nil, err
			}
			if rec != nil && rec.Load != nil && rec.Load.Rate > 0 {
				r.capacity[of] = append(r.capacity[of], rec.Load.Rate)
			}
		}
	}
	return r.ask(open), nil
}

func (r *runner) openTurns(g []*Scenario) []turn {
	var open []turn
	for _, t := range r.turns(g, 0) {
		if t.s.Open != "" {
			open = append(open, t)
		}
	}
	return open
}

// ask deals the rates out. Who could not be measured has none.
func (r *runner) ask(open []turn) map[turn]Asked {
	rates := map[turn]Asked{}
	slowest := math.Inf(1)
	for _, t := range open {
		if tries := r.capacity[t.capacityOf()]; len(tries) > 0 {
			a := Asked{t.s.Open, stats.Median(tries), cmp.Or(t.s.Share, openShare)}
			rates[t], slowest = a, min(slowest, a.Capacity)
		}
	}
	for t, a := range rates {
		if a.Of == OfSlowest {
			a.Capacity = slowest
			rates[t] = a
		}
	}
	return rates
}

// rateTolerance is how far rates that are the same may lie apart.
const rateTolerance = 0.01

func near(a, b float64) bool { return math.Abs(a-b) <= rateTolerance*max(a, b) }

// belong says whether two runs may be held against each other: closed loops, or
// open ones that were asked for the same rate, or each for the same share of its
// own capacity.
func belong(a, b *Record) bool {
	own := func(r *Record) bool { return r.Asked != nil && r.Asked.Of == OfOwn }
	asked := func(r *Record) bool { return r.Asked.Capacity > 0 && near(r.Load.Config.Rate, r.Asked.rate()) }
	switch {
	case a.Load.Config.IsOpen() != b.Load.Config.IsOpen():
		return false
	case own(a) && own(b):
		return a.Asked.Share == b.Asked.Share && asked(a) && asked(b)
	case own(a) || own(b):
		return false
	default:
		return near(a.Load.Config.Rate, b.Load.Config.Rate)
	}
}
