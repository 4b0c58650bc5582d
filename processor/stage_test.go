package processor_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/internal/budget"
	"kring/internal/faultengine"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

const deadline = time.Minute

// stage is an acceptor, processors and handlers on a fault engine.
type stage struct {
	t          testing.TB
	network    *faultengine.Network
	memory     slab.Pool
	channel    *reqchan.Channel
	acceptor   *acceptor.Acceptor
	admission  *acceptor.Admission
	processors []*processor.Processor
	responses  *budget.Budget
	running    sync.WaitGroup
	handling   sync.WaitGroup
	errs       chan error

	mu     sync.Mutex
	closed map[reqchan.CloseReason]int // guarded by mu
}

type stageConfig struct {
	faults     faultengine.Config
	handle     func(reqchan.Request)
	inline     bool
	opened     func() // of each connection; may be nil
	handlers   int
	processors int
	requests   int // capacity of the request channel
	bytes      int
	yieldFrom  int                                 // of the processors, see Config
	settings   processor.Settings                  // what is 0 gets a small default
	over       func(engine.Network) engine.Network // of the processors; may be nil
}

func newStage(t testing.TB, c stageConfig) *stage {
	t.Helper()
	s := &stage{
		t: t, closed: map[reqchan.CloseReason]int{}, errs: make(chan error, 64),
		network:   faultengine.New(c.faults),
		responses: budget.New(64 << 20),
		channel:   reqchan.New(reqchan.Config{RequestsMax: or(c.requests, 1), BytesMax: int64(or(c.bytes, 64<<20))}),
	}
	var assigners []acceptor.Assigner
	listener := processor.NewListener("TEST", false, settingsOf(c.settings))
	for i := range max(c.processors, 1) {
		p := processor.New(s.processorConfig(uint32(i), c))
		s.processors = append(s.processors, p)
		assigners = append(assigners, p.InboxFor(listener))
		opened := make(chan error, 1)
		s.running.Go(func() { s.errs <- p.Run(func(err error) { opened <- err }) })
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
	}
	s.startHandlers(c)
	var err error
	if s.admission, err = acceptor.NewAdmission(acceptor.AdmissionConfig{}); err != nil {
		t.Fatal(err)
	}
	quota, err := s.admission.OpenListener("TEST")
	if err != nil {
		t.Fatal(err)
	}
	a, err := acceptor.New(acceptor.Config{
		Name: "TEST", Network: s.network, Listen: engine.ListenConfig{Address: "127.0.0.1:0"},
		Assigners: assigners, Quota: quota,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.acceptor = a
	s.running.Go(func() { s.errs <- a.Run(func(error) {}) })
	return s
}

func (s *stage) processorConfig(id uint32, c stageConfig) processor.Config {
	pc := processor.Config{ID: id, Network: s.network, AssignedMax: 256, YieldFrom: c.yieldFrom}
	pc.Memory, pc.Responses, pc.Channel = &s.memory, s.responses, s.channel
	if c.over != nil {
		pc.Network = c.over(s.network)
	}
	pc.Hooks.Closed = func(_ *reqchan.Conn, why reqchan.CloseReason) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed[why]++
	}
	if c.opened != nil {
		pc.Hooks.Opened = func(*reqchan.Conn) { c.opened() }
	}
	if c.inline {
		pc.Handle = c.handle
	}
	return pc
}

func settingsOf(set processor.Settings) processor.Settings {
	set.FrameBytesMax = or(set.FrameBytesMax, 1<<20)
	set.PackedBytesMax = or(set.PackedBytesMax, 4<<10)
	set.BigFrameBytes = or(set.BigFrameBytes, 16<<10)
	set.PipelineMax = or(set.PipelineMax, 1)
	set.HeldBytesMax = or(set.HeldBytesMax, 32<<10)
	set.QueuedBytesMax = or(set.QueuedBytesMax, 128<<10)
	return set
}

func or(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}

// dial connects, again and again where the faults refuse it.
func (s *stage) dial() net.Conn {
	peer, err := s.network.Dial(s.acceptor.Addr())
	if err != nil {
		s.t.Errorf("seed %d: %v", s.network.Seed(), err)
		return nil
	}
	_ = peer.SetDeadline(time.Now().Add(deadline))
	return peer
}

// stop ends the stage in the server's order and checks that nothing is left.
func (s *stage) stop(grace time.Duration) {
	s.t.Helper()
	s.acceptor.Stop()
	for _, p := range s.processors {
		p.Drain()
	}
	patience := time.After(grace)
	for _, p := range s.processors {
		select {
		case <-p.Drained():
		case <-patience:
			p.Cut()
			<-p.Drained()
		}
	}
	s.channel.Close()
	s.handling.Wait()
	for _, p := range s.processors {
		p.Stop()
	}
	s.running.Wait()
	for range len(s.processors) + 1 {
		if err := <-s.errs; err != nil {
			s.t.Errorf("seed %d: %v", s.network.Seed(), err)
		}
	}
	s.check()
}

func (s *stage) check() {
	s.t.Helper()
	if n := s.memory.Lent(); n != 0 {
		s.t.Errorf("seed %d: %d pieces of memory did not come home", s.network.Seed(), n)
	}
	if n := s.responses.Stats().Used; n != 0 {
		s.t.Errorf("%d bytes of the budget of responses did not come home", n)
	}
	if n := s.channel.Bytes(); n != 0 {
		s.t.Errorf("seed %d: %d bytes of the channel's capacity did not come home", s.network.Seed(), n)
	}
	if n := s.admission.Open(); n != 0 {
		s.t.Errorf("seed %d: %d slots are still taken", s.network.Seed(), n)
	}
	if err := s.network.Check(); err != nil {
		s.t.Errorf("seed %d: %v", s.network.Seed(), err)
	}
}

func (s *stage) closedBy(why reqchan.CloseReason) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed[why]
}

// eventually waits until ok says true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// frameOf makes a frame whose content tells its number and its length.
func frameOf(number uint32, size int) []byte {
	f := binary.BigEndian.AppendUint32(nil, uint32(size))
	f = append(f, make([]byte, size)...)
	payload := f[4:]
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(number)<<32|uint64(size))
	_, _ = rand.NewChaCha8(seed).Read(payload) // several bytes at once: the race detector looks at each store
	if size >= 4 {
		binary.BigEndian.PutUint32(payload, number)
	}
	return f
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	f := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(f, size[:])
	_, err := io.ReadFull(r, f[4:])
	return f, err
}

// converse sends frames of the given sizes, as fast as it can, and wants each
// back in order.
func converse(c net.Conn, sizes []int) error {
	sent := make([][]byte, len(sizes))
	for i, n := range sizes {
		sent[i] = frameOf(uint32(i), n)
	}
	go func() {
		for _, f := range sent {
			if _, err := c.Write(f); err != nil {
				return // the reader meets it too
			}
		}
	}()
	for i, want := range sent {
		got, err := readFrame(c)
		if err != nil {
			return fmt.Errorf("response %d of %d: %w", i, len(sent), err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("response %d of %d differs (%d bytes, want %d)", i, len(sent), len(got), len(want))
		}
	}
	return nil
}

func echo(r reqchan.Request) { r.Respond(r.Payload()) }
