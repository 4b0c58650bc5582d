package faultengine

import (
	"fmt"
	"strings"

	"kring/engine"
)

// trace keeps the last steps, unformatted, and a digest of all.
type trace struct {
	last   [256]step
	count  uint64
	digest uint64
}

type step struct {
	engine int
	tick   uint64
	verb   string
	fd     engine.FD
	token  engine.Token
	res    int32
	more   bool
}

func (t *trace) add(s step) {
	t.last[t.count%uint64(len(t.last))] = s
	t.count++
	for _, v := range [...]uint64{
		uint64(s.engine), s.tick, uint64(s.verb[0]), uint64(s.fd), uint64(s.token), uint64(uint32(s.res)),
	} {
		t.digest = (t.digest ^ v) * 0x100000001b3 // FNV-1a over words
	}
}

func (t *trace) String() string {
	var b strings.Builder
	from := uint64(0)
	if t.count > uint64(len(t.last)) {
		from = t.count - uint64(len(t.last))
	}
	for i := from; i < t.count; i++ {
		s := &t.last[i%uint64(len(t.last))]
		fmt.Fprintf(&b, "  engine %d step %d: %s fd %d token %s", s.engine, s.tick, s.verb, s.fd, s.token)
		if strings.HasPrefix(s.verb, "completes") {
			fmt.Fprintf(&b, " res %d more %t", s.res, s.more)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
