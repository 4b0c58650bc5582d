package processor

import (
	"runtime"
	"time"

	"kring/engine"
)

const (
	// yieldRoundsMax is how often a pass lets handlers run.
	yieldRoundsMax = 16
	// yieldNanos is how long an answer may wait for what follows it on its
	// connection, beside the round of handlers that is under way then:
	// yieldNanosEach longer for each that gets company, which is less than a send
	// costs, up to yieldNanosMax.
	yieldNanos     = int64(100 * time.Microsecond)
	yieldNanosEach = int64(2 * time.Microsecond)
	yieldNanosMax  = int64(time.Millisecond)
)

// yield lets the handlers run that were given something, and says whether there
// are answers now, to be taken before anything is sent. So a client that has one
// request in flight at a time and sent several gets its answers in one send.
//
// It is also what keeps handlers going while there is always something to
// receive: a processor that never sleeps keeps its P. On one P they would run when
// Go's monitor takes it away, after 10 ms, and nothing would be answered meanwhile.
func (p *Processor) yield() (again bool) {
	if p.shared.Away() == 0 {
		p.handlers.handedOver = 0 // nobody waits for a P
	}
	if p.cfg.YieldFrom == 0 || p.handlers.handedOver < p.cfg.YieldFrom || p.handlers.rounds == yieldRoundsMax {
		p.handlers.rounds = 0
		return false
	}
	if p.handlers.rounds == 0 {
		p.tick()
		p.handlers.yieldedFrom, p.handlers.yieldFor = p.shared.Now(), yieldNanos
	}
	p.handlers.rounds++
	p.handlers.yieldFor = min(p.handlers.yieldFor+int64(p.handlers.handedOver)*yieldNanosEach, yieldNanosMax)
	p.handlers.handedOver = 0
	runtime.Gosched()
	p.tick()
	if again = p.inbox.answers.Waiting() && p.shared.Now()-p.handlers.yieldedFrom < p.handlers.yieldFor; !again {
		p.handlers.rounds = 0
	}
	return again
}

// yieldLockedNanos is how often a processor with a thread of its own yields to transports at
// most. To yield costs it two switches of threads: a handshake by 16 clients was a fifth
// dearer when it did so in each pass.
const yieldLockedNanos = int64(500 * time.Microsecond)

// putOffNanos is how long the turn of transports is put off for what is to be sent.
const putOffNanos = int64(time.Millisecond)

// computedNanos is how long a yield takes at least in which somebody computed on this P.
const computedNanos = int64(20 * time.Microsecond)

// yieldToTransports lets goroutines of transports run, and says whether there are any that
// have something to do: a TLS handshake would else wait until this goroutine sleeps, or, on
// one P that has much to do, until Go's monitor takes that away. Before the sleep, because
// what they have to send goes out without another one.
//
// What is to be sent goes out first: it would wait for as long as one of them computes. But
// under load there is something in every pass, and it is their turn all the same now and then.
//
// mayPark is false when they compute on this P, and there are more: who parked now would be
// looked for on Go's poller when that P has nothing else to do, or after 10 ms. What came
// meanwhile is to be taken, and then it is their turn again.
func (p *Processor) yieldToTransports() (work, mayPark bool) {
	if !p.shared.TransportsWork() {
		return false, true
	}
	locked := p.cfg.Wait == engine.WaitLocked
	if p.cfg.YieldFrom == 0 || locked && p.shared.Now()-p.yieldedToTransports < yieldLockedNanos {
		return true, true
	}
	if !locked && len(p.slots.sending) > 0 && p.shared.Now()-p.yieldedToTransports < putOffNanos {
		return true, false
	}
	p.tick()
	began := p.shared.Now()
	runtime.Gosched()
	p.tick()
	p.yieldedToTransports = p.shared.Now()
	return true, locked || p.yieldedToTransports-began < computedNanos || !p.shared.TransportsWork()
}
