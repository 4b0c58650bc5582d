package contract

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// keeper answers when it is told to.
type keeper struct {
	mu   sync.Mutex
	kept []kring.Request // guarded by mu
	open bool            // guarded by mu; nothing is kept any more
}

func (k *keeper) Handle(r kring.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open || string(r.Payload()) == "at once" {
		r.Respond(r.Payload())
		return
	}
	k.kept = append(k.kept, r)
}

func (k *keeper) answerAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open = true
	for _, r := range k.kept {
		r.Respond(r.Payload())
	}
}

// heldConfig has little room for what is held, and patience with those who stand still.
func heldConfig(cfg kring.Config) kring.Config {
	cfg.Timeouts.Frame, cfg.Timeouts.Write = time.Hour, time.Hour
	cfg.Memory.HeldBytesMax, cfg.Limits.HeldBytesMax, cfg.Limits.FrameBytesMax = 16<<20, 1<<20, 1<<20
	cfg.URing.Buffers, cfg.Epoll.Buffers, cfg.Portable.Buffers = 64, 64, 64 // of each processor: 1 MiB may be on its way
	return cfg
}

// pipeline has n clients send more than can be held, each request behind one that is
// kept; it returns them, and a function that awaits that all is sent.
func pipeline(t *testing.T, s *kring.Server, n, requests int) (clients []*servertest.Client, sent *sync.WaitGroup) {
	payload := strings.Repeat("x", 8<<10)
	sent = new(sync.WaitGroup)
	for range n {
		c := servertest.Dial(t, s)
		clients = append(clients, c)
		sent.Go(func() {
			for range requests {
				if _, err := c.Write(servertest.Frame([]byte(payload))); err != nil {
					return
				}
			}
		})
	}
	return clients, sent
}

// answersTo counts the answers to so many requests of each client. All read at once: of what
// one does not read, another may have to wait.
func answersTo(clients []*servertest.Client, requests int) int {
	var answered atomic.Int64
	var reading sync.WaitGroup
	for _, c := range clients {
		reading.Go(func() {
			for range requests {
				if _, err := servertest.ReadFrame(c); err != nil {
					return
				}
				answered.Add(1)
			}
		})
	}
	reading.Wait()
	return int(answered.Load())
}

func TestHeldBytesStayWithinTheirBudgetOverAllConnections(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const requests = 96
		cfg = heldConfig(cfg)
		k := &keeper{}
		s := servertest.Start(t, cfg, k)
		clients, sent := pipeline(t, s, 100, requests) // 75 MiB
		servertest.Eventually(t, "what is held is scarce", func() bool { return s.Stats().Total.HeldScarce > 0 })
		servertest.Eventually(t, "every client is there", func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			return len(k.kept)+int(closedBy(s, reqchan.HeldMemoryFull)) >= len(clients)
		})
		servertest.Dial(t, s).Ask("at once", "at once")
		if st := s.Stats(); st.MemoryHeld > cfg.Memory.HeldBytesMax {
			t.Errorf("%d bytes are held, %d may be", st.MemoryHeld, cfg.Memory.HeldBytesMax)
		}
		k.answerAll()
		answered := answersTo(clients, requests)
		sent.Wait()
		if closed := int(closedBy(s, reqchan.HeldMemoryFull)); answered < (len(clients)-closed)*requests || closed > 0 {
			t.Errorf("%d answers, %d connections closed for want of memory%s", answered, closed, whyClosed(s))
		}
		servertest.Eventually(t, "memory is back", func() bool { return s.Stats().MemoryHeld <= int64(cfg.Processors.Count)*128<<10 })
	})
}

// Frames of which a part is there, while there is no memory for the frames.
func TestAFrameGoesOnWhenOthersGiveHeldMemoryBack(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg = heldConfig(cfg)
		cfg.Memory.RequestBytesMax = 2 << 20 // one frame and a half
		s := servertest.Start(t, cfg, servertest.Echo)
		payload := make([]byte, 900<<10)
		begin, rest := servertest.Frame(payload)[:600<<10], payload[600<<10-4:]
		scarce, errs, n := make(chan struct{}), make(chan error, 100), 0
		for ; s.Stats().Total.HeldScarce == 0; n++ {
			before := s.Stats().MemoryHeld + s.Stats().RequestBytes
			c := servertest.Dial(t, s)
			go func() {
				if _, err := c.Write(begin); err != nil {
					errs <- err
					return
				}
				<-scarce
				go func() { _, _ = c.Write(rest) }()
				got, err := servertest.ReadFrame(c)
				if err == nil && len(got) != len(payload) {
					err = fmt.Errorf("answer of %d bytes", len(got))
				}
				errs <- err
			}()
			servertest.Eventually(t, "its bytes are there", func() bool {
				st := s.Stats()
				return st.Total.HeldScarce > 0 || st.MemoryHeld+st.RequestBytes > before
			})
		}
		close(scarce)
		for range n {
			if err := <-errs; err != nil {
				t.Errorf("%v%s", err, whyClosed(s))
			}
		}
	})
}

// The beginning of a frame has room whatever others hold, and costs its memory.
func TestTheBeginningOfAFrameTakesOfWhatRequestsMayTake(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		before := s.Stats().RequestBytes
		for range 100 {
			_, _ = servertest.Dial(t, s).Write(append(binary.BigEndian.AppendUint32(nil, 100), 'x'))
		}
		servertest.Eventually(t, "each has a piece of memory", func() bool { return s.Stats().RequestBytes >= before+100*4096 })
	})
}

// Small frames of which little has come don't take what is left to those that have come.
func TestASmallFrameThatHasComeIsServedWhileOthersAreBegun(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg = heldConfig(cfg)
		cfg.Memory.RequestBytesMax = 8 << 20
		k := &keeper{}
		s := servertest.Start(t, cfg, k)
		_, sent := pipeline(t, s, 100, 96)
		servertest.Eventually(t, "what is held is scarce", func() bool { return s.Stats().Total.HeldScarce > 0 })
		begun := append(binary.BigEndian.AppendUint32(nil, 1000), make([]byte, 196)...)
		const many = 2500
		for range many {
			if _, err := servertest.Dial(t, s).Write(begun); err != nil {
				t.Fatal(err)
			}
		}
		servertest.Eventually(t, "all are there", func() bool { return s.Stats().Open >= many+100 })
		for range 5 {
			servertest.Dial(t, s).Ask("at once", "at once")
		}
		k.answerAll()
		_ = sent
	})
}
