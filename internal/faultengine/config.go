package faultengine

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// Config sets how a Network misbehaves. The zero value is a correct engine with small
// buffers. Chances are probabilities from 0 to 1.
type Config struct {
	// Seed determines every fault; 0 draws a new one. Seed() and every breach name it.
	Seed uint64
	// Dice, if set, replaces the seed: bytes that a fuzzer chose. The Network calls it
	// under its lock. It must not return the same number for ever: some draws are
	// repeated until they fit.
	Dice rand.Source

	// Buffers (default 64) of BufferBytes (default 4096) each are what an engine
	// can lend.
	Buffers     int
	BufferBytes int
	// LargeBuffers (default 3) of four times as much are for RecvLarge.
	LargeBuffers int
	// ReceiveWindowBytes (default 64 KiB) is how much a peer may write before the
	// owner receives it, SendWindowBytes (default 64 KiB) how much the owner may send
	// before the peer reads it. Socket options override both.
	ReceiveWindowBytes int
	SendWindowBytes    int

	// ShortRecv is the chance that a receive takes less than it could (often one
	// byte); ShortSend that a send completes before all of it was taken.
	ShortRecv float64
	ShortSend float64
	// Late is the chance that a completion waits 1 to LateMax (default 8) steps;
	// those of one operation stay in order. It delays OpClose too, while the
	// descriptor's number is already in use again.
	Late    float64
	LateMax int
	// LateCancel is the chance that a Cancel takes effect only 1 to LateMax steps
	// later, so that data comes after it or the operation ends by itself.
	LateCancel float64
	// Reorder is the chance, per Poll, that completions of different operations
	// come in any order.
	Reorder float64
	// EndEarly is the chance that a standing operation ends (More == false) with
	// a completion that is otherwise good.
	EndEarly float64
	// Exhaust is the chance that a receive during which a buffer was recycled ends with
	// -ENOBUFS although buffers are free: it lost the race against that Recycle, and no
	// other Recycle need follow.
	Exhaust float64
	// SpuriousPoll is the chance that Poll returns without a reason; ShortPoll
	// that it returns fewer completions than are ready and fit.
	SpuriousPoll float64
	ShortPoll    float64
	// StallSend is the chance, per step, that a send makes no progress for 1 to LateMax
	// steps, as if the peer had stopped reading.
	StallSend float64

	// WithholdDelayedSends withholds the completions of sends after AllowDelayedSends, if all bytes were
	// taken, until something else completes. So an owner that waits for them hangs.
	WithholdDelayedSends bool

	// FailRecv and FailSend are the chances that an operation finds its
	// connection broken (ECONNRESET, ETIMEDOUT, EPIPE, …).
	FailRecv float64
	FailSend float64
	// FailAccept is the chance that an Accept ends with EMFILE, ENFILE, ENOBUFS
	// or ECONNABORTED instead of delivering a connection.
	FailAccept float64
	// FailConnect is the chance that a Connect fails that would not have.
	FailConnect float64
	// FailClose is the chance that OpClose carries an error; the descriptor is
	// closed all the same, as after close(2).
	FailClose float64
	// HoldMemory makes Close fail with engine.ErrMemoryHeld while operations on memory
	// are outstanding. The engine then keeps that memory, and Check reports whether
	// anything else wrote to it.
	HoldMemory bool
	// FailAfterPolls kills every engine at its n-th Poll; 0 never does.
	FailAfterPolls int

	// Report is called for each breach of the contract by an owner, on the owner's
	// goroutine. It must not call the Network. Without Report, a breach panics.
	Report func(breach error)
}

// Gentle draws a mixture of faults that break no connection: every byte still arrives.
// Each seed switches some faults off altogether, because a fault that always happens can
// hide others.
func Gentle(seed uint64) Config {
	r := rand.New(rand.NewPCG(seed, 0x6e71))
	draw := func(most float64) float64 {
		if r.IntN(3) == 0 {
			return 0
		}
		return most * r.Float64()
	}
	return Config{
		Seed: seed, Buffers: 4 << r.IntN(5), BufferBytes: 256 << r.IntN(6),
		ReceiveWindowBytes: 4096 << r.IntN(5), SendWindowBytes: 4096 << r.IntN(5),
		ShortRecv: draw(0.4), ShortSend: draw(0.4), Late: draw(0.5), LateMax: 1 + r.IntN(16),
		LateCancel: draw(0.8), Reorder: draw(1), EndEarly: draw(0.3), Exhaust: draw(0.1),
		SpuriousPoll: draw(0.2), ShortPoll: draw(0.5), StallSend: draw(0.3), WithholdDelayedSends: r.IntN(3) == 0,
	}
}

// Rough is Gentle with failures: connections break, accepts and closes fail.
func Rough(seed uint64) Config {
	c := Gentle(seed)
	r := rand.New(rand.NewPCG(seed, 0x4057))
	c.FailRecv, c.FailSend = 0.02*r.Float64(), 0.02*r.Float64()
	c.FailAccept, c.FailClose = 0.3*r.Float64(), 0.5*r.Float64()
	c.FailConnect = 0.3 * r.Float64()
	return c
}

// rng draws the faults of one engine or connection.
func (c *Config) rng(stream uint64) *rand.Rand {
	if c.Dice != nil {
		return rand.New(c.Dice)
	}
	return rand.New(rand.NewPCG(c.Seed, stream))
}

func (c Config) withDefaults() Config {
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	orDefault(&c.Buffers, 64)
	orDefault(&c.BufferBytes, 4096)
	orDefault(&c.LargeBuffers, 3)
	orDefault(&c.ReceiveWindowBytes, 64<<10)
	orDefault(&c.SendWindowBytes, 64<<10)
	orDefault(&c.LateMax, 8)
	return c
}

func orDefault(v *int, d int) {
	if *v == 0 {
		*v = d
	}
}

// Validate reports every fault of the Config at once.
func (c Config) Validate() error {
	var errs []error
	for name, p := range map[string]float64{
		"ShortRecv": c.ShortRecv, "ShortSend": c.ShortSend, "Late": c.Late, "LateCancel": c.LateCancel,
		"Reorder": c.Reorder, "EndEarly": c.EndEarly, "Exhaust": c.Exhaust, "SpuriousPoll": c.SpuriousPoll,
		"ShortPoll": c.ShortPoll, "StallSend": c.StallSend, "FailRecv": c.FailRecv, "FailSend": c.FailSend,
		"FailAccept": c.FailAccept, "FailConnect": c.FailConnect, "FailClose": c.FailClose,
	} {
		if !(p >= 0 && p <= 1) {
			errs = append(errs, fmt.Errorf("faultengine: %s is %v; a chance goes from 0 to 1", name, p))
		}
	}
	for name, v := range map[string]int{
		"Buffers": c.Buffers, "BufferBytes": c.BufferBytes, "LargeBuffers": c.LargeBuffers, "ReceiveWindowBytes": c.ReceiveWindowBytes,
		"SendWindowBytes": c.SendWindowBytes, "LateMax": c.LateMax, "FailAfterPolls": c.FailAfterPolls,
	} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("faultengine: %s is %d; it can't be negative", name, v))
		}
	}
	if c.StallSend == 1 || c.SpuriousPoll == 1 || c.Exhaust == 1 || c.FailAccept == 1 {
		errs = append(errs, errors.New("faultengine: StallSend, SpuriousPoll, Exhaust and FailAccept must stay below 1, or nothing would ever happen"))
	}
	return errors.Join(errs...)
}
