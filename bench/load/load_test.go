package load

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// echo serves frames until the test ends; answer may change a frame before it
// goes back, or refuse it.
func echo(t testing.TB, answer func(frame []byte) bool) string {
	t.Helper()
	return echoCounted(t, answer, new(atomic.Int64))
}

// echoCounted counts the connections that it has made all it needs for.
func echoCounted(t testing.TB, answer func(frame []byte) bool, ready *atomic.Int64) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() { defer c.Close(); serveFrames(c, answer, ready) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

func serveFrames(c net.Conn, answer func([]byte) bool, ready *atomic.Int64) {
	frame := make([]byte, 4, 512)
	ready.Add(1)
	for {
		if _, err := io.ReadFull(c, frame[:4]); err != nil {
			return
		}
		n := 4 + int(binary.BigEndian.Uint32(frame))
		if n > cap(frame) {
			frame = append(make([]byte, 0, n), frame[:4]...)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(c, frame[4:]); err != nil {
			return
		}
		if answer != nil && !answer(frame) {
			return
		}
		if _, err := c.Write(frame); err != nil {
			return
		}
	}
}

func quick(addr string) Config {
	return Config{Address: addr, WarmUp: 20 * time.Millisecond, Duration: 100 * time.Millisecond, DrainTimeout: time.Minute}
}

// lasting is a window for a config (set) that lasts until over is called: however busy the
// machine is, that much happens inside it. Order: it is made before the server that ends
// it, because sockets of native threads order nothing for the race detector.
func lasting() (over func(), set func(*Config)) {
	cut := make(chan struct{})
	return sync.OnceFunc(func() { close(cut) }), func(c *Config) { c.Duration, c.Cut = time.Minute, cut }
}

// drivers runs a test on the native threads and on Go's net.
func drivers(t *testing.T, test func(t *testing.T, portable bool)) {
	t.Run("native", func(t *testing.T) { test(t, false) })
	t.Run("portable", func(t *testing.T) { test(t, true) })
}

func mustRun(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryRequestIsAnsweredAndCounted(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		for _, shape := range []struct{ payload, conns, depth, threads, idle int }{
			{-1, 1, 1, 1, 0}, {3, 2, 3, 1, 0}, {4, 1, 1, 1, 0}, {8, 3, 2, 2, 5}, {15, 1, 16, 1, 0},
			{16, 7, 5, 3, 0}, {128, 20, 16, 2, 0}, {70_000, 2, 3, 1, 0}, {3 << 20, 1, 2, 1, 0},
		} {
			var served atomic.Uint64
			c := quick(echo(t, func([]byte) bool { served.Add(1); return true }))
			c.Portable, c.PayloadBytes, c.Conns, c.Depth = portable, shape.payload, shape.conns, shape.depth
			c.Threads, c.IdleConns = shape.threads, shape.idle
			r := mustRun(t, c)
			if r.Errors.Count() != 0 || r.Total != served.Load() {
				t.Errorf("%+v: %d answers to %d served requests, errors %+v", shape, r.Total, served.Load(), r.Errors)
			}
			// On a machine that is busy with something else the window may be empty.
			if r.Total == 0 || r.Completed > r.Total || r.Latency.Count < int64(r.Completed) {
				t.Errorf("%+v: %d completed of %d, %d latencies", shape, r.Completed, r.Total, r.Latency.Count)
			}
			if most := int64(r.Completed) + int64(shape.conns*shape.depth); r.Latency.Count > most {
				t.Errorf("%+v: %d latencies for %d answers", shape, r.Latency.Count, r.Completed)
			}
		}
	})
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		var served atomic.Uint64
		c := quick(echo(t, func([]byte) bool { served.Add(1); return true }))
		c.Portable, c.Conns, c.Rate, c.Threads = portable, 10, 2000, 2
		c.Duration = 500 * time.Millisecond
		r := mustRun(t, c)
		if r.Errors.Count() != 0 || r.Total != served.Load() {
			t.Errorf("%d answers to %d served, errors %+v", r.Total, served.Load(), r.Errors)
		}
		// The window holds 1,000 intended instants, whatever the machine does.
		if n := r.Latency.Count; n < 998 || n > 1002 {
			t.Errorf("%d latencies in a window of 1000 requests", n)
		}
		if r.Service.Count != r.Latency.Count || r.SendDelay.Count != r.Latency.Count {
			t.Errorf("service %d, send delay %d, latency %d", r.Service.Count, r.SendDelay.Count, r.Latency.Count)
		}
	})
}

// A server that stops for 300 ms once hurts every request that was due in that
// time. The closed loop sends one request into the stall, and sees one. The bounds
// hold on any machine: what is late by itself makes the open loop's count larger, and
// the closed one has no room for more that take so long one after another.
func TestOpenLoopSeesTheStallThatTheClosedLoopOmits(t *testing.T) {
	const (
		stall, window = 300 * time.Millisecond, 800 * time.Millisecond
		late          = stall / 4
		rate          = 2000
	)
	drivers(t, func(t *testing.T, portable bool) {
		hurt := func(rate float64) int64 {
			var measured atomic.Bool
			var served atomic.Uint64
			c := quick(echo(t, func([]byte) bool {
				// What was sent before the window are fewer than that.
				if measured.Load() && served.Add(1) == 100 {
					<-time.After(stall)
				}
				return true
			}))
			c.Portable, c.Rate, c.Duration = portable, rate, window
			c.Boundary = func(begin bool) { measured.Store(begin) }
			r := mustRun(t, c)
			if r.Errors.Count() > 0 {
				t.Fatalf("errors: %+v", r.Errors)
			}
			return countAbove(t, r, late)
		}
		if n, least := hurt(rate), int64(rate*(stall-late).Seconds()); n < least*98/100 {
			t.Errorf("%d requests of the open loop were hurt, want at least %d", n, least)
		}
		if n, most := hurt(0), int64(window/late)+1; n > most {
			t.Errorf("%d requests of the closed loop were hurt, in a window with room for %d", n, most)
		}
	})
}

// countAbove is how many latencies are above d, read back from the encoded histogram.
func countAbove(t *testing.T, r *Result, d time.Duration) int64 {
	t.Helper()
	h, err := Histogram(r.HDR)
	if err != nil {
		t.Fatal(err)
	}
	var above int64
	for _, bar := range h.Distribution() {
		if bar.From > int64(d) {
			above += bar.Count
		}
	}
	return above
}

func TestWrongResponsesAreFound(t *testing.T) {
	wrong := map[string]func(frame []byte) bool{
		"size":       func(f []byte) bool { f[3]--; return true },
		"head tag":   func(f []byte) bool { f[11]++; return true },
		"tail tag":   func(f []byte) bool { f[len(f)-1]++; return true },
		"connection": func(f []byte) bool { f[7]++; return true },
		"content":    func(f []byte) bool { f[50] ^= 1; return true },
	}
	drivers(t, func(t *testing.T, portable bool) {
		for name, change := range wrong {
			var served atomic.Uint64
			over, lasts := lasting()
			c := quick(echo(t, func(f []byte) bool {
				if served.Add(1) == 10 {
					defer over()
					return change(f)
				}
				return true
			}))
			// The tenth may come after the warm-up, in which every byte is looked at.
			c.Portable, c.Conns, c.Verify = portable, 2, true
			lasts(&c)
			r := mustRun(t, c)
			if r.Errors.Mismatch != 1 || r.Valid() {
				t.Errorf("%s: errors %+v, valid %v", name, r.Errors, r.Valid())
			}
		}
	})
}

func TestLostConnectionsAreCounted(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		var served atomic.Uint64
		over, lasts := lasting()
		c := quick(echo(t, func([]byte) bool {
			if served.Add(1) != 20 {
				return true
			}
			defer over()
			return false
		}))
		c.Portable, c.Conns, c.Depth = portable, 3, 4
		lasts(&c)
		r := mustRun(t, c)
		if r.Errors.Closed != 1 || r.Errors.Unanswered == 0 || r.Valid() {
			t.Errorf("errors %+v, invalid %q", r.Errors, r.Invalid)
		}
	})
}

func TestMissingAnswersAreCounted(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		var served atomic.Uint64
		release := make(chan struct{})
		over, lasts := lasting()
		open := sync.OnceFunc(func() { close(release) })
		t.Cleanup(open)
		c := quick(echo(t, func([]byte) bool {
			if served.Add(1) == 20 {
				over()
				<-release
			}
			return true
		}))
		c.Portable, c.DrainTimeout = portable, 50*time.Millisecond
		lasts(&c)
		r := mustRun(t, c)
		open()
		if r.Errors.Unanswered != 1 || r.Valid() {
			t.Errorf("errors %+v", r.Errors)
		}
	})
}

func TestGeneratorBoundRunsAreInvalid(t *testing.T) {
	busy := newRecord(false)
	busy.wallEnd, busy.cpuEnd, busy.completed = 1000, 950, 1
	cfg := Config{Address: "127.0.0.1:1"}.withDefaults()
	r := result(&cfg, time.Now(), cfg.Duration, []*core{{mix: single(frameTemplate(8)), rec: busy, cfg: &cfg}})
	if r.Valid() || !r.Bound || !strings.Contains(r.Invalid[0], "generator was busy 95 %") {
		t.Errorf("busy generator: %q, bound %v", r.Invalid, r.Bound)
	}
	busy.cpuEnd = 800
	if r = result(&cfg, time.Now(), cfg.Duration, []*core{{mix: single(frameTemplate(8)), rec: busy, cfg: &cfg}}); !r.Valid() || r.Bound {
		t.Errorf("a generator that is busy 80 %%: %q", r.Invalid)
	}
}

func TestARateThatIsNotReachedIsInvalid(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		c := quick(echo(t, nil))
		c.Portable, c.Rate, c.DrainTimeout = portable, 10e6, time.Millisecond
		if r := mustRun(t, c); r.Valid() || r.Achieved >= AchievedMin {
			t.Errorf("10 M/s achieved %.3f, invalid %q", r.Achieved, r.Invalid)
		}
	})
}

// allocated is how many allocations the window of a run has, and how many requests.
func allocated(t *testing.T, portable bool, rate float64) (n, requests uint64) {
	t.Helper()
	var before, after runtime.MemStats
	var ready atomic.Int64
	c := quick(echoCounted(t, nil, &ready))
	c.Portable, c.Rate, c.Conns, c.Depth = portable, rate, 8, 4
	c.WarmUp, c.Duration = 100*time.Millisecond, 300*time.Millisecond
	c.Boundary = func(begin bool) {
		if begin {
			for deadline := time.Now().Add(time.Minute); ready.Load() < 8 && time.Now().Before(deadline); {
				runtime.Gosched() // the server may accept late
			}
			runtime.ReadMemStats(&before)
		} else {
			runtime.ReadMemStats(&after)
		}
	}
	r := mustRun(t, c)
	if r.Total == 0 {
		t.Errorf("rate %v: no answer", rate)
	}
	return after.Mallocs - before.Mallocs, r.Completed
}

func TestNothingIsAllocatedWhileMeasuring(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		for _, rate := range []float64{0, 20_000} {
			const most = 50
			var n, requests uint64
			for try := 0; try == 0 || n > most && try < 10; try++ { // the runtime allocates for itself at times, a thread above all
				n, requests = allocated(t, portable, rate)
			}
			if n > most {
				t.Errorf("rate %v: %d allocations for %d requests", rate, n, requests)
			}
		}
	})
}

func TestBoundariesSurroundTheWindow(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		var calls []bool
		c := quick(echo(t, nil))
		c.Portable, c.Threads, c.Conns = portable, 2, 4
		c.Boundary = func(begin bool) { calls = append(calls, begin) }
		mustRun(t, c)
		if len(calls) != 2 || !calls[0] || calls[1] {
			t.Errorf("boundaries: %v", calls)
		}
	})
}

func TestAnySplitOfARightResponseIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{PayloadBytes: rapid.IntRange(1, 64).Draw(t, "payload"), Depth: 8}.withDefaults()
		tm := frameTemplate(cfg.payload())
		x := newCore(&cfg, single(tm), new(window))
		c := x.newConn(rapid.IntRange(0, 1<<20).Draw(t, "id"))
		x.begin(1, 0)
		c.out = x.scratch(tm)
		b := append([]byte(nil), x.toSend(c)...)
		x.took(c, len(b))
		x.stopped = true
		flip := rapid.IntRange(-1, len(b)-1).Draw(t, "flip")
		if flip >= 0 {
			b[flip] ^= 0x10
		}
		right := true
		for at := 0; at < len(b) && right; {
			n := rapid.IntRange(1, len(b)-at).Draw(t, "piece")
			right = x.got(c, b[at:at+n], 2)
			at += n
		}
		if right != (flip < 0) {
			t.Fatalf("flipped byte %d: accepted %v", flip, right)
		}
		if right && (c.done != 8 || x.inFlight != 0 || x.got(c, []byte{0}, 3)) {
			t.Fatalf("done %d, in flight %d, or a byte too many was accepted", c.done, x.inFlight)
		}
	})
}

func TestAnySplitOfTheSendingGivesTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{PayloadBytes: rapid.IntRange(4, 40).Draw(t, "payload"), Depth: 20}.withDefaults()
		tm := frameTemplate(cfg.payload())
		x := newCore(&cfg, single(tm), new(window))
		c := x.newConn(3)
		x.begin(1, 0)
		c.out = x.scratch(tm)[:rapid.IntRange(1, 20).Draw(t, "scratch")*len(tm.frame)]
		var sent []byte
		for b := x.toSend(c); len(b) > 0; b = x.toSend(c) {
			n := rapid.IntRange(1, len(b)).Draw(t, "n")
			sent = append(sent, b[:n]...)
			x.took(c, n)
		}
		if len(sent) != 20*len(tm.frame) || !x.got(c, sent[:19*len(tm.frame)], 2) {
			t.Fatalf("%d bytes of 20 requests, or they are not as they must be", len(sent))
		}
	})
}

func TestEveryFaultOfAConfigIsReported(t *testing.T) {
	err := Config{Kind: "x", PayloadBytes: -5, Conns: -1, Depth: -1, Rate: -1, WarmUp: -1, Threads: -1,
		Sizes: "1*x", ChurnRate: -1, SlowConns: -1, Look: -1}.Validate()
	for _, field := range []string{"Address", "Kind", "PayloadBytes", "Conns", "Depth", "Rate", "Duration", "Sizes", "ChurnRate", "SlowConns", "Look"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("no word about %s in: %v", field, err)
		}
	}
	if err := (Config{Address: "h:1"}).Validate(); err != nil {
		t.Errorf("the zero value does not work: %v", err)
	}
}

func TestSizesAreDealtOutByTheirShares(t *testing.T) {
	shares, err := parseSizes("70*128, 29*4096,1*65536")
	if err != nil {
		t.Fatal(err)
	}
	m, count := mixOf(shares), map[int]int{}
	const conns = 10_000
	for id := range conns {
		count[len(m.of(id).frame)-4]++
	}
	for size, want := range map[int]int{128: 7000, 4096: 2900, 65536: 100} {
		if got := count[size]; got < want*95/100 || got > want*105/100 {
			t.Errorf("%d of %d connections send %d bytes, want about %d", got, conns, size, want)
		}
	}
	drivers(t, func(t *testing.T, portable bool) {
		var mu sync.Mutex
		seen := map[int]bool{}
		c := quick(echo(t, func(frame []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			seen[len(frame)-4] = true
			return true
		}))
		c.Portable, c.Conns, c.Sizes = portable, 12, "1*0,1*100,1*70000"
		if r := mustRun(t, c); r.Errors.Count() > 0 || r.Total == 0 {
			t.Errorf("%+v", r)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(seen) != 3 || !seen[0] || !seen[100] || !seen[70000] {
			t.Errorf("sizes sent: %v", seen)
		}
	})
}

func TestCompanyIsKeptBesideTheMeasuredConnectionsAndCounted(t *testing.T) {
	over, lasts := lasting()
	var slow atomic.Bool
	var untagged atomic.Int64
	c := quick(echo(t, func(frame []byte) bool {
		switch len(frame) {
		case 4 + 128: // one of the measured ones has the tag 0, all others of those that come and go
			if binary.BigEndian.Uint64(frame[4:]) == 0 {
				untagged.Add(1)
			}
		default:
			slow.Store(true)
		}
		if slow.Load() && untagged.Load() > 1 {
			over()
		}
		return true
	}))
	c.Conns, c.ChurnRate, c.SlowConns, c.SlowPayloadBytes = 2, 400, 3, 64<<10
	lasts(&c)
	r := mustRun(t, c)
	if k := r.Company; k.Churned == 0 || k.ChurnFailed != 0 || k.SlowBytes == 0 || k.SlowEnded != 0 {
		t.Errorf("%+v", *k)
	}
	if r.Errors.Count() > 0 || r.Completed > r.Total {
		t.Errorf("company is in the figures: %+v", r)
	}
	ended := quick(echo(t, func(frame []byte) bool { return len(frame) == 4+128 }))
	ended.SlowConns, ended.SlowPayloadBytes = 2, 1<<20
	for r := mustRun(t, ended); r.Company.SlowEnded != 2; r = mustRun(t, ended) {
		if ended.Duration *= 4; ended.Duration > time.Minute {
			t.Fatalf("%d connections that never read were ended by the server, want 2", r.Company.SlowEnded)
		}
	}
}
