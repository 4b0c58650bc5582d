package processor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/faultengine"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

// upstreamClient sends frames by an Upstream and wants each back, in order, until it ends.
type upstreamClient struct {
	t      *testing.T
	seed   uint64
	memory *slab.Pool // where large frames come to lie
	up     *processor.Upstream
	sent   [][]byte

	mu   sync.Mutex
	came int // guarded by mu; frames
	// Of sent, guarded by mu: Write had returned, Done was called, and said that it was begun.
	written, done, begun []bool
	undone               sync.WaitGroup
	into                 []byte        // guarded by mu; the frame that is begun
	all                  chan struct{} // closed when all of sent came
	closed               chan error
}

func newUpstreamClient(t *testing.T, seed uint64, memory *slab.Pool) *upstreamClient {
	c := &upstreamClient{t: t, seed: seed, memory: memory, all: make(chan struct{}), closed: make(chan error, 2)}
	c.up = processor.NewUpstream(c)
	return c
}

func (c *upstreamClient) Opened() {}

func (c *upstreamClient) FrameBegins(size int, id int32) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(id) != c.came {
		c.t.Errorf("seed %d: frame %d begins, want %d", c.seed, id, c.came)
	}
	if size < 8<<10 {
		return nil, nil
	}
	c.into = c.memory.Get(size + int(id%2))
	return c.into, nil
}

func (c *upstreamClient) Frame(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.came >= len(c.sent) || !bytes.Equal(payload, c.sent[c.came][4:]) {
		c.t.Errorf("seed %d: frame %d of %d bytes differs", c.seed, c.came, len(payload))
	}
	if c.came++; c.came == len(c.sent) {
		close(c.all)
	}
	c.giveBack()
}

// giveBack ends a frame in memory of its own. mu is held.
func (c *upstreamClient) giveBack() {
	if c.into != nil {
		c.memory.Put(c.into)
		c.into = nil
	}
}

func (c *upstreamClient) Closed(_ reqchan.CloseReason, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !errors.Is(err, engine.ErrMemoryHeld) {
		c.giveBack()
	}
	for i, was := range c.written {
		if was && !c.done[i] {
			c.t.Errorf("seed %d: closed before frame %d was done", c.seed, i)
		}
	}
	c.closed <- err
}

func (c *upstreamClient) write(i int) {
	c.up.Write(processor.Outgoing{Parts: [][]byte{c.sent[i][:4], c.sent[i][4:]}, Copied: true, Done: func(begun bool, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.done[i] || err == nil && !begun {
			c.t.Errorf("seed %d: frame %d is done, and was before: %t; begun %t, %v", c.seed, i, c.done[i], begun, err)
		}
		c.done[i], c.begun[i] = true, begun
		c.undone.Done()
	}})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written[i] = len(c.closed) == 0
}

// sends has it send these.
func (c *upstreamClient) sends(frames ...[]byte) {
	n := len(frames)
	c.sent, c.written, c.done, c.begun = frames, make([]bool, n), make([]bool, n), make([]bool, n)
	c.undone.Add(n)
	if n == 0 {
		close(c.all)
	}
}

// tell writes the frames, pauses and goes on now and then, and ends it when all came back.
func (c *upstreamClient) tell(r *rand.Rand) {
	for i := range c.sent {
		c.write(i)
		switch r.IntN(12) {
		case 0:
			c.up.Pause()
		case 1:
			c.up.Resume()
		}
	}
	c.up.Resume()
	select {
	case <-c.all:
		c.up.Close(io.EOF)
	case err := <-c.closed:
		c.closed <- err
	}
}

// echoPeers sends back what comes to l, and sometimes resets a connection.
func echoPeers(l *faultengine.PeerListener, resets bool) {
	for n := 0; ; n++ {
		p, err := l.Accept()
		if err != nil {
			return
		}
		_ = p.SetDeadline(time.Now().Add(deadline))
		go func() {
			defer p.Close()
			for i := 0; ; i++ {
				f, err := readFrame(p)
				if err != nil {
					return
				}
				if resets && n%4 == 3 && i == 5 {
					_ = p.Reset()
					return
				}
				if _, err := p.Write(f); err != nil {
					return
				}
			}
		}()
	}
}

// TestUpstreamsOnAnEngineThatMisbehaves: whatever becomes of a connection, what comes is what
// was sent, in order; every frame is done once, before the end; and nothing is left behind.
func TestUpstreamsOnAnEngineThatMisbehaves(t *testing.T) {
	for seed := range uint64(12) {
		c := faultengine.Gentle(seed)
		if seed%2 == 1 {
			c = faultengine.Rough(seed)
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newStage(t, stageConfig{faults: c, processors: 2, handle: func(r reqchan.Request) { r.NoResponse() }, inline: true})
			peers := s.network.ListenPeer(false)
			go echoPeers(peers, seed%2 == 1)
			nobody := s.network.ListenPeer(true)
			settings := settingsOf(processor.Settings{FrameTimeout: deadline, WriteTimeout: deadline})
			r := rand.New(rand.NewPCG(seed, 7))
			var clients []*upstreamClient
			var telling sync.WaitGroup
			for k := range 8 {
				u := newUpstreamClient(t, seed, &s.memory)
				clients = append(clients, u)
				var frames [][]byte
				for i := range r.IntN(30) {
					frames = append(frames, frameOf(uint32(i), 4+r.IntN([]int{10, 3000, 60 << 10}[r.IntN(3)])))
				}
				u.sends(frames...)
				to := []netip.AddrPort{peers.AddrPort()}
				if k%3 == 2 { // the first address refuses
					to = append([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, to...)
				}
				if k == 7 {
					to = []netip.AddrPort{nobody.AddrPort()}
				}
				own := rand.New(rand.NewPCG(seed, uint64(k)))
				if !u.up.Start(s.processors[k%2], processor.UpstreamConfig{Addrs: to, From: processor.NewListener("upstream", false, settings)}) {
					t.Fatal("a processor that serves takes no connection")
				}
				telling.Go(func() {
					if k == 7 {
						u.up.Close(engine.ErrMemoryHeld) // any error
					}
					u.tell(own)
				})
			}
			telling.Wait()
			for k, u := range clients {
				if err := <-u.closed; err == nil {
					t.Errorf("connection %d ended without a reason", k)
				}
				u.undone.Wait()
				if u.came < len(u.sent) && seed%2 == 0 && k != 7 {
					t.Errorf("%d of %d frames came back", u.came, len(u.sent))
				}
			}
			_ = peers.Close()
			_ = nobody.Close()
			s.stop(deadline)
		})
	}
}

// TestAnEngineThatDiesEndsItsUpstreams, those that wait for their connect with them.
func TestAnEngineThatDiesEndsItsUpstreams(t *testing.T) {
	n := faultengine.New(faultengine.Config{Seed: 1})
	nobody, peers := n.ListenPeer(true), n.ListenPeer(false)
	go echoPeers(peers, false)
	var memory slab.Pool
	channel := reqchan.New(reqchan.Config{})
	cfg := processor.Config{Network: n, AssignedMax: 1}
	cfg.Memory, cfg.Channel, cfg.Handle = &memory, channel, func(r reqchan.Request) { r.NoResponse() }
	p := processor.New(cfg)
	opened, ended := make(chan error, 1), make(chan error, 1)
	go func() { ended <- p.Run(func(err error) { opened <- err }) }()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	var clients []*upstreamClient
	for _, to := range []netip.AddrPort{nobody.AddrPort(), peers.AddrPort()} {
		u := newUpstreamClient(t, 1, &memory)
		u.sends(frameOf(0, 100))
		if !u.up.Start(p, processor.UpstreamConfig{Addrs: []netip.AddrPort{to}, From: processor.NewListener("upstream", false, settingsOf(processor.Settings{}))}) {
			t.Fatal("it takes no connection")
		}
		u.write(0)
		clients = append(clients, u)
	}
	eventually(t, "one of them is answered", func() bool {
		clients[1].mu.Lock()
		defer clients[1].mu.Unlock()
		return clients[1].came == 1
	})
	n.Kill()
	clients[0].up.Pause() // it dies when it is used next
	for _, u := range clients {
		if err := <-u.closed; err != nil {
			t.Errorf("an engine that died says %v", err) // why says all
		}
		late := make(chan bool, 1)
		u.up.Write(processor.Outgoing{Parts: [][]byte{{1}}, Done: func(begun bool, err error) { late <- begun || err == nil }})
		if <-late {
			t.Error("a frame that came too late counts as begun")
		}
	}
	if err := <-ended; err == nil {
		t.Error("a processor whose engine died ends without an error")
	}
	if u := newUpstreamClient(t, 1, &memory); u.up.Start(p, processor.UpstreamConfig{}) {
		t.Error("a processor that has ended takes a connection")
	}
	if memory.Lent() != 0 {
		t.Errorf("%d pieces of memory did not come home", memory.Lent())
	}
	_, _ = nobody.Close(), peers.Close()
	if err := n.Check(); err != nil {
		t.Error(err)
	}
}

// TestAnEngineThatKeepsMemoryTellsItsUpstreams: one that sends, and one that receives where its
// owner said.
func TestAnEngineThatKeepsMemoryTellsItsUpstreams(t *testing.T) {
	n := faultengine.New(faultengine.Config{Seed: 1, HoldMemory: true, SendWindowBytes: 1 << 10})
	peers := n.ListenPeer(false)
	var memory slab.Pool
	cfg := processor.Config{Network: n, AssignedMax: 1}
	cfg.Memory, cfg.Channel, cfg.Handle = &memory, reqchan.New(reqchan.Config{}), func(r reqchan.Request) { r.NoResponse() }
	p := processor.New(cfg)
	opened, ended := make(chan error, 1), make(chan error, 1)
	go func() { ended <- p.Run(func(err error) { opened <- err }) }()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	start := func(frames ...[]byte) *upstreamClient {
		u := newUpstreamClient(t, 1, &memory)
		u.sends(frames...)
		if !u.up.Start(p, processor.UpstreamConfig{Addrs: []netip.AddrPort{peers.AddrPort()}, From: processor.NewListener("upstream", false, settingsOf(processor.Settings{}))}) {
			t.Fatal("it takes no connection")
		}
		return u
	}
	sends, receives := start(frameOf(0, 60<<10)), start()
	sends.write(0) // nobody reads it
	for range 2 {
		peer, err := peers.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = peer.Write(frameOf(0, 60<<10)[:30<<10]) }()
	}
	for _, u := range []*upstreamClient{sends, receives} {
		eventually(t, "a frame is being received", func() bool {
			u.mu.Lock()
			defer u.mu.Unlock()
			return u.into != nil
		})
	}
	<-p.Pass() // and the engine has been asked for it
	n.Kill()
	receives.up.Pause() // it dies when it is used next
	for name, u := range map[string]*upstreamClient{"sends": sends, "receives": receives} {
		select {
		case err := <-u.closed:
			if !errors.Is(err, engine.ErrMemoryHeld) {
				t.Errorf("who %s is told %v", name, err)
			}
		case <-time.After(deadline):
			t.Errorf("who %s is told nothing", name)
		}
	}
	if err := <-ended; !errors.Is(err, engine.ErrMemoryHeld) {
		t.Errorf("the processor ended with %v", err)
	}
	_ = peers.Close()
	if err := n.Check(); err != nil {
		t.Error(err)
	}
}
