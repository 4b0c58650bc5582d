package contract

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// relay is a Handler that forwards the requests of each connection by a connection of its
// own: what a gateway is at the least.
type relay struct {
	server *kring.Server
	to     kring.UpstreamConfig
	before func() // of each request; nil: nothing

	mu   sync.Mutex
	open map[*kring.Conn]*relayLink
	done atomic.Int64 // frames whose Done was called
	sent atomic.Int64 // frames that were written
}

// relayLink is one connection of each side.
type relayLink struct {
	r  *relay
	up *kring.Upstream

	mu      sync.Mutex
	waiting []kring.Request // in the order of their frames
	given   []byte
	closed  bool
}

func (r *relay) Handle(req kring.Request) {
	r.mu.Lock()
	before := r.before
	r.mu.Unlock()
	if before != nil {
		before()
	}
	r.mu.Lock()
	if r.open == nil {
		r.open = map[*kring.Conn]*relayLink{}
	}
	l := r.open[req.Conn()]
	if l == nil {
		l = &relayLink{r: r}
		to := r.to
		to.Near = int(req.Conn().ID.Processor)
		l.up = r.server.Connect(to, l)
		r.open[req.Conn()] = l
	}
	r.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		req.CloseConnection(kring.ReasonBackendFailed)
		return
	}
	req.PaceResponse()
	l.waiting = append(l.waiting, req)
	payload := req.Payload()
	r.sent.Add(1)
	l.up.Write(kring.UpstreamWrite{
		Parts: [][]byte{binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload},
		Done:  func(bool, error) { r.done.Add(1) },
	})
}

func (l *relayLink) Opened() {}

func (l *relayLink) FrameBegins(size int, _ int32) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return nil, errors.New("a frame that nobody asked for")
	}
	into := l.waiting[0].Buffer(size)
	if !l.waiting[0].Owns(into) {
		return nil, nil
	}
	l.given = into
	return into, nil
}

func (l *relayLink) Frame(payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.up.Close(errors.New("a frame that nobody asked for"))
		return
	}
	r := l.waiting[0]
	l.waiting, l.given = l.waiting[1:], nil
	r.Respond(payload)
}

func (l *relayLink) Closed(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, r := range l.waiting {
		r.CloseConnection(kring.ReasonBackendFailed)
	}
	l.waiting = nil
}

// startRelay serves a relay to address.
func startRelay(t *testing.T, cfg kring.Config, to kring.UpstreamConfig) (*kring.Server, *relay) {
	t.Helper()
	r := &relay{to: to}
	s, err := kring.New(cfg, r)
	if err != nil {
		t.Fatal(err)
	}
	r.server = s
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, r
}

func TestFramesPassThroughAConnectionThatTheServerMakes(t *testing.T) {
	echo := servertest.Start(t, servertest.Config(kring.EngineAuto, kring.DispatchInline), servertest.Echo)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s, r := startRelay(t, cfg, kring.UpstreamConfig{Address: echo.Addrs()[0].String(), OpenTimeout: time.Minute, FrameTimeout: time.Minute, WriteTimeout: time.Minute})
		passThrough(t, s, 6)
		servertest.Shutdown(t, s)
		if r.done.Load() != r.sent.Load() {
			t.Errorf("%d of %d frames were done", r.done.Load(), r.sent.Load())
		}
		st := s.Stats()
		if n := st.Total.Upstreams; n != 6 || st.Total.UpstreamsClosed != n {
			t.Errorf("%d upstreams, %d closed; want 6 of each", n, st.Total.UpstreamsClosed)
		}
		if in, out := st.Total.UpstreamBytesIn, st.Total.UpstreamBytesOut; in != out || in != st.Total.BytesIn {
			t.Errorf("%d bytes in and %d out upstream, %d from clients", in, out, st.Total.BytesIn)
		}
	})
}

func passThrough(t *testing.T, s *kring.Server, n int) {
	t.Helper()
	var clients sync.WaitGroup
	for k := range n {
		c := servertest.Dial(t, s)
		clients.Go(func() {
			defer c.Close()
			if err := servertest.Converse(c, uint64(k), 60, 4); err != nil {
				t.Errorf("client %d: %v", k, err)
			}
		})
	}
	clients.Wait()
}

func TestFramesPassThroughTLSThatTheServerBegins(t *testing.T) {
	server, client := servertest.TLS()
	echo := servertest.Start(t, servertest.Secure(servertest.Config(kring.EngineAuto, kring.DispatchInline), server), servertest.Echo)
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s, _ := startRelay(t, cfg, kring.UpstreamConfig{Address: echo.Addrs()[0].String(), TLS: client, OpenTimeout: time.Minute})
		passThrough(t, s, 3)
		servertest.Shutdown(t, s)
	})
}

// refuses waits until s accepts no more: it drains.
func refuses(t *testing.T, s *kring.Server) {
	t.Helper()
	servertest.Eventually(t, "no connection is accepted", func() bool {
		extra, err := net.Dial("tcp", s.Addrs()[0].String())
		if err == nil {
			_ = extra.Close()
		}
		return err != nil
	})
}

// TestShutdownKeepsConnectionsThatAnswersComeBy: a request in flight is answered first.
func TestShutdownKeepsConnectionsThatAnswersComeBy(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		address, accept := peers(t)
		s, _ := startRelay(t, cfg, kring.UpstreamConfig{Address: address})
		c := servertest.Dial(t, s)
		c.Send("asked before the end")
		p := accept()
		asked, err := servertest.ReadFrame(p)
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(context.Background()) }()
		refuses(t, s)
		if _, err := p.Write(servertest.Frame(asked)); err != nil {
			t.Fatal(err)
		}
		if got := c.Receive(); got != "asked before the end" {
			t.Errorf("the answer is %q", got)
		}
		if err := <-over; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if _, err := servertest.ReadFrame(p); !errors.Is(err, io.EOF) {
			t.Errorf("the connection ended with %v", err)
		}
	})
}

// TestWhatIsInFlightMayConnectWhileTheServerDrains: a request that was taken needs a
// connection that is not there yet, to an address or a name.
func TestWhatIsInFlightMayConnectWhileTheServerDrains(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for _, host := range []string{"127.0.0.1", "localhost"} {
			connectsWhileItDrains(t, cfg, host)
		}
	})
}

func connectsWhileItDrains(t *testing.T, cfg kring.Config, host string) {
	address, accept := peers(t)
	_, port, _ := net.SplitHostPort(address)
	s, r := startRelay(t, cfg, kring.UpstreamConfig{Address: net.JoinHostPort(host, port)})
	taken, goOn := make(chan bool), make(chan bool)
	r.mu.Lock()
	r.before = func() {
		taken <- true
		<-goOn
	}
	r.mu.Unlock()
	c := servertest.Dial(t, s)
	c.Send("asked before the end")
	<-taken
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(context.Background()) }()
	refuses(t, s)
	close(goOn)
	p := accept()
	asked, err := servertest.ReadFrame(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(servertest.Frame(asked)); err != nil {
		t.Fatal(err)
	}
	if got := c.Receive(); got != "asked before the end" {
		t.Errorf("%s: the answer is %q", host, got)
	}
	if err := <-over; err != nil {
		t.Errorf("%s: Shutdown: %v", host, err)
	}
}

// TestAProcessorThatIsTakenAwayEndsItsConnectionsWhenTheyOweNothing, and its clients go on
// with others.
func TestAProcessorThatIsTakenAwayEndsItsConnectionsWhenTheyOweNothing(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		address, accept := peers(t)
		s, _ := startRelay(t, cfg, kring.UpstreamConfig{})
		ids := s.Processors()
		var both []*watcher
		var ups []*kring.Upstream
		var ends []*net.TCPConn
		for _, id := range ids {
			w := watch()
			ups = append(ups, s.Connect(kring.UpstreamConfig{Address: address, Near: int(id)}, w))
			ends = append(ends, accept())
			w.opens(t)
			if got := ups[len(ups)-1].Conn().ID.Processor; got != id {
				t.Errorf("it lives on processor %d, not near %d", got, id)
			}
			both = append(both, w)
		}
		ups[1].Write(kring.UpstreamWrite{Parts: [][]byte{servertest.Frame([]byte("asked"))}})
		if _, err := servertest.ReadFrame(ends[1]); err != nil {
			t.Fatal(err)
		}
		cfg.Processors.Count = 1
		if err := s.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
		if got := s.Processors(); len(got) != 1 || got[0] != ids[0] {
			t.Fatalf("%v serve", got)
		}
		if _, err := ends[1].Write(servertest.Frame([]byte("answer"))); err != nil {
			t.Fatal(err)
		}
		if got := <-both[1].frames; got != "answer" {
			t.Errorf("%q came", got)
		}
		var e *kring.UpstreamError
		if err := both[1].ends(t); !errors.As(err, &e) || e.Reason != kring.ReasonListenerRemoved {
			t.Errorf("it ended with %v", err)
		}
		ups[0].Close(io.EOF)
		if err := both[0].ends(t); err != io.EOF {
			t.Errorf("the other ended with %v", err)
		}
		servertest.Shutdown(t, s)
	})
}
