package contract

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

const (
	pipelineDepthMax = 64
	pipelineClients  = 24
	// shuffled is how many requests at most wait to be overtaken.
	shuffled = 32
)

// Pipelines of 1 to 64 requests whose handlers finish in any order, from within
// Handle and from elsewhere: every response is that of the next request, none is
// lost and none comes twice. scripts/pipelines.sh has it do so ten million times.
//
// Kafka: SE-06.
func TestRandomPipelinesAreAnsweredOnceAndInOrder(t *testing.T) {
	requests, seed := numberOf(t, "KRING_PIPELINE_REQUESTS", 5000), numberOf(t, "KRING_PIPELINE_SEED", rand.Uint64())
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.PipelineMax = pipelineDepthMax
		h := newShuffler(seed)
		defer h.stop()
		s := servertest.Start(t, cfg, kring.HandlerFunc(h.handle))
		var all sync.WaitGroup
		var sent atomic.Uint64
		began := time.Now()
		for n := range pipelineClients {
			c := servertest.Dial(t, s)
			all.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(n)))
				if err := pipelineUntil(c.Conn, r, uint32(n), &sent, requests); err != nil {
					t.Errorf("seed %d, client %d: %v", seed, n, err)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		took := time.Since(began)
		servertest.Eventually(t, "as many responses as requests", func() bool {
			st := s.Stats().Total
			return st.Requests == sent.Load() && st.Responses == sent.Load()
		})
		if h.handled.Load() != sent.Load() || h.overtaken.Load() == 0 {
			t.Errorf("seed %d: %d requests were sent, %d handled, %d overtaken", seed, sent.Load(), h.handled.Load(), h.overtaken.Load())
		}
		t.Logf("seed %d: %d requests, %d of them overtaken by later ones; none out of order, lost or doubled (%.0f/s)",
			seed, sent.Load(), h.overtaken.Load(), float64(sent.Load())/took.Seconds())
	})
}

// numberOf is what the environment says, or otherwise.
func numberOf(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// pipelineUntil sends pipelines of random depth until all clients together have
// sent so many requests, reads the answers to each, and then wants nothing more.
func pipelineUntil(c net.Conn, r *rand.Rand, client uint32, sent *atomic.Uint64, most uint64) error {
	in := bufio.NewReader(c)
	var out []byte
	var got [256]byte
	for next := uint32(0); sent.Load() < most; {
		depth := uint32(1 + r.IntN(pipelineDepthMax))
		sent.Add(uint64(depth))
		out = out[:0]
		for i := range depth {
			out = appendPipelined(out, client, next+i)
		}
		_ = c.SetDeadline(time.Now().Add(servertest.Deadline))
		cut := r.IntN(len(out))
		for _, part := range [][]byte{out[:cut], out[cut:]} {
			if _, err := c.Write(part); err != nil {
				return err
			}
		}
		for want := out; len(want) > 0; next++ {
			n := 4 + int(binary.BigEndian.Uint32(want))
			for at := 0; at < n; {
				k, err := in.Read(got[at:n])
				if err != nil {
					return fmt.Errorf("response %d of a pipeline of %d: %w", next, depth, err)
				}
				at += k
			}
			if string(got[:n]) != string(want[:n]) {
				return fmt.Errorf("response %d of a pipeline of %d is %x, want %x", next, depth, got[:n], want[:n])
			}
			want = want[n:]
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if n, err := in.Read(got[:]); n > 0 || err == nil {
		return fmt.Errorf("%x came behind the last response", got[:n])
	}
	return nil
}

// appendPipelined appends request n of a client: both numbers, and some more.
func appendPipelined(b []byte, client, n uint32) []byte {
	size := 8 + (n*7+client)%120
	b = binary.BigEndian.AppendUint32(b, size)
	b = binary.BigEndian.AppendUint32(b, client)
	b = binary.BigEndian.AppendUint32(b, n)
	return append(b, make([]byte, size-8)...)
}

// shuffler answers requests in random order: each is put somewhere, and what lay
// there is answered instead. What nobody pushes out is answered after a while.
type shuffler struct {
	random             func() uint64
	waiting            [shuffled]atomic.Pointer[kring.Request]
	latest             [pipelineClients]atomic.Uint32 // answered, by client
	handled, overtaken atomic.Uint64
	ended              chan struct{}
	sweeping           sync.WaitGroup
}

func newShuffler(seed uint64) *shuffler {
	h := &shuffler{ended: make(chan struct{})}
	var drawn atomic.Uint64
	drawn.Store(seed)
	h.random = func() uint64 { // any goroutine: a splitmix
		x := drawn.Add(0x9e3779b97f4a7c15)
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		return x ^ x>>27
	}
	h.sweeping.Go(h.sweep)
	return h
}

func (h *shuffler) stop() {
	close(h.ended)
	h.sweeping.Wait()
}

func (h *shuffler) handle(r kring.Request) {
	h.handled.Add(1)
	draw := h.random()
	if draw%4 == 0 {
		h.answer(r)
	} else if other := h.waiting[draw>>8%shuffled].Swap(&r); other != nil {
		h.answer(*other)
	}
}

func (h *shuffler) answer(r kring.Request) {
	client, n := binary.BigEndian.Uint32(r.Payload()), binary.BigEndian.Uint32(r.Payload()[4:])
	if h.latest[client].Swap(n) > n {
		h.overtaken.Add(1)
	}
	if n%3 == 0 {
		r.Respond(append(r.Buffer(len(r.Payload()))[:0], r.Payload()...))
		return
	}
	r.Respond(r.Payload())
}

func (h *shuffler) sweep() {
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for {
		select {
		case <-h.ended:
			return
		case <-tick.C:
		}
		for i := range h.waiting {
			if r := h.waiting[i].Swap(nil); r != nil {
				h.answer(*r)
			}
		}
	}
}
