package processor_test

import (
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/budget"
	"kring/internal/invariants"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

// nullNetwork has engines that do nothing but complete: what is left of a
// request is the processor's own way.
type nullNetwork struct {
	engine.Network
	engine *nullEngine
}

func (n *nullNetwork) Open(engine.Wait) (engine.Engine, error) { return n.engine, nil }

func (n *nullNetwork) Configure(engine.FD, engine.SocketOptions) error { return nil }

func (n *nullNetwork) Discard(engine.FD) {}

// nullEngine receives the same frames again on each connection when what was
// received before is answered, as long as rounds are asked for. Every send takes
// everything.
type nullEngine struct {
	engine.Engine // what is not below is not used
	counters      engine.Counters
	conns         []nullConn // by descriptor
	ready         []engine.Completion
	left          int // rounds to go
	open          int // connections that are not done with this one
	asked         chan int
	over          chan struct{}
	woken         chan struct{}
}

type nullConn struct {
	token engine.Token
	data  []byte
	owed  int // bytes of answers
}

func newNullEngine(conns, depth, size int, memory *slab.Pool) *nullEngine {
	e := &nullEngine{conns: make([]nullConn, conns), asked: make(chan int), over: make(chan struct{}), woken: make(chan struct{}, 1)}
	for i := range e.conns {
		frame := frameOf(uint32(i), size)
		c := &e.conns[i]
		c.data = memory.Get(depth * len(frame))
		for at := 0; at < len(c.data); at += len(frame) {
			copy(c.data[at:], frame)
		}
	}
	return e
}

func (e *nullEngine) Recv(fd engine.FD, t engine.Token) { e.conns[fd].token = t }

func (e *nullEngine) Send(fd engine.FD, t engine.Token, bufs [][]byte) {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	e.ready = append(e.ready, engine.Completion{Token: t, Op: engine.OpSend, Res: int32(n)})
	if c := &e.conns[fd]; c.owed > 0 {
		if c.owed -= n; c.owed == 0 {
			e.open--
		}
	}
}

func (e *nullEngine) Shutdown(fd engine.FD, t engine.Token) {
	e.ready = append(e.ready, engine.Completion{Token: t, Op: engine.OpRecv})
}

func (e *nullEngine) ShutdownSend(engine.FD, engine.Token) {}

func (e *nullEngine) CloseFD(fd engine.FD, t engine.Token) {
	e.ready = append(e.ready, engine.Completion{Token: t, Op: engine.OpClose})
}

func (e *nullEngine) Recycle(c *engine.Completion)   { c.Data, c.Lease = nil, 0 }
func (e *nullEngine) Counters() *engine.Counters     { return &e.counters }
func (e *nullEngine) Close() error                   { return nil }
func (e *nullEngine) Cancel(engine.FD, engine.Token) {}

func (e *nullEngine) Wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

func (e *nullEngine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if len(e.ready) == 0 && e.open == 0 {
		e.begin(wait)
	} else if len(e.ready) == 0 && wait != 0 {
		<-e.woken // answers are on their way
	}
	n := copy(done, e.ready)
	e.ready = e.ready[:copy(e.ready, e.ready[n:])]
	return n, nil
}

// begin starts a round on every connection; between those that were asked for it
// waits for more, or for a Wake.
func (e *nullEngine) begin(wait time.Duration) {
	if e.left > 0 {
		if e.left--; e.left == 0 {
			e.over <- struct{}{}
		}
	}
	if e.left == 0 {
		if wait == 0 {
			return
		}
		select {
		case n := <-e.asked:
			e.left = n
		case <-e.woken:
			return
		}
	}
	for i := range e.conns {
		c := &e.conns[i]
		c.owed = len(c.data)
		e.ready = append(e.ready, engine.Completion{Token: c.token, Op: engine.OpRecv, More: true, Res: int32(len(c.data)), Data: c.data, Lease: uint32(i) + 1})
	}
	e.open = len(e.conns)
}

// path is a processor on a null engine.
type path struct {
	engine   *nullEngine
	requests int // of a round
	stop     func()
}

func newPath(t testing.TB, conns, depth int, inline bool) *path {
	const size = 128
	s := &stage{t: t, responses: budget.New(64 << 20), channel: reqchan.New(reqchan.Config{RequestsMax: 4096, BytesMax: 64 << 20})}
	e := newNullEngine(conns, depth, size, &s.memory)
	c := stageConfig{handle: echo, inline: inline, handlers: 2, settings: processor.Settings{PipelineMax: depth}}
	cfg := s.processorConfig(0, c)
	var open atomic.Int64
	cfg.Network, cfg.AssignedMax = &nullNetwork{engine: e}, conns
	cfg.Hooks = processor.Hooks{Opened: func(*reqchan.Conn) { open.Add(1) }}
	p := processor.New(cfg)
	s.startHandlers(c)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(func(error) {}) }()
	inbox := p.InboxFor(processor.NewListener("TEST", false, settingsOf(c.settings)))
	for fd := range conns {
		at := netip.MustParseAddrPort("127.0.0.1:1")
		if !inbox.Assign(engine.Accepted{FD: engine.FD(fd), Local: at, Remote: at, Slot: noSlot{}}) {
			t.Fatal("a socket was refused")
		}
	}
	eventually(t, "all are adopted", func() bool { return open.Load() == int64(conns) })
	return &path{engine: e, requests: conns * depth, stop: func() {
		p.Drain()
		<-p.Drained()
		s.channel.Close()
		s.handling.Wait()
		p.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for i := range e.conns {
			s.memory.Put(e.conns[i].data)
		}
		if n := s.memory.Lent(); n != 0 {
			t.Errorf("%d pieces of memory did not come home", n)
		}
		s.memory.Close()
	}}
}

type noSlot struct{}

func (noSlot) Release() {}

// serve has so many rounds served.
func (p *path) serve(rounds int) {
	p.engine.asked <- rounds
	<-p.engine.over
}

var paths = []struct{ conns, depth int }{{1, 1}, {64, 1}, {64, 16}}

// BenchmarkPath is all that a processor does for a request: received, cut,
// handled, answered, handed to a send. One operation is one request.
func BenchmarkPath(b *testing.B) {
	for _, inline := range []bool{true, false} {
		for _, c := range paths {
			b.Run(fmt.Sprintf("inline=%t/%dx%d", inline, c.conns, c.depth), func(b *testing.B) {
				p := newPath(b, c.conns, c.depth, inline)
				p.serve(10)
				b.ReportAllocs()
				b.ResetTimer()
				p.serve((b.N + p.requests - 1) / p.requests)
				b.StopTimer()
				p.stop()
			})
		}
	}
}

func TestARequestAllocatesNothingOnItsWay(t *testing.T) {
	if invariants.Enabled {
		t.Log("the assertions allocate: only that it comes to an end is looked at")
	}
	for _, inline := range []bool{true, false} {
		for _, c := range paths {
			p := newPath(t, c.conns, c.depth, inline)
			rounds := max(2000/p.requests, 4)
			p.serve(rounds)
			requests := rounds * p.requests
			// The runtime's own timers and a chunk now and then need a few, more of them
			// beside other work; an allocation of a request would be there each time.
			allocs, tries := math.Inf(1), 5
			if invariants.Enabled {
				tries = 1
			}
			for try := 0; try < tries && allocs > float64(requests)/400; try++ {
				allocs = min(allocs, testing.AllocsPerRun(4, func() { p.serve(rounds) }))
			}
			if allocs > float64(requests)/400 && !invariants.Enabled {
				t.Errorf("inline %t, %d × %d: %v allocations in %d requests", inline, c.conns, c.depth, allocs, requests)
			}
			p.stop()
		}
	}
}
