package faultengine_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/faultengine"
	"kring/internal/slab"
)

// seeds is how many schedules the tests of this package walk through.
const seeds = 200

// stage is an engine with one accepted connection, driven by the test alone.
type stage struct {
	t        testing.TB
	n        *faultengine.Network
	e        engine.Engine
	listener engine.Listener
	door     engine.Token
	fd       engine.FD
	token    engine.Token
	peer     *faultengine.Peer
	pool     slab.Pool
	mu       sync.Mutex
	breaches []string // guarded by mu
	done     [16]engine.Completion
}

func newStage(t testing.TB, c faultengine.Config) *stage {
	t.Helper()
	s := &stage{t: t, door: engine.MakeToken(0, 1), token: engine.MakeToken(1, 1)}
	c.Report = func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.breaches = append(s.breaches, err.Error())
	}
	s.n = faultengine.New(c)
	var err error
	if s.e, err = s.n.Open(engine.WaitParked); err != nil {
		t.Fatal(err)
	}
	if s.listener, err = s.n.Listen(engine.ListenConfig{Address: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	for aborted := true; ; {
		if aborted {
			if s.peer, err = s.n.Dial(s.listener.Addr); err != nil {
				t.Fatal(err)
			}
		}
		s.e.Accept(s.listener.FD, s.door)
		c := s.next()
		aborted = c.Errno() == syscall.ECONNABORTED
		if c.Res >= 0 {
			s.fd = engine.FD(c.Res)
			return s
		}
	}
}

func (s *stage) reported() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.breaches...)
}

// next polls for one completion.
func (s *stage) next() engine.Completion {
	s.t.Helper()
	for range 10_000 {
		n, err := s.e.Poll(s.done[:1], 0)
		if err != nil {
			s.t.Fatal(err)
		}
		if n == 1 {
			return s.done[0]
		}
	}
	s.t.Fatalf("no completion\n%s", s.n.Trace())
	return engine.Completion{}
}

// quiet says that nothing comes.
func (s *stage) quiet() {
	s.t.Helper()
	for range 100 {
		if n, _ := s.e.Poll(s.done[:], 0); n != 0 {
			s.t.Fatalf("unexpected completion %+v", s.done[0])
		}
	}
}

func (s *stage) memory(text string) []byte {
	b := s.pool.Get(max(1, len(text)))
	return b[:copy(b, text)]
}

func (s *stage) wantBreach(text string) {
	s.t.Helper()
	for _, b := range s.reported() {
		if strings.Contains(b, text) {
			return
		}
	}
	s.t.Fatalf("no breach says %q; there are %q", text, s.reported())
}

// breaches are what an owner may do wrong, and what is said of it.
var breaches = []struct {
	name string
	want string
	do   func(s *stage)
}{
	{"two receives", "while recv is outstanding", func(s *stage) {
		s.e.Recv(s.fd, s.token)
		s.e.RecvInto(s.fd, s.token, s.memory("room"))
	}},
	{"two sends", "while send is outstanding", func(s *stage) {
		s.e.Send(s.fd, s.token, [][]byte{s.memory("one")})
		s.e.Send(s.fd, s.token, [][]byte{s.memory("two")})
	}},
	{"close with a receive outstanding", "with recv outstanding", func(s *stage) {
		s.e.Recv(s.fd, s.token)
		s.e.CloseFD(s.fd, s.token)
	}},
	{"close before the last completion was delivered", "with send outstanding", func(s *stage) {
		s.e.Send(s.fd, s.token, [][]byte{s.memory("one")})
		s.e.CloseFD(s.fd, s.token)
	}},
	{"close twice", "after CloseFD", func(s *stage) {
		s.e.CloseFD(s.fd, s.token)
		s.e.CloseFD(s.fd, s.token)
	}},
	{"recycle twice", "recycled twice", func(s *stage) {
		_, _ = s.peer.Write([]byte("data"))
		s.e.Recv(s.fd, s.token)
		c := s.next()
		twin := c
		s.e.Recycle(&c)
		s.e.Recycle(&c) // harmless: the completion knows
		s.e.Recycle(&twin)
	}},
	{"write after recycle", "written to after Recycle", func(s *stage) {
		_, _ = s.peer.Write([]byte("data"))
		s.e.Recv(s.fd, s.token)
		c := s.next()
		data := c.Data
		s.e.Recycle(&c)
		data[0] = 'x'
		_, _ = s.peer.Write([]byte("more"))
		s.next()
	}},
	{"send memory changed", "changed before its completion", func(s *stage) {
		b := s.memory("data")
		s.e.Send(s.fd, s.token, [][]byte{b})
		b[0] = 'x'
		s.next()
	}},
	{"receive memory changed", "changed before its completion", func(s *stage) {
		b := s.memory("room")
		s.e.RecvInto(s.fd, s.token, b)
		b[1] = 'x'
		_, _ = s.peer.Write([]byte("data"))
		s.next()
	}},
	{"token after its last word", "after its OpClose", func(s *stage) {
		s.e.CloseFD(s.fd, s.token)
		s.next()
		_, _ = s.n.Dial(s.listener.Addr)
		c := s.next()
		s.e.Recv(engine.FD(c.Res), s.token)
	}},
	{"token of another descriptor", "which is still that of", func(s *stage) {
		s.e.Recv(s.fd, s.token)
		_, _ = s.n.Dial(s.listener.Addr)
		c := s.next()
		s.e.Recv(engine.FD(c.Res), s.token)
	}},
	{"two tokens", "with token 2.1", func(s *stage) {
		s.e.Recv(s.fd, s.token)
		s.e.Send(s.fd, engine.MakeToken(2, 1), [][]byte{s.memory("x")})
	}},
	{"token too wide", "more than 56 bits", func(s *stage) { s.e.Recv(s.fd, 1<<60) }},
	{"descriptor of another engine", "another engine", func(s *stage) {
		s.e.Recv(s.fd, s.token)
		other, _ := s.n.Open(engine.WaitParked)
		other.Recv(s.fd, s.token)
	}},
	{"closed descriptor", "not open", func(s *stage) { s.e.Recv(99, s.token) }},
	{"accept on a connection", "Accept on connection", func(s *stage) { s.e.Accept(s.fd, s.token) }},
	{"receive on a listener", "Recv on listener", func(s *stage) {
		l, _ := s.n.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		s.e.Recv(l.FD, s.token)
	}},
	{"shutdown of a listener", "two directions", func(s *stage) { s.e.Shutdown(s.listener.FD, s.door) }},
	{"no buffers", "no buffers", func(s *stage) { s.e.Send(s.fd, s.token, nil) }},
	{"empty buffer", "empty buffer", func(s *stage) { s.e.Send(s.fd, s.token, [][]byte{s.memory("x"), {}}) }},
	{"discard with a receive outstanding", "with recv outstanding", func(s *stage) {
		s.e.Recv(s.fd, s.token)
		s.n.Discard(s.fd)
	}},
	{"discard twice", "not open", func(s *stage) {
		s.n.Discard(s.fd)
		s.n.Discard(s.fd)
	}},
	{"no room", "room for no completion", func(s *stage) { _, _ = s.e.Poll(nil, 0) }},
	{"use after close", "after Close", func(s *stage) {
		_ = s.e.Close()
		s.e.Recv(s.fd, s.token)
	}},
}

func TestBreachesAreReported(t *testing.T) {
	for _, c := range breaches {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, faultengine.Config{Seed: 1})
			c.do(s)
			s.wantBreach(c.want)
			if err := s.n.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Check says %v", err)
			}
		})
	}
}

func TestSendFromTheHeapIsABreachUnderInvariants(t *testing.T) {
	s := newStage(t, faultengine.Config{Seed: 1})
	heap := make([]byte, 8)
	if slab.Owns(heap) {
		return // assertions are off: nobody knows whose memory it is
	}
	s.e.Send(s.fd, s.token, [][]byte{heap})
	s.wantBreach("not slab memory")
}

func TestASecondOwnerIsCaught(t *testing.T) {
	s := newStage(t, faultengine.Config{Seed: 1})
	polling := make(chan struct{})
	go func() {
		defer close(polling)
		var done [1]engine.Completion
		_, _ = s.e.Poll(done[:], -1)
	}()
	deadline := time.Now().Add(time.Minute)
	for len(s.reported()) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("a Recv during another goroutine's Poll went unnoticed")
		}
		s.e.Shutdown(s.fd, s.token)
	}
	s.wantBreach("another goroutine")
	s.e.Wake()
	<-polling
}

func TestForgottenThingsAreNamed(t *testing.T) {
	s := newStage(t, faultengine.Config{Seed: 7})
	_, _ = s.peer.Write([]byte("data"))
	s.e.Recv(s.fd, s.token)
	c := s.next()
	err := s.n.Check()
	for _, want := range []string{"seed 7", "engine 0 was not closed", "1 leases", "listener fd 3", "connection fd 4 token 1.1", "outstanding: recv"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("Check does not say %q but %v", want, err)
		}
	}
	s.e.Cancel(s.fd, s.token)
	s.e.Cancel(s.listener.FD, s.door)
	s.next()
	s.next()
	_ = s.e.Close()
	s.n.Discard(s.fd)
	s.n.Discard(s.listener.FD)
	if err := s.n.Check(); !strings.Contains(fmt.Sprint(err), "1 leases were not recycled") {
		t.Errorf("a lease kept over Close: Check says %v", err)
	}
	s.e.Recycle(&c)
	if err := s.n.Check(); err != nil {
		t.Errorf("recycled after Close: Check says %v", err)
	}
}

func TestAbruptCloseLeavesDescriptorsToDiscard(t *testing.T) {
	s := newStage(t, faultengine.Config{Seed: 3})
	for range 5 { // accepted by the engine, never seen by its owner
		if _, err := s.n.Dial(s.listener.Addr); err != nil {
			t.Fatal(err)
		}
	}
	s.e.Recv(s.fd, s.token)
	if n, _ := s.e.Poll(s.done[:1], 0); n == 1 {
		s.n.Discard(engine.FD(s.done[0].Res))
	}
	_ = s.e.Close()
	_ = s.e.Close()
	s.e.Wake()
	s.n.Discard(s.fd)
	s.n.Discard(s.listener.FD)
	if err := s.n.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestClosedNumberIsUsedAgainBeforeItsLastWord(t *testing.T) {
	for seed := uint64(1); seed <= seeds; seed++ {
		s := newStage(t, faultengine.Config{Seed: seed, Late: 1, LateMax: 50})
		s.e.CloseFD(s.fd, s.token)
		if _, err := s.n.Dial(s.listener.Addr); err != nil {
			t.Fatal(err)
		}
		if c := s.next(); c.Op == engine.OpAccept {
			if engine.FD(c.Res) != s.fd {
				t.Fatalf("seed %d: the number %d was not used again: %d", seed, s.fd, c.Res)
			}
			return
		}
	}
	t.Fatal("no seed reused a number before its OpClose")
}

func TestEngineDiesWhenConfigured(t *testing.T) {
	s := newStage(t, faultengine.Config{Seed: 1, FailAfterPolls: 5})
	s.e.Recv(s.fd, s.token)
	for range 10 {
		if _, err := s.e.Poll(s.done[:], 0); err != nil {
			if !errors.Is(err, faultengine.ErrDead) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("still alive")
}

// echo runs a conversation on one goroutine under a configuration, and returns
// what identifies its schedule.
func echo(t *testing.T, c faultengine.Config) (fingerprint uint64, ends []int32) {
	s := newStage(t, c)
	sent := bytes.Repeat([]byte("0123456789"), 200)
	out := s.pool.Get(len(sent))
	var got, answer []byte
	buf := make([]byte, 512)
	s.e.Recv(s.fd, s.token)
	for step, sending, taken := 0, false, 0; taken < len(sent) && len(ends) < 200; step++ {
		if step > 100_000 {
			t.Fatalf("seed %d: no end\n%s", c.Seed, s.n.Trace())
		}
		if len(got) == 0 && step == 0 {
			_, _ = s.peer.Write(sent)
		}
		if !sending && len(got) > taken {
			k := copy(out, got[taken:])
			s.e.Send(s.fd, s.token, [][]byte{out[:k]})
			sending = true
		}
		n, err := s.e.Poll(s.done[:4], 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.done[:n] {
			d := &s.done[i]
			switch d.Op {
			case engine.OpRecv:
				got = append(got, d.Data...)
				s.e.Recycle(d)
				if !d.More {
					ends = append(ends, d.Res)
					if d.Res <= 0 && d.Errno() != syscall.ENOBUFS {
						return s.n.Fingerprint(), ends // broken
					}
					s.e.Recv(s.fd, s.token)
				}
			case engine.OpSend:
				sending = false
				if d.Res < 0 {
					ends = append(ends, d.Res)
					return s.n.Fingerprint(), ends
				}
				taken += int(d.Res)
			}
		}
		for len(answer) < taken {
			k, err := s.peer.Read(buf[:min(len(buf), taken-len(answer))])
			if err != nil {
				return s.n.Fingerprint(), ends
			}
			answer = append(answer, buf[:k]...)
		}
	}
	if !bytes.Equal(answer, sent[:len(answer)]) {
		t.Fatalf("seed %d: the answer differs", c.Seed)
	}
	if b := s.reported(); len(b) > 0 {
		t.Fatal(b)
	}
	return s.n.Fingerprint(), ends
}

func TestEverySeedIsDeterministic(t *testing.T) {
	distinct := map[uint64]bool{}
	for seed := uint64(1); seed <= seeds; seed++ {
		for _, c := range []faultengine.Config{faultengine.Gentle(seed), faultengine.Rough(seed)} {
			first, ends1 := echo(t, c)
			again, ends2 := echo(t, c)
			if first != again || fmt.Sprint(ends1) != fmt.Sprint(ends2) {
				t.Fatalf("seed %d took two ways: %x %v, %x %v", seed, first, ends1, again, ends2)
			}
			distinct[first] = true
		}
	}
	if len(distinct) < seeds {
		t.Fatalf("%d seeds gave only %d schedules", seeds, len(distinct))
	}
}

func TestOneByteReceivesDeliverEverything(t *testing.T) {
	got, _ := echo(t, faultengine.Config{Seed: 5, ShortRecv: 1, ShortSend: 1, EndEarly: 0.5, Late: 0.5, Reorder: 1})
	if got == 0 {
		t.Fatal("no steps")
	}
}

func TestEveryFaultOccurs(t *testing.T) {
	seen := map[string]bool{}
	for seed := uint64(1); seed <= seeds; seed++ {
		c := faultengine.Rough(seed)
		c.FailRecv, c.FailSend = 0.1, 0.1
		_, ends := echo(t, c)
		for _, e := range ends {
			switch {
			case e > 0:
				seen["early end"] = true
			default:
				seen[syscall.Errno(-e).Error()] = true
			}
		}
	}
	for _, want := range []string{"early end", syscall.ENOBUFS.Error(), syscall.ECONNRESET.Error(), syscall.ETIMEDOUT.Error(), syscall.EPIPE.Error()} {
		if !seen[want] {
			t.Errorf("%d seeds never showed %q", seeds, want)
		}
	}
}

func TestPeerSeesWhatTCPWouldShow(t *testing.T) {
	t.Run("finish", func(t *testing.T) {
		s := newStage(t, faultengine.Config{Seed: 1})
		s.e.CloseFD(s.fd, s.token)
		s.next()
		if _, err := s.peer.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("after a close: %v", err)
		}
	})
	t.Run("reset for unread input", func(t *testing.T) {
		s := newStage(t, faultengine.Config{Seed: 1})
		_, _ = s.peer.Write([]byte("never read"))
		s.e.CloseFD(s.fd, s.token)
		s.next()
		if _, err := s.peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("after a close with input unread: %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		s := newStage(t, faultengine.Config{Seed: 1})
		s.e.Cancel(s.listener.FD, s.door)
		s.next()
		s.n.Discard(s.listener.FD)
		if _, err := s.n.Dial(s.listener.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dialing a closed listener: %v", err)
		}
	})
	t.Run("half close", func(t *testing.T) {
		s := newStage(t, faultengine.Config{Seed: 1})
		_, _ = s.peer.Write([]byte("bye"))
		_ = s.peer.CloseWrite()
		s.e.Recv(s.fd, s.token)
		if c := s.next(); string(c.Data) != "bye" {
			t.Fatalf("first %+v", c)
		}
		if c := s.next(); c.Res != 0 || c.More {
			t.Fatalf("then %+v", c)
		}
		s.e.Send(s.fd, s.token, [][]byte{s.memory("answer")})
		s.next()
		b := make([]byte, 16)
		if k, err := s.peer.Read(b); string(b[:k]) != "answer" || err != nil {
			t.Fatalf("%q, %v", b[:k], err)
		}
		s.quiet()
	})
	t.Run("deadline", func(t *testing.T) {
		s := newStage(t, faultengine.Config{Seed: 1})
		_ = s.peer.SetDeadline(time.Now().Add(time.Millisecond))
		if _, err := s.peer.Read(make([]byte, 1)); err == nil {
			t.Fatal("a read ended without data")
		}
	})
}

func TestWakeIsStickyAndNeverLost(t *testing.T) {
	s := newStage(t, faultengine.Config{Seed: 1})
	s.e.Wake()
	s.e.Wake()
	if n, err := s.e.Poll(s.done[:], -1); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(s.e.Wake)
		_, _ = s.e.Poll(s.done[:], -1)
	}
	wg.Wait()
}

func TestConfigNamesEveryFault(t *testing.T) {
	err := faultengine.Config{Late: 2, ShortRecv: -1, Buffers: -1, StallSend: 1}.Validate()
	for _, want := range []string{"Late", "ShortRecv", "Buffers", "StallSend"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}
