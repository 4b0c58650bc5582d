package frame_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"kring/internal/frame"
	"kring/internal/invariants"
	"kring/internal/slab"
)

const payloadMax = 1 << 20

// receiver plays the processor: it cuts frames and keeps copies of its own.
type receiver struct {
	stream frame.Stream
	memory slab.Pool
	frames [][]byte
	status frame.Status
	lent   []byte
}

// feed lends a copy of b that is overwritten after Settle.
func (r *receiver) feed(b []byte, mayCut func() bool) {
	r.lent = append(r.lent[:0], b...)
	r.stream.Feed(r.lent, &r.memory)
	r.cut(mayCut)
	r.stream.Settle(&r.memory)
	for i := range r.lent {
		r.lent[i] = 0xee
	}
}

func (r *receiver) cut(mayCut func() bool) {
	for mayCut() {
		f, place, status := r.stream.Next(payloadMax)
		r.status = status
		switch status {
		case frame.Whole:
			r.frames = append(r.frames, bytes.Clone(f))
			if place == frame.InOwn {
				r.memory.Put(f)
			}
		case frame.NeedMemory:
			r.stream.Begin(r.memory.Get(frame.SizeBytes + r.stream.Size()))
		default:
			return
		}
	}
}

func (r *receiver) close() {
	if own := r.stream.Abandon(&r.memory); own != nil {
		r.memory.Put(own)
	}
}

func always() bool { return true }

func frameOf(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

// Kafka: NetworkReceiveTest.
func TestAnySplitOfTheStreamGivesTheSameFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent [][]byte
		var stream []byte
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 9000), 1, 12).Draw(t, "sizes") {
			f := frameOf(bytes.Repeat([]byte{byte(n)}, n))
			sent, stream = append(sent, f), append(stream, f...)
		}
		r := &receiver{}
		budget := 0
		mayCut := func() bool { budget--; return budget >= 0 }
		for len(stream) > 0 {
			n := rapid.IntRange(1, min(len(stream), 5000)).Draw(t, "split")
			budget = rapid.IntRange(0, 6).Draw(t, "budget")
			if rest := r.stream.Rest(); rest != nil && rapid.Bool().Draw(t, "in place") {
				n = min(n, len(rest))
				r.stream.AddFilled(copy(rest, stream[:n]))
				r.cut(mayCut)
				r.stream.Settle(&r.memory)
			} else {
				r.feed(stream[:n], mayCut)
			}
			stream = stream[n:]
		}
		r.cut(always)
		r.stream.Settle(&r.memory)
		if len(r.frames) != len(sent) {
			t.Fatalf("%d frames out of %d", len(r.frames), len(sent))
		}
		for i := range sent {
			if !bytes.Equal(sent[i], r.frames[i]) {
				t.Fatalf("frame %d differs", i)
			}
		}
		if !r.stream.Empty() {
			t.Fatal("bytes are left after the last frame")
		}
		r.close()
		if r.memory.Lent() != 0 {
			t.Fatalf("%d pieces of memory did not come back", r.memory.Lent())
		}
	})
}

func TestUnreadGivesTheSameFrameAgain(t *testing.T) {
	r := &receiver{}
	defer r.close()
	both := append(frameOf([]byte("first")), frameOf([]byte("second"))...)
	again := func() {
		t.Helper()
		f, place, status := r.stream.Next(payloadMax)
		want := bytes.Clone(f)
		r.stream.Unread(f, place)
		g, _, _ := r.stream.Next(payloadMax)
		if status != frame.Whole || !bytes.Equal(g, want) {
			t.Fatalf("%q after Unread of %q (status %d)", g, want, status)
		}
	}
	r.stream.Feed(both, &r.memory)
	again() // in lent memory
	r.stream.Settle(&r.memory)
	again() // in held memory
	r.stream.Settle(&r.memory)
	r.feed(frameOf([]byte("third"))[:6], always)
	r.stream.Feed([]byte("ird"), &r.memory)
	again() // in memory of its own
	r.stream.Settle(&r.memory)
}

func TestSizesOutOfBoundsEndTheStreamBeforeMemoryIsTaken(t *testing.T) {
	for name, c := range map[string]struct {
		size uint32
		want frame.Status
	}{
		"two GiB less one": {1<<31 - 1, frame.TooBig},
		"one too many":     {payloadMax + 1, frame.TooBig},
		"minus one":        {0xffffffff, frame.Negative},
		"most negative":    {1 << 31, frame.Negative},
		"the largest":      {payloadMax, frame.NeedMemory},
	} {
		var s frame.Stream
		var memory slab.Pool
		s.Feed(binary.BigEndian.AppendUint32(nil, c.size), &memory)
		if _, _, got := s.Next(payloadMax); got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
		if memory.Lent() != 0 {
			t.Errorf("%s: memory was taken", name)
		}
	}
}

func TestAnIdleStreamHoldsNoMemory(t *testing.T) {
	r := &receiver{}
	r.feed(append(frameOf([]byte("whole")), 0, 0), always)
	if r.stream.Held() != 2 || r.memory.Lent() != 0 {
		t.Fatalf("half a size: %d bytes held, in %d pieces", r.stream.Held(), r.memory.Lent())
	}
	r.feed([]byte{0, 1, 'x'}, always)
	if len(r.frames) != 2 || r.memory.Lent() != 0 {
		t.Fatalf("%d frames, %d pieces held", len(r.frames), r.memory.Lent())
	}
}

// FuzzStream splits its input by its own bytes, and compares with cutting it at once.
func FuzzStream(f *testing.F) {
	f.Add(frameOf([]byte("hello")), uint64(1))
	f.Add(append(frameOf(nil), frameOf(bytes.Repeat([]byte("x"), 300))...), uint64(7))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint64(3))
	f.Add([]byte{0, 0, 0, 9, 1, 2}, uint64(5))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		whole, split := &receiver{}, &receiver{}
		whole.feed(stream, always)
		random := rand.New(rand.NewPCG(seed, 0))
		for rest := stream; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			split.feed(rest[:n], always)
			if split.status == frame.TooBig || split.status == frame.Negative {
				break
			}
			rest = rest[n:]
		}
		if len(whole.frames) != len(split.frames) {
			t.Fatalf("%d frames whole, %d split", len(whole.frames), len(split.frames))
		}
		for i := range whole.frames {
			if !bytes.Equal(whole.frames[i], split.frames[i]) {
				t.Fatalf("frame %d differs", i)
			}
		}
		whole.close()
		split.close()
		if whole.memory.Lent()+split.memory.Lent() != 0 {
			t.Fatal("memory did not come back")
		}
		whole.memory.Close() // or a million inputs map more than a machine has
		split.memory.Close()
	})
}

// BenchmarkCut measures framing, with so many frames for each Feed: small ones in place,
// and frames in two pieces that get memory of their own. One operation is one frame.
func BenchmarkCut(b *testing.B) {
	for _, c := range []struct {
		name         string
		size, frames int
		piece        int // bytes of a Feed, 0: all
	}{{"16x128B in place", 128, 16, 0}, {"1x128B in place", 128, 1, 0}, {"128B in halves", 128, 1, 66}, {"16KiB in halves", 16 << 10, 1, 8 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			x := newCutter(bytes.Repeat(frameOf(make([]byte, c.size)), c.frames), c.piece)
			b.ReportAllocs()
			for i := 0; i < b.N; i += c.frames {
				if n := x.round(); n != c.frames {
					b.Fatalf("%d frames of %d", n, c.frames)
				}
			}
			x.memory.Close()
		})
	}
}

// cutter cuts the same bytes again and again, as a connection does.
type cutter struct {
	stream frame.Stream
	memory slab.Pool
	bytes  []byte
	piece  int
}

func newCutter(b []byte, piece int) *cutter {
	if piece == 0 {
		piece = len(b)
	}
	return &cutter{bytes: b, piece: piece}
}

func (x *cutter) round() (frames int) {
	for rest := x.bytes; len(rest) > 0; rest = rest[min(x.piece, len(rest)):] {
		x.stream.Feed(rest[:min(x.piece, len(rest))], &x.memory)
		for cutting := true; cutting; {
			f, place, status := x.stream.Next(payloadMax)
			switch status {
			case frame.Whole:
				if place == frame.InOwn {
					x.memory.Put(f)
				}
				frames++
			case frame.NeedMemory:
				x.stream.Begin(x.memory.Get(frame.SizeBytes + x.stream.Size()))
			default:
				cutting = false
			}
		}
		x.stream.Settle(&x.memory)
	}
	return frames
}

func TestCuttingAllocatesNothing(t *testing.T) {
	for _, piece := range []int{0, 66, 3} {
		x := newCutter(bytes.Repeat(frameOf(make([]byte, 128)), 4), piece)
		x.round()
		if n := testing.AllocsPerRun(1000, func() { x.round() }); n > 0 && !invariants.Enabled {
			t.Errorf("in pieces of %d: %v allocations", piece, n)
		}
		x.memory.Close()
	}
}
