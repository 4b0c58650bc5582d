package processor_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"kring/internal/faultengine"
	"kring/processor"
	"kring/reqchan"
)

// unruly throttles now and then, answers late now and then, and closes a few
// connections after a delay.
func unruly(closes bool) func(reqchan.Request) {
	return func(r reqchan.Request) {
		draw := rand.IntN(20)
		if draw < 8 {
			r.Throttle(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
		switch {
		case draw == 0 && closes:
			r.CloseConnectionAfter(reqchan.AuthenticationFailed, time.Duration(rand.IntN(2000))*time.Microsecond, r.Payload())
		case draw%3 == 0:
			later(r)
		default:
			echo(r)
		}
	}
}

func TestThrottledConnectionsAnswerEveryRequestInOrder(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		for _, pipeline := range []int{1, 8} {
			s := newStage(t, stageConfig{
				faults: faultengine.Gentle(seed), handle: unruly(false), inline: seed%2 == 0, handlers: 3, requests: 5,
				settings: processor.Settings{PipelineMax: pipeline, ThrottleMax: time.Second},
			})
			var clients sync.WaitGroup
			for k := range 4 {
				clients.Go(func() {
					c := s.dial()
					defer c.Close()
					if err := converse(c, sizesOf(rand.New(rand.NewPCG(seed, uint64(k))), 30)); err != nil {
						t.Errorf("seed %d, pipeline %d, client %d: %v", seed, pipeline, k, err)
					}
				})
			}
			clients.Wait()
			s.stop(deadline)
			if n := s.closedBy(reqchan.MuteStateIllegal); n > 0 || t.Failed() {
				t.Fatalf("seed %d: %d illegal steps", seed, n)
			}
		}
	}
}

func TestThrottlesAndDelayedClosesOfBrokenConnectionsLeaveNothingBehind(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		for _, pipeline := range []int{1, 8} {
			s := newStage(t, stageConfig{
				faults: faultengine.Rough(seed), handle: unruly(true), inline: seed%2 == 0, handlers: 3, requests: 5,
				settings: processor.Settings{
					PipelineMax: pipeline, ThrottleMax: time.Second, QueuedBytesMax: 8 << 10, SlowReader: processor.SlowReader(seed % 3),
				},
			})
			s.roughClients(6, seed, 50*time.Millisecond)
			s.stop(time.Second)
			if n := s.closedBy(reqchan.MuteStateIllegal); n > 0 || t.Failed() {
				t.Fatalf("seed %d: %d illegal steps", seed, n)
			}
		}
	}
}
