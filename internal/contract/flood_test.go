package contract

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// TestAFloodBesideAHundredQuietConnectionsHoldsNobodyUp: a connection that never
// stops asking has one turn after the other, and so has each of the others.
func TestAFloodBesideAHundredQuietConnectionsHoldsNobodyUp(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count = 1 // all on the same
		s := servertest.Start(t, cfg, servertest.Echo)
		flood := servertest.Dial(t, s)
		var answered atomic.Int64
		var over atomic.Bool
		var flooding sync.WaitGroup
		burst := servertest.Frame([]byte(strings.Repeat("f", 100)))
		for len(burst) < 64<<10 {
			burst = append(burst, burst...)
		}
		flooding.Go(func() {
			for !over.Load() {
				if _, err := flood.Write(burst); err != nil {
					return
				}
			}
		})
		flooding.Go(func() {
			for {
				if _, err := servertest.ReadFrame(flood); err != nil {
					return
				}
				answered.Add(1)
			}
		})
		var quiet []*servertest.Client
		for range 100 {
			quiet = append(quiet, servertest.Dial(t, s))
		}
		servertest.Eventually(t, "the flood is served", func() bool { return answered.Load() > 1000 })
		before := answered.Load()
		for range 3 {
			for _, c := range quiet {
				c.Send("quiet")
			}
			for _, c := range quiet {
				if got := c.Receive(); got != "quiet" {
					t.Fatalf("answer %q", got)
				}
			}
		}
		servertest.Eventually(t, "the flood is served beside them", func() bool { return answered.Load() > before })
		over.Store(true)
		flood.Reset()
		flooding.Wait()
	})
}
