package servertest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
)

// Random is what fills payloads: it gives several bytes at once, which a loop under the race
// detector does not.
func Random(seed uint64) *rand.ChaCha8 {
	var all [32]byte
	binary.LittleEndian.PutUint64(all[:], seed)
	return rand.NewChaCha8(all)
}

// Converse pipelines frames, of least bytes to 300 KiB each, and wants each back, in order.
func Converse(c net.Conn, seed uint64, frames, least int) error {
	draw := func() func() []byte {
		source := Random(seed)
		r := rand.New(source)
		return func() []byte {
			size := least + r.IntN(300)
			switch r.IntN(12) {
			case 0:
				size = least + r.IntN(300<<10)
			case 1, 2:
				size = least + r.IntN(40<<10)
			}
			b := make([]byte, size)
			_, _ = source.Read(b)
			return b
		}
	}
	go func() {
		for next, i := draw(), 0; i < frames; i++ {
			if _, err := c.Write(Frame(next())); err != nil {
				return // the reader meets it too
			}
		}
	}()
	for next, i := draw(), 0; i < frames; i++ {
		got, err := ReadFrame(c)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, next()) {
			return fmt.Errorf("response %d differs", i)
		}
	}
	return nil
}
