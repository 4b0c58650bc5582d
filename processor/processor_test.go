package processor_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/faultengine"
	"kring/internal/invariants"
	"kring/processor"
	"kring/reqchan"
)

// sizesOf draws frame sizes on both sides of every threshold.
func sizesOf(r *rand.Rand, n int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		switch r.IntN(10) {
		case 0:
			sizes[i] = r.IntN(4)
		case 1:
			sizes[i] = 3000 + r.IntN(3000)
		case 2:
			sizes[i] = 14<<10 + r.IntN(6<<10)
		case 3:
			sizes[i] = 30<<10 + r.IntN(60<<10)
		default:
			sizes[i] = r.IntN(400)
		}
	}
	return sizes
}

type mode struct {
	name     string
	inline   bool
	pipeline int
	handle   func(reqchan.Request)
}

// later answers from another goroutine, in any order.
func later(r reqchan.Request) {
	go func() {
		b := r.Buffer(len(r.Payload()))
		copy(b, r.Payload())
		r.Respond(b)
	}()
}

var modes = []mode{
	{"inline", true, 1, echo},
	{"inline pipelined", true, 8, echo},
	{"inline answered later", true, 8, later},
	{"pool", false, 1, echo},
	{"pool pipelined", false, 8, echo},
	{"pool answered later", false, 8, later},
	{"mixed", true, 8, func(r reqchan.Request) {
		if len(r.Payload())%3 == 0 {
			later(r)
			return
		}
		r.Respond(append([]byte(nil), r.Payload()...))
	}},
}

func seeds() uint64 {
	switch {
	case testing.Short():
		return 3
	case invariants.Enabled:
		return 7 // each size of the request channel once
	}
	return 20
}

func TestEveryRequestIsAnsweredOnceAndInOrder(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= seeds(); seed++ {
				s := newStage(t, stageConfig{
					faults: faultengine.Gentle(seed), handle: m.handle, inline: m.inline, handlers: 3,
					processors: 1 + int(seed%2), requests: 1 + int(seed%7), yieldFrom: int(seed % 3),
					settings: processor.Settings{PipelineMax: m.pipeline},
				})
				var clients sync.WaitGroup
				for k := range 6 {
					clients.Go(func() {
						c := s.dial()
						defer c.Close()
						if err := converse(c, sizesOf(rand.New(rand.NewPCG(seed, uint64(k))), 40)); err != nil {
							t.Errorf("seed %d, client %d: %v", seed, k, err)
						}
					})
				}
				clients.Wait()
				s.stop(deadline)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// Kafka: SE-14, SE-33, SS-52, SE-15, SE-33.
func TestBrokenConnectionsLeaveNothingBehind(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= seeds(); seed++ {
				s := newStage(t, stageConfig{
					faults: faultengine.Rough(seed), handle: m.handle, inline: m.inline, handlers: 3,
					requests: 1 + int(seed%7), yieldFrom: int(seed % 3), settings: processor.Settings{PipelineMax: m.pipeline},
				})
				s.roughClients(8, seed, 200*time.Millisecond)
				s.stop(time.Second)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// differs tells a wrong response from a connection that ended.
func differs(err error) bool {
	var op *net.OpError
	return err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &op)
}

func TestFullRequestChannelNeverStrandsAConnection(t *testing.T) {
	var turns atomic.Int64
	gate := make(chan struct{})
	s := newStage(t, stageConfig{
		handlers: 1, requests: 1,
		handle: func(r reqchan.Request) {
			if turns.Add(1) == 1 {
				<-gate // until every other connection has met the full channel
			}
			echo(r)
		},
	})
	var clients sync.WaitGroup
	for k := range 32 {
		clients.Go(func() {
			c := s.dial()
			defer c.Close()
			if err := converse(c, []int{k, 2 * k, 100}); err != nil {
				t.Errorf("client %d: %v", k, err)
			}
		})
	}
	eventually(t, "30 requests found the channel full", func() bool { return s.processors[0].Stats().Held >= 30 })
	close(gate)
	clients.Wait()
	s.stop(deadline)
}

// Kafka: Q-6.
func TestFullRequestChannelHoldsUpNoResponseAndNoClose(t *testing.T) {
	gate := make(chan struct{})
	answer := make(chan reqchan.Request, 1)
	s := newStage(t, stageConfig{
		handlers: 1, requests: 1,
		handle: func(r reqchan.Request) {
			if string(r.Payload()) == "later" {
				answer <- r
				return
			}
			<-gate
			echo(r)
		},
	})
	early := s.dial()
	mustWrite(t, early, "\x00\x00\x00\x05later")
	held := <-answer
	var stuck []net.Conn
	for range 5 {
		c := s.dial()
		mustWrite(t, c, "\x00\x00\x00\x02no")
		stuck = append(stuck, c)
	}
	eventually(t, "requests found the channel full", func() bool { return s.processors[0].Stats().Held >= 3 })

	held.Respond([]byte("now"))
	if f, err := readFrame(early); err != nil || string(f[4:]) != "now" {
		t.Fatalf("response %q, %v", f, err)
	}
	_ = early.Close()
	eventually(t, "the closed connection is gone", func() bool { return s.closedBy(reqchan.PeerFinished) == 1 })
	fresh := s.dial()
	eventually(t, "a new connection is let in", func() bool { return s.processors[0].Stats().Opened == 7 })

	close(gate)
	for _, c := range stuck {
		if _, err := readFrame(c); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	_ = fresh.Close()
	s.stop(deadline)
}

// Kafka: SE-25, Q-7.
func TestByteCapacityIsABoundAndStrandsNobody(t *testing.T) {
	const capacity = 4 << 20
	var most atomic.Int64
	var filled sync.Once
	var s *stage
	s = newStage(t, stageConfig{
		handlers: 2, requests: 100, processors: 2, bytes: capacity,
		handle: func(r reqchan.Request) {
			filled.Do(func() { // until those who came with it have taken theirs
				for end := time.Now().Add(deadline); s.channel.Bytes() < capacity/2 && time.Now().Before(end); {
					runtime.Gosched()
				}
			})
			for n := s.channel.Bytes(); ; {
				old := most.Load()
				if n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			echo(r)
		},
	})
	var clients sync.WaitGroup
	for k := range 40 {
		clients.Go(func() {
			c := s.dial()
			defer c.Close()
			if err := converse(c, []int{700 << 10, 10, 900 << 10}); err != nil {
				t.Errorf("client %d: %v", k, err)
			}
		})
	}
	clients.Wait()
	s.stop(deadline)
	if most.Load() > capacity || most.Load() < capacity/2 {
		t.Fatalf("at most %d bytes were reserved of %d", most.Load(), capacity)
	}
}

func TestHostileSizesCloseOnlyTheirConnection(t *testing.T) {
	for name, c := range map[string]struct {
		size uint32
		why  reqchan.CloseReason
	}{
		"two GiB":  {1<<31 - 1, reqchan.FrameTooBig},
		"negative": {0xfffffff0, reqchan.FrameSizeNegative},
	} {
		for _, inline := range []bool{true, false} {
			s := newStage(t, stageConfig{handle: echo, inline: inline, handlers: 1, requests: 10})
			good, bad := s.dial(), s.dial()
			mustWrite(t, bad, string(binary.BigEndian.AppendUint32(nil, c.size))+"and some more")
			if _, err := bad.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: answered", name)
			}
			eventually(t, name+" is counted", func() bool { return s.closedBy(c.why) == 1 })
			if err := converse(good, []int{5, 50000}); err != nil {
				t.Errorf("%s: the other connection: %v", name, err)
			}
			_ = good.Close()
			s.stop(deadline)
		}
	}
}

func TestAnswersGivenInAnyOrderLeaveInTheOrderOfRequests(t *testing.T) {
	for _, inline := range []bool{true, false} {
		waiting := make(chan reqchan.Request, 16)
		s := newStage(t, stageConfig{
			inline: inline, handlers: 2, requests: 100, settings: processor.Settings{PipelineMax: 16},
			handle: func(r reqchan.Request) { waiting <- r },
		})
		c := s.dial()
		go func() {
			r := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				var batch []reqchan.Request
				for range 16 {
					batch = append(batch, <-waiting)
				}
				r.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
				for _, r := range batch {
					echo(r)
				}
			}
		}()
		sizes := sizesOf(rand.New(rand.NewPCG(3, 4)), 20*16)
		if err := converse(c, sizes); err != nil {
			t.Fatalf("inline %v: %v", inline, err)
		}
		_ = c.Close()
		s.stop(deadline)
	}
}

func TestNoResponseLetsTheNextRequestGoAndCloseIsTheLast(t *testing.T) {
	for _, inline := range []bool{true, false} {
		s := newStage(t, stageConfig{
			inline: inline, handlers: 1, requests: 10,
			handle: func(r reqchan.Request) {
				switch string(r.Payload()) {
				case "silent":
					r.NoResponse()
				case "close":
					r.CloseConnection(reqchan.HandlerClosed)
				default:
					echo(r)
				}
			},
		})
		c := s.dial()
		mustWrite(t, c, "\x00\x00\x00\x06silent\x00\x00\x00\x06silent\x00\x00\x00\x01a\x00\x00\x00\x05close\x00\x00\x00\x01b")
		if f, err := readFrame(c); err != nil || string(f[4:]) != "a" {
			t.Fatalf("response %q, %v", f, err)
		}
		if f, err := readFrame(c); err == nil {
			t.Fatalf("response %q after the close", f)
		}
		eventually(t, "the close is counted", func() bool { return s.closedBy(reqchan.HandlerClosed) == 1 })
		_ = c.Close()
		s.stop(deadline)
	}
}

func TestRequestsReceivedBeforeTheEndOfTheStreamAreHandled(t *testing.T) {
	for _, inline := range []bool{true, false} {
		var handled atomic.Int64
		s := newStage(t, stageConfig{
			inline: inline, handlers: 1, requests: 2,
			handle: func(r reqchan.Request) { handled.Add(1); r.NoResponse() },
		})
		c := s.dial()
		for i := range 10 { // Kafka's testGracefulClose (SS-09)
			mustWrite(t, c, string(frameOf(uint32(i), 100)))
		}
		_ = c.Close()
		eventually(t, "all ten are handled", func() bool { return handled.Load() == 10 })
		s.stop(deadline)
	}
}

// Kafka: SS-53, SE-03.
func TestAnAnswerToAGoneConnectionReachesNobody(t *testing.T) {
	held := make(chan reqchan.Request, 1)
	s := newStage(t, stageConfig{
		handlers: 1, requests: 10,
		handle: func(r reqchan.Request) {
			if string(r.Payload()) == "slow" {
				held <- r
				return
			}
			echo(r)
		},
	})
	first := s.dial()
	mustWrite(t, first, "\x00\x00\x00\x04slow")
	r := <-held
	_ = first.(*faultengine.Peer).Reset()
	eventually(t, "the first connection is gone", func() bool { return s.closedBy(reqchan.PeerReset) == 1 })
	if !r.Conn().Ended() {
		t.Error("the handler can't see that its connection ended")
	}
	second := s.dial() // takes the same slot
	if err := converse(second, []int{5}); err != nil {
		t.Fatal(err)
	}
	r.Respond([]byte("for the first only"))
	eventually(t, "the late answer is counted", func() bool { return s.processors[0].Stats().Late == 1 })
	if err := converse(second, []int{6, 7}); err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	s.stop(deadline)
}

func TestIdleConnectionsExpireAndBusyOnesDoNot(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan struct{}, 1)
	s := newStage(t, stageConfig{
		handlers: 1, requests: 10, settings: processor.Settings{IdleTimeout: time.Second},
		handle: func(r reqchan.Request) { entered <- struct{}{}; <-gate; echo(r) },
	})
	var busy net.Conn
	before := 0
	for held := false; !held; { // the machine may keep us from writing until it has expired
		before = s.closedBy(reqchan.IdleExpired)
		busy = s.dial()
		_, _ = busy.Write([]byte("\x00\x00\x00\x04busy"))
		eventually(t, "its request is with the handler, or it expired", func() bool {
			select {
			case <-entered:
				held = true
			default:
			}
			return held || s.closedBy(reqchan.IdleExpired) > before
		})
	}
	idle := s.dial()
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("the idle connection was answered")
	}
	eventually(t, "one expired", func() bool { return s.closedBy(reqchan.IdleExpired) == before+1 })
	close(gate)
	if _, err := readFrame(busy); err != nil {
		t.Errorf("the connection with a request in flight: %v", err)
	}
	_ = busy.Close()
	s.stop(deadline)
}

func TestAPeerThatTakesNothingIsClosedInTime(t *testing.T) {
	for _, size := range []int{100 << 10, 200} {
		s := newStage(t, stageConfig{
			faults: faultengine.Config{SendWindowBytes: 4096}, handle: echo, inline: true,
			settings: processor.Settings{WriteTimeout: 30 * time.Millisecond},
		})
		never, other := s.dial(), s.dial()
		go func() {
			for range 400 {
				if _, err := never.Write(frameOf(1, size)); err != nil {
					return
				}
			}
		}()
		eventually(t, "it is closed", func() bool { return s.closedBy(reqchan.WriteTimeout) == 1 })
		if err := converse(other, []int{1, 3000}); err != nil {
			t.Errorf("the other connection: %v", err)
		}
		_, _ = never.Close(), other.Close()
		s.stop(deadline)
	}
}

func TestDrainFinishesWhatIsInFlightAndStartsNothingNew(t *testing.T) {
	for _, inline := range []bool{true, false} {
		waiting := make(chan reqchan.Request, 10)
		s := newStage(t, stageConfig{
			inline: inline, handlers: 1, requests: 10,
			handle: func(r reqchan.Request) { waiting <- r },
		})
		c := s.dial()
		mustWrite(t, c, string(frameOf(1, 9000))+string(frameOf(2, 20)))
		r := <-waiting
		eventually(t, "its handler has returned", func() bool { return s.processors[0].Stats().Requests == 1 })
		s.processors[0].Drain()
		echo(r)
		if f, err := readFrame(c); err != nil || string(f) != string(frameOf(1, 9000)) {
			t.Fatalf("the response in flight: %v", err)
		}
		if _, err := readFrame(c); err == nil {
			t.Fatal("a request was started while draining")
		}
		_ = c.Close()
		s.stop(deadline)
		if n := s.closedBy(reqchan.ServerDraining); n != 1 {
			t.Errorf("%d connections closed by draining", n)
		}
	}
}

func TestDrainBeforeAnAnswerStartsNothingAfterIt(t *testing.T) {
	for _, inline := range []bool{true, false} {
		var requests atomic.Int32
		waiting := make(chan reqchan.Request, 1)
		s := newStage(t, stageConfig{
			inline: inline, handlers: 1, requests: 10,
			handle: func(r reqchan.Request) {
				if requests.Add(1) == 1 {
					waiting <- r
				} else {
					echo(r)
				}
			},
		})
		c := s.dial()
		mustWrite(t, c, string(frameOf(1, 20))+string(frameOf(2, 20)))
		r := <-waiting
		eventually(t, "its handler has returned", func() bool { return s.processors[0].Stats().Requests == 1 })
		s.processors[0].InAPass(func() {
			s.processors[0].Drain()
			echo(r)
		})
		if f, err := readFrame(c); err != nil || string(f) != string(frameOf(1, 20)) {
			t.Fatalf("the response in flight: %v", err)
		}
		if _, err := readFrame(c); err == nil {
			t.Errorf("inline %v: a request was started", inline)
		}
		_ = c.Close()
		s.stop(deadline)
	}
}

func TestCutDropsWhatIsInFlightAndCountsIt(t *testing.T) {
	waiting := make(chan reqchan.Request, 10)
	s := newStage(t, stageConfig{handlers: 1, requests: 10, handle: func(r reqchan.Request) { waiting <- r }})
	c := s.dial()
	mustWrite(t, c, string(frameOf(1, 10)))
	r := <-waiting
	s.processors[0].Cut()
	if _, err := readFrame(c); err == nil {
		t.Fatal("answered")
	}
	eventually(t, "it is counted", func() bool { return s.processors[0].Stats().Dropped == 1 })
	echo(r)
	_ = c.Close()
	s.stop(deadline)
}

func TestAPanickingHandlerClosesItsConnectionOnly(t *testing.T) {
	s := newStage(t, stageConfig{
		inline: true,
		handle: func(r reqchan.Request) {
			if string(r.Payload()) == "panic" {
				panic("on request")
			}
			echo(r)
		},
	})
	good, bad := s.dial(), s.dial()
	mustWrite(t, bad, "\x00\x00\x00\x05panic")
	if _, err := readFrame(bad); err == nil {
		t.Error("answered")
	}
	eventually(t, "it is counted", func() bool { return s.closedBy(reqchan.HandlerPanicked) == 1 })
	if err := converse(good, []int{1, 2, 3}); err != nil {
		t.Errorf("the other connection: %v", err)
	}
	_, _ = good.Close(), bad.Close()
	s.stop(deadline)
}

// Kafka: SS-55.
func TestADeadEngineEndsRunWithItsErrorAndLeavesNothing(t *testing.T) {
	s := newStage(t, stageConfig{faults: faultengine.Config{FailAfterPolls: 50}, handle: echo, inline: true})
	c := s.dial()
	for i := 0; ; i++ {
		if err := converse(c, []int{i % 100}); err != nil {
			break
		}
		if i > 1000 {
			t.Fatal("the engine did not die")
		}
	}
	p := s.processors[0]
	<-p.Drained()
	eventually(t, "its error comes out", func() bool {
		select {
		case err := <-s.errs:
			return errors.Is(err, faultengine.ErrDead)
		default:
			return false
		}
	})
	_ = c.Close()
	s.acceptor.Stop()
	s.channel.Close()
	s.running.Wait()
	s.check()
}

func mustWrite(t *testing.T, c net.Conn, what string) {
	t.Helper()
	if _, err := c.Write([]byte(what)); err != nil {
		t.Fatal(fmt.Errorf("write: %w", err))
	}
}

// roughClients converse with the stage all at once, each for patience at most
// (accepts may fail), and half of them end with a reset. Lost answers are fine,
// wrong ones are not.
func (s *stage) roughClients(n int, seed uint64, patience time.Duration) {
	var clients sync.WaitGroup
	for k := range n {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(k)))
			c := s.dial()
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			err := converse(c, sizesOf(r, 1+r.IntN(30)))
			if r.IntN(2) == 0 {
				_ = c.(*faultengine.Peer).Reset()
			}
			if differs(err) {
				s.t.Errorf("seed %d, client %d: %v", seed, k, err)
			}
		})
	}
	clients.Wait()
}
