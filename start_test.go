package kring

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kring/engine"
)

// scarce is a network that passed every probe and has room for some engines
// only.
type scarce struct {
	engine.Network
	room atomic.Int64
	want error
}

func (n *scarce) Open(w engine.Wait) (engine.Engine, error) {
	if n.room.Add(-1) < 0 {
		return nil, n.want
	}
	return n.Network.Open(w)
}

// scarceServer has an engine with room for so many rings.
func scarceServer(t *testing.T, engine Engine, room int64, want error) *Server {
	t.Helper()
	s, err := New(Config{
		Engine: engine, Processors: ProcessorsConfig{Count: 3}, Listeners: []ListenerConfig{{Address: "127.0.0.1:0"}},
	}, HandlerFunc(func(r Request) { r.Respond(r.Payload()) }))
	if err != nil {
		t.Fatal(err)
	}
	n := &scarce{Network: s.now().network, want: want}
	n.room.Store(room)
	s.change(func(next *state) { next.network = n })
	return s
}

func TestAnEngineWithoutMemoryForAllPartsGivesWay(t *testing.T) {
	for room, what := range []string{"none", "one processor", "two processors", "all processors, not the acceptor"} {
		t.Run(what, func(t *testing.T) {
			s := scarceServer(t, EngineAuto, int64(room), syscall.ENOMEM)
			better := s.Engine()
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Shutdown(context.Background()) }()
			if s.Engine() == better || !strings.Contains(s.Why(), string(better)) || !strings.Contains(s.Why(), "cannot allocate memory") {
				t.Errorf("%s serves (%s), want another than %s and the reason", s.Engine(), s.Why(), better)
			}
			c, err := net.Dial("tcp", s.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			if _, err := c.Write([]byte("\x00\x00\x00\x02hi")); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(make([]byte, 6)); n == 0 {
				t.Errorf("no answer: %v", err)
			}
			select {
			case err := <-s.Failed():
				t.Errorf("a part that was replaced counts as failed: %v", err)
			default:
			}
		})
	}
}

func TestWhatIsNotReplacedFailsAndLeavesNothing(t *testing.T) {
	for what, c := range map[string]struct {
		engine Engine
		err    error
	}{
		"an engine asked for by name": {EngineEpoll, syscall.ENOMEM},
		"no descriptors":              {EngineAuto, syscall.EMFILE},
	} {
		t.Run(what, func(t *testing.T) {
			s := scarceServer(t, c.engine, 2, c.err)
			if err := s.Start(); !errors.Is(err, c.err) {
				t.Errorf("Start: %v, want %v", err, c.err)
			}
			if n := s.Stats().MemoryMapped; n != 0 {
				t.Errorf("%d bytes are still mapped", n)
			}
			if err := s.Start(); err == nil {
				t.Error("a second Start says nothing")
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
