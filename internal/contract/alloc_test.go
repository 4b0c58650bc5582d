//go:build !race && !invariants

package contract

import (
	"io"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// A request allocates nothing on its whole way, whatever engine and whoever runs
// the handler, once its connection has settled; portable may where Go's net
// does: an operation there is an object, its goroutine and a channel. (The
// assertions of the other builds allocate.)
func TestARequestAllocatesNothing(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const requests, depth = 256, 4
		c := servertest.Dial(t, servertest.Start(t, cfg, servertest.Echo))
		var ask []byte
		for range depth {
			ask = append(ask, servertest.Frame(make([]byte, 100))...)
		}
		answer := make([]byte, len(ask))
		most := float64(requests) / 50 // the runtime's own timers, a thread's first look
		if cfg.Engine == kring.EnginePortable {
			most = 5 * requests
		}
		exchange := func() {
			for range requests / depth {
				if _, err := c.Write(ask); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, answer); err != nil {
					t.Fatal(err)
				}
			}
		}
		exchange()
		n := testing.AllocsPerRun(4, exchange)
		for tries := 1; n > most && tries < 5; tries++ { // what others allocated at that time is not counted again
			n = min(n, testing.AllocsPerRun(4, exchange))
		}
		if n > most {
			t.Errorf("%v allocations in %d requests, want %v at most", n, requests, most)
		} else {
			t.Logf("%v allocations in %d requests", n, requests)
		}
	})
}
