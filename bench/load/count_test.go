package load

import (
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// TestBytesThatNobodyLooksAtAreCountedToTheLast: whatever pieces they come in, so
// many replies are done, and one byte that nobody asked for is seen.
func TestBytesThatNobodyLooksAtAreCountedToTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{PayloadBytes: rapid.IntRange(1, 64).Draw(t, "payload"), Depth: rapid.IntRange(1, 9).Draw(t, "depth")}.withDefaults()
		tm := frameTemplate(cfg.payload())
		x := newCore(&cfg, single(tm), new(window))
		c := x.newConn(1)
		x.begin(1, 0)
		c.out = x.scratch(tm)
		x.took(c, len(x.toSend(c)))
		x.stopped = true
		for came, all := 0, cfg.Depth*tm.replyBytes; came < all; {
			n := rapid.IntRange(1, all-came).Draw(t, "piece")
			if !x.skip(c, n, 2) {
				t.Fatalf("%d bytes after %d of %d were refused", n, came, all)
			}
			came += n
			if int(c.done) != came/tm.replyBytes || int(c.gotOff) != came%tm.replyBytes || x.inFlight != cfg.Depth-int(c.done) {
				t.Fatalf("%d replies of %d bytes, %d more and %d in flight after %d bytes", c.done, tm.replyBytes, c.gotOff, x.inFlight, came)
			}
		}
		if x.skip(c, 1, 3) {
			t.Fatal("a byte that nobody asked for was accepted")
		}
	})
}

// TestRepliesThatComeTogetherAreRecordedAsEachOfThem: in both loops, whatever they
// were due and sent at.
func TestRepliesThatComeTogetherAreRecordedAsEachOfThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Depth: rapid.IntRange(1, 4).Draw(t, "together"), Conns: 2}
		if rapid.Bool().Draw(t, "open") {
			cfg.Rate = 1e8
		}
		cfg = cfg.withDefaults()
		w := new(window)
		w.end.Store(1 << 40)
		w.start.Store(1)
		play := func(together bool) *record {
			x := newCore(&cfg, single(frameTemplate(8)), w)
			for i := range cfg.Conns {
				x.newConn(i)
			}
			x.begin(2, 0)
			// Each step is a batch of replies on one connection, at a time of its own.
			for step := range 20 {
				now := int64(10 + step*step*7)
				if cfg.IsOpen() {
					x.demandDue(now, func(*conn) {})
				}
				c := x.conns[step%len(x.conns)]
				c.sent = c.granted
				n := int(c.sent-c.done) * (1 + step%3) / 3
				if together {
					x.complete(c, n, now)
					continue
				}
				for range n {
					x.complete(c, 1, now)
				}
			}
			x.rec.flush()
			return x.rec
		}
		a, b := play(true), play(false)
		if a.total != b.total || a.completed != b.completed || !a.latency.Equals(b.latency) || a.late != b.late {
			t.Fatalf("together %d of %d replies, one by one %d of %d, or their latencies differ", a.completed, a.total, b.completed, b.total)
		}
		if cfg.IsOpen() && (!a.service.Equals(b.service) || !a.sendDelay.Equals(b.sendDelay)) {
			t.Fatal("their service times or send delays differ")
		}
	})
}

// TestTheWarmUpLooksAtEveryReceive and the window at one of several.
func TestTheWarmUpLooksAtEveryReceive(t *testing.T) {
	cfg := Config{}.withDefaults()
	x := newCore(&cfg, single(frameTemplate(8)), new(window))
	looked := func() (n int) {
		for range 10 * looksEvery {
			if x.looks() {
				n++
			}
		}
		return n
	}
	if n := looked(); n != 10*looksEvery {
		t.Errorf("%d of %d receives of the warm-up are looked at", n, 10*looksEvery)
	}
	x.all = false
	if n := looked(); n != 10 {
		t.Errorf("%d of %d receives of the window are looked at", n, 10*looksEvery)
	}
}

// TestAServerThatGoesWrongAfterTheWarmUpIsFound: by who looks at one receive of
// several, if it is wrong for good; by who verifies, if it is once.
func TestAServerThatGoesWrongAfterTheWarmUpIsFound(t *testing.T) {
	drivers(t, func(t *testing.T, portable bool) {
		for _, verify := range []bool{false, true} {
			var served atomic.Uint64
			var measured atomic.Bool
			over, lasts := lasting()
			// By then one receive is looked at, or one answer is wrong; the connections
			// that nothing was found on go on until then.
			enough := map[bool]uint64{false: looksEvery + 3 + 1, true: 50 + 1}[verify]
			if portable && !verify {
				enough = 1 // it looks at each
			}
			c := quick(echo(t, func(f []byte) bool {
				if !measured.Load() {
					return true
				}
				n := served.Add(1)
				if !verify || n%50 == 0 {
					f[50] ^= 1
				}
				if n == enough {
					over()
				}
				return true
			}))
			c.Portable, c.Verify, c.Conns = portable, verify, 3
			lasts(&c)
			c.Boundary = func(begin bool) { measured.Store(begin) }
			if r := mustRun(t, c); r.Errors.Mismatch == 0 || r.Valid() {
				t.Errorf("verify %v: errors %+v of %d", verify, r.Errors, r.Total)
			}
		}
	})
}
