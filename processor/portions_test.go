package processor_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/faultengine"
	"kring/processor"
	"kring/reqchan"
)

// portions is how many bytes an engine is asked for at a time.
type portions struct {
	engine.Network
	into, send atomic.Int64 // the most of one Poll, and of one Send
}

func (p *portions) Open(w engine.Wait) (engine.Engine, error) {
	e, err := p.Network.Open(w)
	return &portionedEngine{Engine: e, of: p}, err
}

type portionedEngine struct {
	engine.Engine
	of   *portions
	into int64 // since the last Poll
}

func (e *portionedEngine) RecvInto(fd engine.FD, token engine.Token, b []byte) {
	e.into += int64(len(b))
	e.of.into.Store(max(e.of.into.Load(), e.into))
	e.Engine.RecvInto(fd, token, b)
}

func (e *portionedEngine) Send(fd engine.FD, token engine.Token, bufs [][]byte) {
	n := int64(0)
	for _, b := range bufs {
		n += int64(len(b))
	}
	e.of.send.Store(max(e.of.send.Load(), n))
	e.Engine.Send(fd, token, bufs)
}

func (e *portionedEngine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	e.into = 0
	return e.Engine.Poll(done, wait)
}

// TestLargeFramesAndResponsesTakeTheEngineInPortions: what a Poll copies for one client
// others wait for. Here the frames of many begin in one pass, and all are served.
func TestLargeFramesAndResponsesTakeTheEngineInPortions(t *testing.T) {
	const many, size = 40, 512 << 10
	var over portions
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := newStage(t, stageConfig{
		faults: faultengine.Config{}, inline: true, bytes: 2 * many * size,
		settings: processor.Settings{FrameBytesMax: size, QueuedBytesMax: 8 << 20},
		handle: func(r reqchan.Request) {
			if len(r.Payload()) == 1 { // the others begin meanwhile
				close(begun)
				<-goOn
			}
			r.Respond(r.Buffer(3 << 20))
		},
		over: func(n engine.Network) engine.Network {
			over.Network = n
			return &over
		},
	})
	read := func(conn net.Conn) {
		t.Helper()
		if n, err := io.CopyN(io.Discard, conn, 4+3<<20); err != nil {
			t.Fatalf("%d bytes of a response: %v", n, err)
		}
	}
	first := s.dial()
	conns := make([]net.Conn, many)
	for i := range conns {
		conns[i] = s.dial()
	}
	mustWrite(t, first, string(frameOf(1, 1)))
	<-begun
	for _, conn := range conns {
		mustWrite(t, conn, string(frameOf(2, size)[:5]))
	}
	close(goOn)
	read(first)
	for _, conn := range conns {
		mustWrite(t, conn, string(frameOf(2, size)[5:]))
		read(conn)
	}
	if n := over.into.Load(); n > 2<<20 {
		t.Errorf("one Poll was asked for %d bytes of frames", n)
	}
	if n := over.send.Load(); n > 1<<20+64<<10 {
		t.Errorf("one Send was given %d bytes", n)
	}
	s.stop(time.Second)
}
