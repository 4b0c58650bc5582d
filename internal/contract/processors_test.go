package contract

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// Idle connections are shared out evenly between processors, without one of
// them closing.
//
// Kafka: Q-14, U-11.
func TestIdleConnectionsAreSharedOutEvenly(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Processors.Rebalance = 2, time.Millisecond
		s := servertest.Start(t, cfg, servertest.Echo)
		clients := make([]*servertest.Client, 16)
		for i := range clients {
			clients[i] = servertest.Dial(t, s)
			clients[i].Ask("hello", "hello")
		}
		conns, err := s.Conns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first, left := conns[0].ID.Processor, int64(len(clients))
		for i, c := range clients { // those of one processor go
			for _, known := range conns {
				if known.ID.Processor == first && known.Remote.String() == c.LocalAddr().String() {
					_ = c.Close()
					clients[i] = nil
					left--
				}
			}
		}
		servertest.Eventually(t, "the connections are shared out", func() bool {
			st := s.Stats()
			return st.Open == left && st.Total.MovedIn > 0 && st.Processors[0].Open() >= left/2-1 && st.Processors[1].Open() >= left/2-1
		})
		for _, c := range clients {
			if c != nil {
				c.Ask("still here", "still here")
			}
		}
	})
}

// Processors come and go while clients talk; nobody's connection closes, no
// answer is lost and none comes out of order.
//
// Kafka: DynamicNumNetworkThreadsTest.
func TestProcessorsComeAndGoUnderTraffic(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count = 1
		s := servertest.Start(t, cfg, servertest.Echo)
		stop := make(chan struct{})
		var talking sync.WaitGroup
		for k := range 8 {
			c := servertest.Dial(t, s)
			c.Ask("hello", "hello")
			talking.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						c.Send(fmt.Sprint(k, i), fmt.Sprint(k, i, "b"))
						if a, b := c.Receive(), c.Receive(); a != fmt.Sprint(k, i) || b != fmt.Sprint(k, i, "b") {
							t.Errorf("answers %q and %q to %d", a, b, i)
						}
					}
				}
			})
		}
		for _, n := range []int{4, 2, 3, 1} {
			cfg.Processors.Count = n
			if err := s.Reconfigure(cfg); err != nil {
				t.Error(err)
			}
			latest := servertest.Dial(t, s)
			latest.Ask("new", "new")
			_ = latest.Close()
			servertest.Eventually(t, "as many processors as wanted are left", func() bool { return len(s.Stats().Processors) == n })
		}
		close(stop)
		talking.Wait()
		if st := s.Stats(); st.Open < 8 || st.Total.Late+st.Total.Dropped > 0 {
			t.Errorf("%d connections are open, %d answers were late, %d requests dropped", st.Open, st.Total.Late, st.Total.Dropped)
		}
	})
}
