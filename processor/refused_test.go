package processor_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/faultengine"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

// Memory is refused now and then, wherever it is asked for, on an engine that
// misbehaves: connections are closed for it, and for nothing else; whoever is answered
// is answered right; and in the end nothing is lost.
func TestMemoryRefusedAtRandomLosesNothing(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(300_000); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(12) {
		inline := seed%2 == 0
		s := newStage(t, stageConfig{faults: faultengine.Gentle(seed), inline: inline, handlers: 2,
			settings: processor.Settings{PipelineMax: 1 + int(seed%3)*4},
			handle: func(r reqchan.Request) {
				switch len(r.Payload()) % 5 {
				case 0:
					_ = r.RespondParts([]reqchan.Part{{Bytes: r.Payload()[:10]}, {File: file, Length: 200_000}}, nil)
				case 1:
					r.Respond(append(r.Buffer(len(r.Payload()))[:0], r.Payload()...))
				case 2:
					r.Respond(make([]byte, len(r.Payload())))
				default:
					r.Respond(r.Payload())
				}
			}})
		s.refuse(seed, 8)
		s.stop(10 * time.Second)
		if s.closedBy(reqchan.MemoryRefused) == 0 {
			t.Errorf("seed %d: nobody was closed for want of memory", seed)
		}
	}
}

// refuse has clients converse while every fifth piece of memory is refused.
func (s *stage) refuse(seed uint64, clients int) {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1)) // guarded by mu
	var calm atomic.Bool
	defer slab.RefuseAny(func() error {
		mu.Lock()
		defer mu.Unlock()
		if !calm.Load() && r.IntN(5) == 0 {
			return errors.New("refused, as the test says")
		}
		return nil
	})()
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 6 {
				s.askUntilRefused(r)
			}
		})
	}
	all.Wait()
	calm.Store(true)
	c := s.dial()
	if err := converse(c, []int{13, 9_003, 60_003}); err != nil {
		s.t.Errorf("seed %d: afterwards: %v", seed, err)
	}
	_ = c.Close()
}

// askUntilRefused asks one client's questions, until it is closed.
func (s *stage) askUntilRefused(r *rand.Rand) {
	c := s.dial()
	if c == nil {
		return
	}
	defer c.Close()
	for range 10 {
		size := []int{10, 100, 4_000, 9_000, 40_000, 100_000}[r.IntN(6)] + r.IntN(5)
		f := frameOf(uint32(r.Uint32()), size)
		if _, err := c.Write(f); err != nil {
			return
		}
		got, err := readFrame(c)
		if err != nil {
			return
		}
		want := fmt.Sprint(size)
		if size%5 == 0 {
			want = fmt.Sprint(200_010)
		}
		if fmt.Sprint(len(got)-4) != want {
			s.t.Errorf("%d bytes answered to %d", len(got)-4, size)
		}
	}
}
