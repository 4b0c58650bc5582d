package processor

import (
	"runtime"
	"testing"
	"time"
)

// TestASaturatedInlineProcessorDoesNotStarveHandshakes: something is to be sent in every pass,
// which goes first; but the turn of transports comes in each millisecond.
func TestASaturatedInlineProcessorDoesNotStarveHandshakes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p, made := computingProcessor()
	made.tell(1)
	p.tick()
	p.yieldedToTransports = p.shared.Now()
	for turn := range 3 {
		last, began := p.yieldedToTransports, time.Now()
		for p.yieldedToTransports == last {
			if time.Since(began) > time.Minute {
				t.Fatalf("after %d turns none came", turn)
			}
			p.slots.sending = append(p.slots.sending[:0], p.slots.all[0])
			if work, _ := p.yieldToTransports(); !work {
				t.Fatal("somebody computes, and is not seen")
			}
			p.tick() // as a pass does
		}
		if put := p.yieldedToTransports - last; put < putOffNanos {
			t.Errorf("what is to be sent waited after %d ns", put)
		}
	}
	made.tell(-1)
}
