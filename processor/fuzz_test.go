package processor_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// FuzzStage has the input drive processors on the fault engine, and holds what
// they do against what clients and handlers know; see play.
//
// script is what happens, in order: a setup, and then connects, chunks of frames
// that arrive, reads, ends of every kind, handlers' answers in any order,
// throttles, moves, reconfigurations, evictions, passes of the clock, and how far
// which processor gets in between. dice is what the engine makes of it: each
// byte decides about one fault, and the higher it is the better things go.
func FuzzStage(f *testing.F) {
	f.Fuzz(func(t *testing.T, script, dice []byte) {
		if len(script) <= scriptBytesMax && len(dice) <= scriptBytesMax {
			play(t, script, dice)
		}
	})
}

// scriptBytesMax keeps inputs quick: longer ones tell nothing new.
const scriptBytesMax = 4 << 10

// Kafka: F-47, SE-33.
func TestRandomScriptsLoseNothingDoubleNothingAndComeToRest(t *testing.T) {
	scripts := 200
	if testing.Short() {
		scripts = 40
	}
	for seed := range uint64(scripts) {
		r := rand.New(rand.NewPCG(seed, 0x5c21))
		script, dice := make([]byte, 64+r.IntN(400)), make([]byte, r.IntN(200))
		fill(r, script)
		fill(r, dice)
		if play(t, script, dice); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestAScriptPlaysTheSameTwice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0x5c21))
	for range 20 {
		script, dice := make([]byte, 300), make([]byte, 100)
		fill(r, script)
		fill(r, dice)
		if first, second := play(t, script, dice), play(t, script, dice); first != second {
			t.Fatalf("script %x, dice %x: the engine went %x and then %x", script, dice, first, second)
		}
	}
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// play plays one script in a bubble, whose clock stands unless the script moves
// it, and gives the engine's digest of all it did.
func play(t *testing.T, script, dice []byte) (fingerprint uint64) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &scriptBytes{left: script}, &diceBytes{bytes: dice})
		defer p.leave()
		p.perform()
		p.end()
		fingerprint = p.network.Fingerprint()
	})
	return fingerprint
}

// scriptBytes reads a script; past its end everything is 0.
type scriptBytes struct{ left []byte }

func (s *scriptBytes) over() bool { return len(s.left) == 0 }

func (s *scriptBytes) next() byte {
	if s.over() {
		return 0
	}
	b := s.left[0]
	s.left = s.left[1:]
	return b
}

// upTo is from 0 to n-1.
func (s *scriptBytes) upTo(n int) int { return int(s.next()) % n }

// pick is one of several.
func pick[T any](s *scriptBytes, of ...T) T { return of[s.upTo(len(of))] }

// diceBytes is a rand.Source of bytes, again and again from the start. Once calm
// it draws no fault any more.
type diceBytes struct {
	bytes []byte
	drawn uint64
	calm  bool
}

// Uint64 has the byte on top of both its halves, where chances and small numbers
// are looked for; the rest only differs from draw to draw.
func (d *diceBytes) Uint64() uint64 {
	b := uint64(0xff)
	if n := uint64(len(d.bytes)); n > 0 && !d.calm {
		b = uint64(d.bytes[d.drawn%n])
	}
	d.drawn++
	const tops = 0xff<<56 | 0xff<<45
	return d.drawn*0x9e3779b97f4a7c15&^tops | b<<56 | b<<45
}
