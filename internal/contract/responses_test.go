package contract

import (
	"fmt"
	"testing"
	"time"

	"kring"
	"kring/internal/budget"
	"kring/internal/servertest"
	"kring/reqchan"
)

const mib = 1 << 20

// shortOfMemory has little memory for responses, sockets that hold little of them, and patience
// with those who don't read.
func shortOfMemory(cfg kring.Config) kring.Config {
	cfg.Timeouts.Write = time.Hour
	cfg.Memory.ResponseBytesMax, cfg.Socket.SendBufferBytes = 8*mib, 64<<10
	return cfg
}

// makes answers "large" with that many bytes of Buffer and everything else with itself.
func makes(large int) kring.Handler {
	return kring.HandlerFunc(func(r kring.Request) {
		if string(r.Payload()) != "large" {
			r.Respond(r.Payload())
			return
		}
		b := r.Buffer(large)
		clear(b)
		r.Respond(b)
	})
}

// impatientWith gives those who come to the first listener that write timeout; others have the
// second one.
func impatientWith(cfg kring.Config, write time.Duration) kring.Config {
	second := cfg.Listeners[0]
	second.Name = "SECOND"
	first := cfg.Listeners[0]
	first.Timeouts.Write = write
	cfg.Listeners = []kring.ListenerConfig{first, second}
	return cfg
}

// unread has n clients that ask for a large response and do not read it. It returns
// when each is answered or waits, and says how much was taken at most meanwhile.
func unread(t *testing.T, s *kring.Server, n int) (clients []*servertest.Client, most int64) {
	t.Helper()
	for range n {
		c := servertest.Dial(t, s)
		c.Send("large")
		clients = append(clients, c)
	}
	servertest.Eventually(t, "all are answered or wait", func() bool {
		st := s.Stats()
		most = max(most, st.Responses.Used)
		return int(st.Total.Responses)+st.Responses.Waiting >= n
	})
	return clients, most
}

// However many connections ask for large responses and don't read them, those are made
// for which there is room; the others wait, and are served when somebody has read.
func TestUnreadResponsesStayWithinTheirBudget(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg = shortOfMemory(cfg)
		const large = mib
		s := servertest.Start(t, cfg, makes(large))
		clients, most := unread(t, s, 60)
		// Who is with a handler when the others are found out goes on.
		if bound := cfg.Memory.ResponseBytesMax + int64(cfg.Dispatch.Handlers)*(large+4); most > bound {
			t.Errorf("%d bytes of responses, %d is the bound", most, bound)
		}
		if st := s.Stats().Responses; st.Waiting < 60-16 {
			t.Errorf("%+v", st)
		}
		receiveAll(t, clients, large)
	})
}

// receiveAll reads an answer of size bytes for each client, all at once.
func receiveAll(t *testing.T, clients []*servertest.Client, size int) {
	t.Helper()
	errs := make(chan error, len(clients))
	for _, c := range clients {
		go func() {
			got, err := servertest.ReadFrame(c)
			if err == nil && len(got) != size {
				err = fmt.Errorf("answer of %d bytes, want %d", len(got), size)
			}
			errs <- err
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// Large responses that nobody reads keep nobody waiting who asks for little.
func TestASmallRequestIsServedBesideUnreadResponses(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.APIOf = func(payload []byte) (key, version int16) { return int16(payload[0]), 0 }
		s := servertest.Start(t, shortOfMemory(cfg), makes(mib))
		unread(t, s, 60)
		good := servertest.Dial(t, s)
		for range 100 {
			good.Ask("small", "small")
		}
		medium := string(make([]byte, 32<<10))
		good.Ask(medium, medium)
		good.Send("one", "two", "three") // together
		for _, want := range []string{"one", "two", "three"} {
			if got := good.Receive(); got != want {
				t.Errorf("answer %q", got)
			}
		}
		if s.Stats().Responses.Waiting == 0 {
			t.Error("nobody waits: nothing was tried")
		}
	})
}

// A response that is more than the whole budget is served, while no other large one is
// there.
func TestAResponseLargerThanTheBudgetGoesAlone(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const large = 12 * mib
		s := servertest.Start(t, shortOfMemory(cfg), makes(large))
		first, _ := unread(t, s, 1)
		servertest.Eventually(t, "it is made", func() bool { return s.Stats().Responses.Used > large })
		var others []*servertest.Client
		for range 3 {
			c := servertest.Dial(t, s)
			c.Send("large")
			others = append(others, c)
		}
		servertest.Eventually(t, "the others wait", func() bool { return s.Stats().Responses.Waiting == 3 })
		done, most := make(chan struct{}), int64(0)
		go func() {
			defer close(done)
			receiveAll(t, append(first, others...), large)
		}()
		servertest.Eventually(t, "all are served", func() bool {
			most = max(most, s.Stats().Responses.Used)
			select {
			case <-done:
				return true
			default:
				return false
			}
		})
		if most > large+mib {
			t.Errorf("%d bytes at once", most)
		}
	})
}

// What a connection had goes to those that wait, and back to the system, when it closes.
func TestResponseMemoryIsGivenBackWhenItsConnectionCloses(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, shortOfMemory(cfg), makes(mib))
		clients, _ := unread(t, s, 60)
		for _, c := range clients {
			_ = c.Close()
		}
		servertest.Eventually(t, "all of it is given back", func() bool {
			st := s.Stats()
			return st.Open == 0 && st.Responses.Waiting == 0 && st.Responses.Used <= mib
		})
		const kept = 32*mib + 16*mib // large pieces for reuse, and what serves
		if n := s.Stats().MemoryMapped; n > kept {
			t.Errorf("%d bytes stay mapped", n)
		}
		servertest.Dial(t, s).Ask("small", "small")
	})
}

// Connections that read share the budget: each is served, however many others ask for
// as much as they can have.
func TestFetchersShareTheBudgetFairly(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg = impatientWith(shortOfMemory(cfg), 30*time.Second)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			b := r.Buffer(min(r.ResponseRoom(), 4*mib))
			clear(b)
			r.Respond(b)
		}))
		for range 20 { // who does not read
			servertest.Dial(t, s).Send("all")
		}
		const readers, rounds = 20, 5
		done := make(chan int, readers)
		for range readers {
			c := servertest.DialTo(t, s.Addrs()[1].String())
			go func() {
				got := 0
				defer func() { done <- got }()
				for range rounds {
					if _, err := c.Write(servertest.Frame([]byte("all"))); err != nil {
						return
					}
					if _, err := servertest.ReadFrame(c); err != nil {
						return
					}
					got++
				}
			}()
		}
		for range readers {
			if got := <-done; got != rounds {
				t.Errorf("one was answered %d of %d times", got, rounds)
			}
		}
		if n := s.Stats().Responses.Used; n > cfg.Memory.ResponseBytesMax {
			t.Errorf("%d bytes of responses", n)
		}
	})
}

// Pieces of files count, too: while memory is short nothing is read ahead, and who has
// nothing to send yet waits in line.
func TestFilesAreReadAsFarAsThereIsRoom(t *testing.T) {
	f, content := file(t, 2*mib)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg = shortOfMemory(cfg)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			respondParts(t, r, nil, kring.Part{File: f, Length: int64(len(content))})
		}))
		var clients []*servertest.Client
		for range 100 {
			c := servertest.Dial(t, s)
			c.Send("whole")
			clients = append(clients, c)
		}
		most := int64(0)
		servertest.Eventually(t, "some wait", func() bool {
			st := s.Stats().Responses
			most = max(most, st.Used)
			return st.Waiting > 0
		})
		receiveAll(t, clients, len(content))
		if most > cfg.Memory.ResponseBytesMax+budget.SmallBytes {
			t.Errorf("%d bytes of responses", most)
		}
	})
}

// A response that holds memory of its own is sent to its end: it does not wait for room
// to read its file, for which others would wait that hold as much.
func TestAResponseOfMemoryAndAFileIsSentThoughNothingIsLeft(t *testing.T) {
	f, content := file(t, mib)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, shortOfMemory(cfg), kring.HandlerFunc(func(r kring.Request) {
			respondParts(t, r, nil, kring.Part{Bytes: make([]byte, 2*mib)}, kring.Part{File: f, Length: int64(len(content))})
		}))
		var clients []*servertest.Client
		for range 12 {
			c := servertest.Dial(t, s)
			c.Send("both")
			clients = append(clients, c)
		}
		receiveAll(t, clients, 2*mib+len(content))
	})
}

// While others wait for the memory of responses, who reads nothing has a tenth of the
// write timeout.
func TestWhoReadsNothingDoesNotKeepOthersWaitingForItsWholeTime(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		t.Parallel()
		s := servertest.Start(t, impatientWith(shortOfMemory(cfg), 20*time.Second), makes(mib))
		unread(t, s, 10)
		good := servertest.DialTo(t, s.Addrs()[1].String())
		good.Send("large")
		if got := good.Receive(); len(got) != mib {
			t.Errorf("answer of %d bytes", len(got))
		}
		servertest.Eventually(t, "somebody is closed: else nothing was tried", func() bool { return closedBy(s, reqchan.WriteTimeout) > 0 })
	})
}

// TestNoRequestWaitsForRoomThatItsOwnConnectionHolds: an answer that came early lies behind
// the one that is waited for, and gives its memory back after it.
func TestNoRequestWaitsForRoomThatItsOwnConnectionHolds(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg = shortOfMemory(cfg)
		cfg.Processors.Count, cfg.Limits.PipelineMax = 1, 2
		cfg.Dispatch.APIOf = func(payload []byte) (key, version int16) { return int16(payload[0]), 0 }
		const large = 5 * mib
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { r.Respond(r.Buffer(large)) }))
		receive := func(c *servertest.Client) {
			t.Helper()
			if got := c.Receive(); len(got) != large {
				t.Fatalf("answer of %d bytes", len(got))
			}
		}
		known := servertest.Dial(t, s)
		known.Send("\x01")
		receive(known) // now it is known that the answers of this API are large
		servertest.Eventually(t, "its answer is given back", func() bool { return s.Stats().Responses.Used < mib })
		holder, pipelined := servertest.Dial(t, s), servertest.Dial(t, s)
		holder.Send("\x01")
		servertest.Eventually(t, "most of it is taken", func() bool { return s.Stats().Responses.Used > large-mib })
		pipelined.Send("\x01")
		servertest.Eventually(t, "the first request waits for room", func() bool { return s.Stats().Responses.Waiting == 1 })
		pipelined.Send("\x02")
		servertest.Eventually(t, "the second is answered", func() bool { return s.Stats().Responses.Used > 2*large-mib })
		_ = holder.Close()
		receive(pipelined)
		receive(pipelined)
	})
}
