package kring_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kring"
)

const deadline = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engines of this system; each must work, none may be skipped.
var engines = []string{kring.EngineURing, kring.EngineEpoll, kring.EnginePortable}

var echo = kring.HandlerFunc(func(r *kring.Request) { r.Respond(r.Payload) })

func local(engine, dispatch string) kring.Config {
	return kring.Config{
		Engine: engine, Dispatch: dispatch, Processors: 2, Handlers: 3,
		Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}},
	}
}

func start(t *testing.T, cfg kring.Config, h kring.Handler) *kring.Server {
	t.Helper()
	s, err := kring.New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func shutdown(t *testing.T, s *kring.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Open != 0 || st.RequestBytes != 0 || st.MemoryMapped != 0 {
		t.Errorf("left behind: %d connections, %d request bytes, %d bytes mapped", st.Open, st.RequestBytes, st.MemoryMapped)
	}
}

func dial(t *testing.T, s *kring.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return c
}

func frameOf(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func readFrame(c net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	payload := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, payload)
	return payload, err
}

// onEach runs a property on every engine and dispatch.
func onEach(t *testing.T, property func(t *testing.T, cfg kring.Config)) {
	for _, engine := range engines {
		for _, dispatch := range []string{kring.DispatchPool, kring.DispatchInline} {
			t.Run(engine+"/"+dispatch, func(t *testing.T) { property(t, local(engine, dispatch)) })
		}
	}
}

func TestEveryClientGetsItsOwnFramesBackInOrder(t *testing.T) {
	onEach(t, func(t *testing.T, cfg kring.Config) { serveConversations(t, cfg, 24) })
}

// serveConversations serves so many clients that pipeline small frames and big
// ones.
func serveConversations(t *testing.T, cfg kring.Config, n int) {
	t.Helper()
	s := start(t, cfg, echo)
	var clients sync.WaitGroup
	for k := range n {
		c := dial(t, s)
		clients.Go(func() {
			defer c.Close()
			if err := converse(c, uint64(k)); err != nil {
				t.Errorf("client %d: %v", k, err)
			}
		})
	}
	clients.Wait()
	shutdown(t, s)
}

// converse pipelines frames from nothing to 300 KiB and wants each back.
func converse(c net.Conn, seed uint64) error {
	const frames = 60
	draw := func() func() []byte {
		r := rand.New(rand.NewPCG(seed, 1))
		return func() []byte {
			size := r.IntN(300)
			if r.IntN(12) == 0 {
				size = r.IntN(300 << 10)
			}
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return b
		}
	}
	go func() {
		for next, i := draw(), 0; i < frames; i++ {
			if _, err := c.Write(frameOf(next())); err != nil {
				return // the reader meets it too
			}
		}
	}()
	for next, i := draw(), 0; i < frames; i++ {
		got, err := readFrame(c)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, next()) {
			return errors.New("a response differs")
		}
	}
	return nil
}

func TestConnectionsBeyondTheBoundAreClosedAndTheNextFindsTheFreedPlace(t *testing.T) {
	onEach(t, func(t *testing.T, cfg kring.Config) {
		cfg.ConnsMax = 2
		s := start(t, cfg, echo)
		first, second := dial(t, s), dial(t, s)
		for _, c := range []net.Conn{first, second} {
			if _, err := c.Write(frameOf([]byte("in"))); err != nil {
				t.Fatal(err)
			}
			if _, err := readFrame(c); err != nil {
				t.Fatal(err)
			}
		}
		third := dial(t, s)
		if _, err := third.Read(make([]byte, 1)); err == nil {
			t.Fatal("the third connection was answered")
		}
		_ = first.Close()
		for end := time.Now().Add(deadline); s.Stats().Open > 1; {
			if time.Now().After(end) {
				t.Fatal("the place was not freed")
			}
		}
		fourth := dial(t, s)
		if _, err := fourth.Write(frameOf([]byte("in"))); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrame(fourth); err != nil {
			t.Fatalf("the freed place: %v", err)
		}
		for _, c := range []net.Conn{second, third, fourth} {
			_ = c.Close()
		}
		shutdown(t, s)
		if st := s.Stats(); st.Refused != 1 || st.Accepted != 4 {
			t.Errorf("%d accepted, %d refused", st.Accepted, st.Refused)
		}
	})
}

func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	onEach(t, func(t *testing.T, cfg kring.Config) {
		held := make(chan *kring.Request, 1)
		s := start(t, cfg, kring.HandlerFunc(func(r *kring.Request) { held <- r }))
		c := dial(t, s)
		defer c.Close()
		if _, err := c.Write(frameOf([]byte("slow"))); err != nil {
			t.Fatal(err)
		}
		r := <-held
		ended := make(chan struct{})
		go func() { defer close(ended); shutdown(t, s) }()
		for refused := false; !refused; { // until the server accepts no more
			probe, err := net.Dial("tcp", c.RemoteAddr().String())
			if refused = err != nil; !refused {
				_ = probe.Close()
			}
		}
		r.Respond([]byte("done"))
		if got, err := readFrame(c); err != nil || string(got) != "done" {
			t.Fatalf("response %q, %v", got, err)
		}
		<-ended
	})
}

func TestShutdownCutsWhatTheDeadlineLeavesAndSaysSo(t *testing.T) {
	onEach(t, func(t *testing.T, cfg kring.Config) {
		held := make(chan *kring.Request, 1)
		s := start(t, cfg, kring.HandlerFunc(func(r *kring.Request) { held <- r }))
		c := dial(t, s)
		defer c.Close()
		if _, err := c.Write(frameOf([]byte("slow"))); err != nil {
			t.Fatal(err)
		}
		r := <-held
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = c.Read(make([]byte, 1)) // until it is cut
			r.NoResponse()
		}()
		if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
		<-answered
		if st := s.Stats(); st.Total.Dropped != 1 {
			t.Errorf("%d requests dropped", st.Total.Dropped)
		}
	})
}

func TestAHandlerThatNeverAnswersDoesNotHoldUpShutdown(t *testing.T) {
	held := make(chan *kring.Request, 1)
	s := start(t, local(kring.EngineAuto, kring.DispatchPool), kring.HandlerFunc(func(r *kring.Request) { held <- r }))
	c := dial(t, s)
	defer c.Close()
	if _, err := c.Write(frameOf([]byte("never"))); err != nil {
		t.Fatal(err)
	}
	<-held
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "has not answered") {
		t.Fatalf("error %v", err)
	}
}

func TestAnAddressInUseIsSaidAndLeavesNothing(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			first := start(t, local(engine, kring.DispatchPool), echo)
			cfg := local(engine, kring.DispatchPool)
			cfg.Listeners[0].Address = first.Addrs()[0].String()
			second, err := kring.New(cfg, echo)
			if err != nil {
				t.Fatal(err)
			}
			if err := second.Start(); err == nil || !strings.Contains(err.Error(), cfg.Listeners[0].Address) {
				t.Errorf("error %v", err)
			}
			shutdown(t, first)
		})
	}
}

func TestEveryFaultOfAConfigIsNamedAtOnce(t *testing.T) {
	_, err := kring.New(kring.Config{
		Engine: "kqueue", Dispatch: "both", Wait: "spin", Processors: -1, Handlers: -2, PipelineMax: -3,
		FrameBytesMax: -4, ConnsMax: -5, Listeners: []kring.ListenerConfig{{Name: "A"}, {Name: "A", Address: ":0"}},
	}, echo)
	for _, field := range []string{"Engine", "Dispatch", "Wait", "Processors", "Handlers", "PipelineMax",
		"FrameBytesMax", "ConnsMax", "Listeners[A].Address", "Listeners.Name"} {
		if err == nil || !strings.Contains(err.Error(), field+" is ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	if _, err := kring.New(kring.Config{}, nil); err == nil {
		t.Error("a nil Handler was taken")
	}
}

// watcher notes the connections it was told of.
type watcher struct {
	mu     sync.Mutex
	opened map[string]bool              // guarded by mu
	closed map[string]kring.CloseReason // guarded by mu
}

func (w *watcher) Handle(r *kring.Request) { r.Respond([]byte(r.Conn.ID.String())) }

func (w *watcher) ConnOpened(c *kring.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened[c.ID.String()] = c.Remote.IsValid() && c.Local.IsValid() && c.Listener == "PLAINTEXT"
}

func (w *watcher) ConnClosed(c *kring.Conn, why kring.CloseReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed[c.ID.String()] = why
}

func TestAWatcherSeesEachConnectionOpenBeforeItsFirstRequestAndClose(t *testing.T) {
	onEach(t, func(t *testing.T, cfg kring.Config) {
		w := &watcher{opened: map[string]bool{}, closed: map[string]kring.CloseReason{}}
		s := start(t, cfg, w)
		ids := map[string]bool{}
		for range 10 {
			c := dial(t, s)
			if _, err := c.Write(frameOf([]byte("who am I"))); err != nil {
				t.Fatal(err)
			}
			id, err := readFrame(c)
			if err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			if ids[string(id)] || !w.opened[string(id)] {
				t.Errorf("connection %s: seen before %v, opened %v", id, ids[string(id)], w.opened[string(id)])
			}
			w.mu.Unlock()
			ids[string(id)] = true
			_ = c.Close()
		}
		shutdown(t, s)
		if len(w.closed) != len(ids) {
			t.Errorf("%d connections closed of %d", len(w.closed), len(ids))
		}
	})
}
