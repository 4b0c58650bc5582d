package processor_test

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"kring/engine"
	"kring/internal/faultengine"
	"kring/processor"
)

const (
	lateMax = 4
	// stillRounds are more than any completion is late: after as many rounds in
	// which nothing happened, nothing will.
	stillRounds = 2*lateMax + 2
	// clockMax is longer than any script throttles or delays, clockStep how far the
	// clock goes on at once: connections with a deadline are looked at all the time.
	clockMax, clockStep = 3 * time.Second, 100 * time.Millisecond
	// roundsMax is far more than anything takes that a client or handler could see.
	roundsMax = 20_000
)

// stepper runs one processor as a coroutine: it goes from one look at its engine
// to the next when it is told to, and sleeps as deep as on a real engine: only a
// completion, a Wake or the clock ends that.
type stepper struct {
	processor *processor.Processor
	next      func() (struct{}, bool)
	stop      func()
	yield     func(struct{}) bool
	over      bool // Run has returned
	err       error

	woken  bool
	asleep bool      // it would sleep: the last look found nothing
	until  time.Time // until when; zero: for ever
}

var errLeft = errors.New("the script was left")

func (s *stepper) begin(p *processor.Processor) {
	s.processor = p
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.yield = yield
		s.err = p.Run(func(error) {})
	})
	s.step()
}

func (s *stepper) number() uint32 { return s.processor.Stats().ID }

// step goes on to the next look at the engine.
func (s *stepper) step() {
	if !s.over {
		_, more := s.next()
		s.over = !more
	}
}

// steppedNetwork opens engines that one stepper steps.
type steppedNetwork struct {
	*faultengine.Network
	stepper *stepper
}

func (n steppedNetwork) Open(w engine.Wait) (engine.Engine, error) {
	e, err := n.Network.Open(w)
	return steppedEngine{e, n.stepper}, err
}

type steppedEngine struct {
	engine.Engine
	stepper *stepper
}

func (e steppedEngine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	s := e.stepper
	s.until = time.Time{}
	if wait > 0 {
		s.until = time.Now().Add(wait)
	}
	s.asleep = false
	for {
		if !s.yield(struct{}{}) {
			return 0, errLeft
		}
		n, err := e.Engine.Poll(done, 0)
		if n > 0 || err != nil || wait == 0 || s.woken || wait > 0 && !time.Now().Before(s.until) {
			s.woken, s.asleep = false, false
			return n, err
		}
		s.asleep = true
	}
}

func (e steppedEngine) Wake() { e.stepper.woken = true }

// rest goes on, with clients that write all they have and read all there is and
// handlers that answer, until nothing happens any more.
func (p *player) rest(what string) {
	still, patience := 0, time.Now().Add(clockMax)
	for round := 0; still < stillRounds; round++ {
		if round == roundsMax {
			p.fault("the stage doesn't come to rest (%s): %s%s", what, p.residue(), p.sleepers())
			break
		}
		still++
		if p.serveAll() {
			still, round, patience = 0, 0, time.Now().Add(clockMax)
		}
		for _, s := range p.stepped {
			if s.step(); !s.over && !s.asleep {
				still = 0
			}
		}
		if still == stillRounds && time.Now().Before(patience) && p.passTime() {
			still = 0
		}
	}
	p.mind()
	p.mustBeBare(what)
}

// sleepers says who would sleep for how long.
func (p *player) sleepers() (text string) {
	for _, s := range p.stepped {
		text += fmt.Sprintf("processor %d over %t asleep %t woken %t", s.number(), s.over, s.asleep, s.woken)
		if !s.until.IsZero() {
			text += fmt.Sprintf(" for %v", time.Until(s.until))
		}
		text += "; "
	}
	return text
}

// passTime has the clock go on to where the next processor would wake, and a good
// deal further; false when none would.
func (p *player) passTime() bool {
	var first time.Time
	for _, s := range p.stepped {
		if !s.over && !s.until.IsZero() && (first.IsZero() || s.until.Before(first)) {
			first = s.until
		}
	}
	if first.IsZero() {
		return false
	}
	<-time.After(max(time.Until(first), clockStep))
	return true
}
