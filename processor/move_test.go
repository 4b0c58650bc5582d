package processor_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"kring/internal/faultengine"
	"kring/processor"
	"kring/reqchan"
)

// Connections that move between processors all the time, and away from those
// that retire, lose nothing, double nothing and keep their order, whatever the
// engine does.
func TestConnectionsMoveBetweenProcessorsUnderTraffic(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			var moved uint64
			for seed := uint64(1); seed <= max(seeds()/8, 1); seed++ {
				s := newStage(t, stageConfig{
					faults: faultengine.Gentle(seed), handle: m.handle, inline: m.inline, handlers: 3,
					processors: 3, requests: 1 + int(seed%7), settings: processor.Settings{PipelineMax: m.pipeline},
				})
				var clients sync.WaitGroup
				var ready sync.WaitGroup
				ready.Add(6)
				quiet := make(chan struct{})
				for k := range 6 {
					clients.Go(func() {
						c := s.dial()
						defer c.Close()
						r := rand.New(rand.NewPCG(seed, uint64(k)))
						for first, stirring := true, true; stirring; first = false {
							select {
							case <-quiet:
								stirring = false
							default:
							}
							if err := converse(c, sizesOf(r, 10)); err != nil {
								t.Errorf("seed %d, client %d: %v", seed, k, err)
								stirring = false
							}
							if first {
								ready.Done()
							}
						}
					})
				}
				ready.Wait()
				s.stir(rand.New(rand.NewPCG(seed, 7)))
				close(quiet)
				clients.Wait()
				for _, p := range s.processors {
					moved += p.Stats().MovedIn
				}
				s.stop(deadline)
				if t.Failed() {
					return
				}
			}
			if moved == 0 {
				t.Error("no connection moved")
			}
		})
	}
}

// stir has idle connections move about, and two of three processors retire on
// the way.
func (s *stage) stir(r *rand.Rand) {
	for round := range 150 {
		switch from, to := r.IntN(3), r.IntN(3); {
		case round == 50:
			s.processors[2].Retire(s.processors[:2])
		case round == 100:
			s.processors[1].Retire(s.processors[:1])
		case from != to:
			s.processors[from].Shed(1+r.IntN(3), s.processors[to])
		}
		<-s.processors[0].List().Done() // a pass between the rounds
	}
}

// A connection in the middle of a frame, with bytes held and a frame begun,
// goes on with another processor where it was.
func TestARetiredProcessorsConnectionsTakeTheirBytesAlong(t *testing.T) {
	for _, size := range []int{100, 20 << 10, 100 << 10} { // held, big, bigger
		s := newStage(t, stageConfig{processors: 2, inline: true, handle: echo})
		a, b := s.dial(), s.dial()
		for _, c := range []net.Conn{a, b} {
			mustWrite(t, c, string(frameOf(1, size)[:size/2]))
		}
		eventually(t, "both halves came", func() bool {
			return s.processors[0].Stats().BytesIn+s.processors[1].Stats().BytesIn >= uint64(size/2*2)
		})
		s.processors[1].Retire(s.processors[:1])
		<-s.processors[1].Drained()
		for _, c := range []net.Conn{a, b} {
			mustWrite(t, c, string(frameOf(1, size)[size/2:]))
		}
		for _, c := range []net.Conn{a, b} {
			f, err := readFrame(c)
			if err != nil || string(f) != string(frameOf(1, size)) {
				t.Errorf("%d bytes: %d came back, %v", size, len(f), err)
			}
		}
		eventually(t, "all that moved out moved in", func() bool {
			n := s.processors[1].Stats().MovedOut
			return n > 0 && n == s.processors[0].Stats().MovedIn
		})
		_, _ = a.Close(), b.Close()
		s.stop(deadline)
	}
}

// A connection says which processor it lives on, also once it has moved: its ID stays.
func TestAConnectionSaysWhichProcessorItLivesOn(t *testing.T) {
	s := newStage(t, stageConfig{processors: 2, inline: true, handle: func(r reqchan.Request) {
		r.Respond([]byte{byte(r.Conn().ID.Processor), byte(r.Conn().Processor())})
	}})
	ask := func(c net.Conn) (began, lives byte) {
		mustWrite(t, c, string(frameOf(1, 10)))
		f, err := readFrame(c)
		if err != nil || len(f) != 6 {
			t.Fatalf("%d bytes: %v", len(f), err)
		}
		return f[4], f[5]
	}
	var conns [4]net.Conn
	var first [len(conns)]byte
	for i := range conns {
		conns[i] = s.dial()
		began, lives := ask(conns[i])
		if first[i] = began; lives != began {
			t.Errorf("a connection that began on processor %d says that it lives on %d", began, lives)
		}
	}
	s.processors[1].Retire(s.processors[:1])
	<-s.processors[1].Drained()
	for i, c := range conns {
		if began, lives := ask(c); began != first[i] || lives != 0 {
			t.Errorf("a connection that began on processor %d and lives on 0 says %d and %d", first[i], began, lives)
		}
		_ = c.Close()
	}
	s.stop(deadline)
}
