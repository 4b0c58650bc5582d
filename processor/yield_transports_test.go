package processor

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/conn"
	"kring/internal/conn/conntest"
	"kring/internal/slab"
	"kring/reqchan"
)

// computing is a transport whose goroutine has something to do when tell says so.
type computing struct {
	*conntest.Server
	tell func(int32)
}

func (c *computing) TellWork(tell func(int32)) { c.tell = tell }
func (c *computing) Worked(int64) int64        { return 0 }

// computingProcessor is one with a connection whose transport computes.
func computingProcessor() (p *Processor, made *computing) {
	settings := Settings{FrameBytesMax: 100, PipelineMax: 1, QueuedBytesMax: 100, PackedBytesMax: 100, HeldBytesMax: 100, BigFrameBytes: 1000,
		Transport: func(_ *reqchan.Conn, moved func()) conn.Transport {
			made = &computing{Server: conntest.NewServer(moved)}
			return made
		}}
	channel := reqchan.New(reqchan.Config{RequestsMax: 10, BytesMax: 1 << 20})
	p = New(Config{YieldFrom: 1, Wait: engine.WaitParked, ConnConfig: ConnConfig{Memory: &slab.Pool{}, Channel: channel}})
	p.engine = opened{Engine: idleEngine{}}
	p.open(message{socket: engine.Accepted{Slot: noSlot{}}, from: NewListener("TLS", false, settings)})
	return p, made
}

// TestWhileTransportsComputeOnItsPAProcessorLooksAndDoesNotPark: who parks on Go's poller is
// not looked for while one handshake follows another on the P, and what is to be sent waits for
// none of them.
func TestWhileTransportsComputeOnItsPAProcessorLooksAndDoesNotPark(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p, made := computingProcessor()
	if work, mayPark := p.yieldToTransports(); work || !mayPark {
		t.Errorf("nobody computes: %v, %v", work, mayPark)
	}
	made.tell(1)
	var over atomic.Bool
	ended := make(chan struct{})
	go func() { // computes whenever it is let run
		defer close(ended)
		for !over.Load() {
			for began := time.Now(); time.Since(began) < time.Millisecond; {
			}
			runtime.Gosched()
		}
	}()
	for began := time.Now(); ; {
		work, mayPark := p.yieldToTransports()
		if !work {
			t.Error("somebody computes, and is not seen")
		}
		if !mayPark {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("it would have parked each time")
		}
	}
	p.slots.sending = append(p.slots.sending, p.slots.all[0])
	if work, mayPark := p.yieldToTransports(); !work || mayPark {
		t.Errorf("something is to be sent: %v, %v", work, mayPark)
	}
	over.Store(true)
	<-ended
	made.tell(-1)
	if work, mayPark := p.yieldToTransports(); work || !mayPark {
		t.Errorf("nobody computes any more: %v, %v", work, mayPark)
	}
}
