package conn

import (
	"encoding/binary"
	"testing"

	"kring/internal/slab"
	"kring/reqchan"
)

// FuzzConnBehindATransport is FuzzConn for a connection that is not plain.
func FuzzConnBehindATransport(f *testing.F) {
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 4<<10 {
			playConn(t, script, &sealer{})
		}
	})
}

// sealer is a transport whose other side a script plays. What it opens is as it came, behind a
// byte that begins the handshake; what it seals are records: a kind, a length, and bytes.
type sealer struct {
	wire   []byte
	words  []byte // of its own, to be sent
	waits  bool   // for its handshake
	open   bool
	over   bool                // the peer sends no more
	last   bool                // it has said its last word
	unsent bool                // the peer takes nothing more
	broken reqchan.CloseReason // why; ReasonNone: Read knows nothing of it
}

const (
	sealedHello = 'h'
	sealedData  = 'd'
	sealedWord  = 'w'
	sealedAlert = 'a'
	sealedEnd   = 'e'
	// sealerFull is how much it holds before it is full.
	sealerFull = 2000
)

func (s *sealer) make() MakeTransport {
	if s == nil {
		return nil
	}
	return func(*reqchan.Conn, func()) Transport { return s }
}

func sealedRecord(wire []byte, kind byte, plain []byte) []byte {
	return append(binary.BigEndian.AppendUint16(append(wire, kind), uint16(len(plain))), plain...)
}

func (s *sealer) Waits() bool      { return s.waits }
func (s *sealer) Open() bool       { return s.open }
func (s *sealer) Held() int        { return len(s.wire) }
func (s *sealer) Full() bool       { return len(s.wire) > sealerFull }
func (s *sealer) Close(*slab.Pool) { s.wire = nil }

func (s *sealer) Feed(wire []byte) {
	s.over = s.over || wire == nil
	s.wire = append(s.wire, wire...)
}

func (s *sealer) Keep(memory *slab.Pool) bool {
	if memory == nil {
		s.wire = nil
	}
	return true
}

func (s *sealer) Read(b []byte) (int, reqchan.CloseReason) {
	if s.broken != reqchan.ReasonNone {
		return 0, s.broken
	}
	if !s.open {
		if s.waits = s.waits || len(s.wire) > 0; !s.waits && s.over {
			return 0, reqchan.PeerFinished
		}
		return 0, reqchan.ReasonNone
	}
	n := copy(b, s.wire)
	if s.wire = s.wire[n:]; n == 0 && s.over {
		return 0, reqchan.PeerFinished
	}
	return n, reqchan.ReasonNone
}

func (s *sealer) Sealed(plain int) int {
	if plain > 0 && s.open {
		return len(s.words) + 3 + plain
	}
	return len(s.words)
}

func (s *sealer) Seal(wire, plain []byte) ([]byte, reqchan.CloseReason) {
	wire = append(wire, s.words...)
	if s.words = nil; len(plain) == 0 || !s.open {
		return wire, reqchan.ReasonNone
	}
	if s.last {
		return wire, reqchan.HandshakeFailed
	}
	return sealedRecord(wire, sealedData, plain), reqchan.ReasonNone
}

func (s *sealer) End() {
	if !s.last && s.open {
		s.say(sealedEnd)
	}
}

// say has it say a word of its own; behind some there is none.
func (s *sealer) say(kind byte) {
	s.words = sealedRecord(s.words, kind, nil)
	s.last = kind == sealedAlert || kind == sealedEnd
}

// transport has the transport get on by itself, and say something of its own.
func (l *scriptLoop) transport() {
	s := l.sealer
	if s == nil || l.over || l.closing {
		return
	}
	what := l.next()
	if s.waits && what&3 == 0 {
		s.waits, s.open, s.wire = false, true, s.wire[1:]
		s.say(sealedHello)
		l.conn.transportMoved()
		return
	}
	if !s.open || s.last || !l.receiving || l.conn.life >= finishing { // nothing is opened
		return
	}
	switch { // what came had no plain bytes
	case what < 250:
		return
	case what < 254:
		s.say(sealedWord)
	case what == 254:
		s.say(sealedAlert)
		s.broken = reqchan.HandshakeFailed
	default:
		s.say(sealedAlert)
	}
	l.conn.fromWire([]byte{})
}

// check is what was sealed of what was sent; the last word is the last.
func (s *sealer) check(t testing.TB, got []byte, why reqchan.CloseReason) (plain []byte) {
	t.Helper()
	last := byte(0)
	for len(got) >= 3 {
		n := int(binary.BigEndian.Uint16(got[1:]))
		if last == sealedAlert || last == sealedEnd {
			t.Errorf("behind the last word %q comes %q", last, got[0])
		}
		if last = got[0]; last == sealedData {
			plain = append(plain, got[3:min(3+n, len(got))]...)
		}
		if got = got[min(3+n, len(got)):]; n == 0 && last == sealedData {
			t.Error("a record of nothing")
		}
	}
	if s.open && !s.unsent && why == reqchan.PeerFinished && last != sealedEnd && last != sealedAlert {
		t.Errorf("it ended in order, and its last word is %q", last)
	}
	return plain
}
