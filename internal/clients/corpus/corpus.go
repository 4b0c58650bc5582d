// Package corpus is the content of test records: a pure function of a seed and a
// record's number, so that a reader can check whether a record is the one that was
// written.
//
// Job. Make the key, the size and the bytes of record i, and check a record that was
// read. A Ledger keeps which records were read, and reports which were not.
//
// Flow. A producer calls Key(i) and Value(i). A consumer gives what it read to
// Ledger.Deliver, which finds i in the key, makes the bytes again and compares them.
//
// Ownership. A Corpus is a value and may be used from anywhere; values it
// makes belong to the caller. A Ledger has a lock and may be shared.
//
// Never. No randomness other than the seed's, no clock, no global state.
//
// Kernel. Not involved.
package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// SizeMax is the size of the largest record: 1 MiB.
const SizeMax = 1 << 20

// Corpus makes records. The zero value works.
type Corpus struct {
	// Seed tells corpora apart: the same number has other bytes under
	// another seed, so a record of a wrong topic is noticed.
	Seed uint64
	// BytesMax caps every size, for tests that are about order and
	// membership rather than volume. Zero means SizeMax.
	BytesMax int
}

// Size is the number of bytes of record i. Of every 500 records one has
// exactly SizeMax, ten have none and ten have one; the others spread evenly
// over the magnitudes from 2 B to 16 KiB. So 10,000 records hold about 37 MiB,
// and any 500 neighbours hold every kind.
func (c Corpus) Size(i int) int {
	size := 0
	switch {
	case i%500 == 0:
		size = SizeMax
	case i%50 == 1:
		size = 0
	case i%50 == 2:
		size = 1
	default:
		r := rand.New(rand.NewPCG(c.Seed, uint64(i)))
		size = int(math.Exp(math.Log(2) + r.Float64()*(math.Log(16<<10)-math.Log(2))))
	}
	if c.BytesMax > 0 {
		size = min(size, c.BytesMax)
	}
	return size
}

// Key is the key of record i: its number, in decimal.
func (c Corpus) Key(i int) []byte { return strconv.AppendInt(nil, int64(i), 10) }

// Value is the content of record i. Even records hold noise, which no codec
// can shrink; odd ones hold a repeated phrase, which every codec can.
func (c Corpus) Value(i int) []byte {
	value := make([]byte, c.Size(i))
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], c.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(i))
	noise := rand.NewChaCha8(seed)
	if i%2 == 0 {
		noise.Read(value) // documented never to fail
		return value
	}
	var phrase [61]byte // a prime length, so that no block boundary repeats
	noise.Read(phrase[:])
	for n := 0; n < len(value); {
		n += copy(value[n:], phrase[:])
	}
	return value
}

// Check finds which record a key names and compares the value with what that
// record must hold.
func (c Corpus) Check(key, value []byte) (int, error) {
	i, err := strconv.Atoi(string(key))
	if err != nil {
		return 0, fmt.Errorf("key %q names no record: %w", key, err)
	}
	want := c.Value(i)
	if len(value) != len(want) {
		return i, fmt.Errorf("record %d has %d bytes, was sent with %d", i, len(value), len(want))
	}
	if !bytes.Equal(value, want) {
		at := 0
		for value[at] == want[at] {
			at++
		}
		return i, fmt.Errorf("record %d differs from what was sent, first at byte %d of %d", i, at, len(want))
	}
	return i, nil
}
