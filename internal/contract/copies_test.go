package contract

import (
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// answerFrom answers in the way that a request's first byte asks for.
var answerFrom = kring.HandlerFunc(func(r kring.Request) {
	switch r.Payload()[0] {
	case 'b': // from the response's own memory
		b := r.Buffer(len(r.Payload()))
		copy(b, r.Payload())
		r.Respond(b)
	case 'h': // from memory of the handler's
		r.Respond([]byte(string(r.Payload())))
	default:
		r.Respond(r.Payload())
	}
})

func payload(kind string, n int) string { return kind + strings.Repeat("x", n-1) }

// copies are the counts of one server, from answer to answer.
type copies struct {
	s                   *kring.Server
	direct, in, out, at uint64
	bytes               uint64 // received until now
}

// since gives what was added since the last call, once everything that was
// answered until now is counted: the server counts what it received before it
// answers, but shows it to others only at the end of its pass.
func (c *copies) since(t *testing.T, responses uint64) (direct, in, out uint64) {
	t.Helper()
	c.at += responses
	servertest.Eventually(t, "the counts", func() bool { return c.s.Stats().Total.Responses == c.at })
	st := c.s.Stats().Total
	direct, in, out = st.BytesDirect-c.direct, st.BytesInCopied-c.in, st.BytesOutCopied-c.out
	c.direct, c.in, c.out = st.BytesDirect, st.BytesInCopied, st.BytesOutCopied
	return direct, in, out
}

// TestABigFrameIsNeverCopied from BigFrameBytes on, and a connection changes
// its way of receiving with its traffic: the first frame of another kind may
// come the old way.
func TestABigFrameIsNeverCopied(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		// A client may have a response before the server hears that it is out. If
		// that is more than may be queued, the size of its next frame waits until
		// then, and is copied; here it shall not wait.
		cfg.Limits.QueuedResponseBytesMax = 8 << 20
		s := servertest.Start(t, cfg, servertest.Echo)
		c, count := servertest.Dial(t, s), copies{s: s}
		for range 2 {
			c.Ask(payload("s", 100), payload("s", 100))
			if direct, _, _ := count.since(t, 1); direct > 100 {
				t.Errorf("a small frame after big ones: %d bytes came straight into its memory", direct)
			}
			for range 3 {
				c.Ask(payload("s", 100), payload("s", 100))
			}
			if direct, _, _ := count.since(t, 3); direct != 0 {
				t.Errorf("small frames: %d bytes came straight into their memory", direct)
			}
			for _, n := range []int{64 << 10, 64 << 10, 70_001, 1 << 20, 64 << 10} {
				c.Ask(payload("s", n), payload("s", n))
				direct, in, out := count.since(t, 1)
				if out != 0 {
					t.Errorf("%d bytes: %d were copied on their way out", n, out)
				}
				if n == 64<<10 && direct == 0 {
					continue // the first: it was here before anybody knew its size
				}
				if int(direct+in) < n {
					t.Errorf("%d bytes: %d came straight into their memory, and %d were copied", n, direct, in)
				}
			}
			for _, n := range []int{64 << 10, 3 << 20, 100_000} {
				c.Ask(payload("s", n), payload("s", n))
				if direct, in, out := count.since(t, 1); int(direct) < n || in != 0 || out != 0 {
					t.Errorf("%d bytes in a stream of big frames: %d came straight, %d were copied in, %d out", n, direct, in, out)
				}
			}
		}
	})
}

// TestAResponseLeavesFromWhereTheHandlerWroteIt: of any size when nothing is
// packed, and from the usual bound on in any case; what lies in memory of the
// handler's own is copied once.
func TestAResponseLeavesFromWhereTheHandlerWroteIt(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		sizes := []int{1, 100, 4092, 4093, 20_000, 64 << 10, 1 << 20}
		for _, packed := range []int{1, 4 << 10} {
			cfg.Processors.PackedBytesMax = packed
			s := servertest.Start(t, cfg, answerFrom)
			c, count := servertest.Dial(t, s), copies{s: s}
			for _, n := range sizes {
				for _, kind := range []string{"b", "f", "h"} {
					c.Ask(payload(kind, n), payload(kind, n))
					want := uint64(0)
					if n+4 <= packed {
						want = uint64(n + 4)
					}
					if kind == "h" {
						want += uint64(n)
					}
					if _, _, out := count.since(t, 1); out != want {
						t.Errorf("packing up to %d, %d bytes from %s: %d were copied on their way out, want %d", packed, n, kind, out, want)
					}
				}
			}
			servertest.Shutdown(t, s)
		}
	})
}

// TestPackedAndUnpackedResponsesKeepTheirOrder: sizes on both sides of the
// bound, many on their way at once.
func TestPackedAndUnpackedResponsesKeepTheirOrder(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.PackedBytesMax, cfg.Limits.PipelineMax = 64, 16
		s := servertest.Start(t, cfg, answerFrom)
		c := servertest.Dial(t, s)
		var all []string
		for i := range 200 {
			all = append(all, payload([]string{"b", "f", "h"}[i%3], 1+i*37%300))
		}
		go func() {
			for _, p := range all {
				_, _ = c.Write(servertest.Frame([]byte(p)))
			}
		}()
		for i, want := range all {
			if got := c.Receive(); got != want {
				t.Fatalf("answer %d is %q, want %q", i, got, want)
			}
		}
	})
}

// TestAStreamOfLargeFramesIsNotCopiedOnIOURing: of frames that are larger than a receive
// buffer and fit into a large one. They come whole, or in pieces.
func TestAStreamOfLargeFramesIsNotCopiedOnIOURing(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.QueuedResponseBytesMax = 8 << 20
		s := servertest.Start(t, cfg, servertest.Echo)
		c, count := servertest.Dial(t, s), copies{s: s}
		ask := func(n int, pieces ...int) {
			want, at := payload("s", n), 0
			all := servertest.Frame([]byte(want))
			pieces = append(pieces, len(all))
			for _, piece := range pieces {
				_, _ = c.Write(all[at:piece])
				if at = piece; piece == pieces[0] && at < len(all) && s.Engine() == "io_uring" {
					servertest.Eventually(t, "the first piece", func() bool { return s.Stats().Total.BytesIn == count.bytes+uint64(piece) })
				}
			}
			if got := c.Receive(); got != want {
				t.Fatalf("the answer to %d bytes is another one, of %d", n, len(got))
			}
			count.bytes += uint64(len(all))
		}
		for range 2 {
			for range 10 { // until they are known
				ask(40_000)
			}
			count.since(t, 10)
			for _, n := range []int{40_000, 30_000, 60_000, 25_000} {
				ask(n)
				ask(n, 6, n/2)
			}
			if direct, in, out := count.since(t, 8); s.Engine() == "io_uring" && (in != 0 || out != 0 || direct < 2*155_000) {
				t.Errorf("%d bytes came straight, %d were copied in, %d out", direct, in, out)
			}
			ask(30_000, 2)
			count.since(t, 1)
			for range 12 {
				ask(100)
			}
			count.since(t, 12)
		}
	})
}
