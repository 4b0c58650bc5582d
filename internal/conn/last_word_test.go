package conn

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// brittle is a transport that changes no byte, until it has said its last word: then it seals
// nothing more.
type brittle struct {
	wire   []byte
	own    []byte // to be sent
	broken bool
	tells  bool // Read says so
}

func (b *brittle) Waits() bool           { return false }
func (b *brittle) Open() bool            { return true }
func (b *brittle) Feed(wire []byte)      { b.wire = append(b.wire, wire...) }
func (b *brittle) Keep(*slab.Pool) bool  { return true }
func (b *brittle) Held() int             { return 0 }
func (b *brittle) Full() bool            { return false }
func (b *brittle) Sealed(plain int) int  { return len(b.own) + plain }
func (b *brittle) End()                  { b.broken, b.own = true, []byte("bye") }
func (b *brittle) Close(*slab.Pool)      { b.wire = nil }
func (b *brittle) breakOff(tells bool)   { b.broken, b.tells, b.own = true, tells, []byte("alert") }
func (b *brittle) makeIt() MakeTransport { return func(*reqchan.Conn, func()) Transport { return b } }
func (b *brittle) settings() Settings {
	return Settings{Transport: b.makeIt(), IdleTimeout: time.Minute}
}

func (b *brittle) Read(into []byte) (int, reqchan.CloseReason) {
	if b.tells {
		return 0, reqchan.HandshakeFailed
	}
	n := copy(into, b.wire)
	b.wire = b.wire[n:]
	return n, reqchan.ReasonNone
}

func (b *brittle) Seal(wire, plain []byte) ([]byte, reqchan.CloseReason) {
	wire = append(wire, b.own...)
	if b.own = nil; b.broken && len(plain) > 0 {
		return wire, reqchan.HandshakeFailed
	}
	return append(wire, plain...), reqchan.ReasonNone
}

// sendAll has all leave that there is, and gives what left last.
func (l *testLoop) sendAll() (last []byte) {
	l.t.Helper()
	for n := 0; l.conn.out.sending; n++ {
		if last = l.sending; len(last) == 0 || n > 1000 {
			l.t.Fatal("it sends nothing, again and again")
		}
		l.sent(len(last))
		l.flush()
	}
	return last
}

// TestAConnectionEndsWithTheLastWordOfItsTransport: much of an answer is not sealed when a broken
// record comes, and never will be. The alert follows what was sealed, whoever sees it first that
// nothing more is: the receiving side, or the sending one; and a file that is being read is
// waited for.
func TestAConnectionEndsWithTheLastWordOfItsTransport(t *testing.T) {
	file, err := os.Open(os.DevNull) // the test reads it
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tells := range []bool{true, false} {
		for _, reads := range []bool{false, true} {
			t.Run(fmt.Sprintf("told %t, a file is read %t", tells, reads), func(t *testing.T) {
				b := &brittle{}
				l := newTestLoop(t, b.settings(), nil)
				l.receive(testFrame("hello"), true)
				l.answer(func(r reqchan.Request) {
					parts := []reqchan.Part{{Bytes: make([]byte, 1<<20)}}
					if reads {
						parts = []reqchan.Part{{Bytes: make([]byte, 200<<10)}, {File: file, Length: 1 << 20}}
					}
					if err := r.RespondParts(parts, nil); err != nil {
						t.Error(err)
					}
				})
				for l.flush(); reads && l.conn.out.reading == nil; l.flush() {
					l.sent(len(l.sending))
				}
				if !l.conn.out.sending {
					t.Fatal("nothing is being sent")
				}
				b.breakOff(tells)
				if tells {
					l.receive([]byte("a broken record"), true)
				}
				if got := l.sendAll(); !bytes.Equal(got, []byte("alert")) {
					t.Fatalf("%d bytes left last", len(got))
				}
				if reads {
					if l.wanted = nil; l.conn.out.reading == nil || l.conn.life >= ending {
						t.Fatal("the file is not waited for")
					}
					l.conn.FileRead(&engine.Completion{Op: engine.OpReadFile, Token: testToken, Res: 4096})
					l.flush()
				}
				if !slices.Contains(l.wanted, "shutdown send") {
					t.Fatalf("it does not end: it wants %q", l.wanted)
				}
				l.receiveEnds(0)
				if l.conn.Closed(); l.why != reqchan.HandshakeFailed {
					t.Errorf("closed for %v", l.why)
				}
				l.end()
			})
		}
	}
}

// TestAFrameBehindTheLastWordIsNotBegun: whoever writes one while the end of a connection leaves
// may send it elsewhere.
func TestAFrameBehindTheLastWordIsNotBegun(t *testing.T) {
	b := &brittle{}
	l, o := upstreamLoop(t, b.settings(), false)
	l.conn.Connected(&engine.Completion{Op: engine.OpConnect, Token: testToken})
	l.conn.transportMoved()
	o.tells(t, "opened")
	if l.wanted = nil; !l.conn.EndUpstream(false) {
		t.Fatal("it does not end")
	}
	var done []string
	l.conn.WriteFrame(&Outgoing{Parts: [][]byte{testFrame("too late")}, Done: func(begun bool, err error) {
		done = append(done, fmt.Sprint(begun, err))
	}})
	l.flush()
	if got := l.sendAll(); !bytes.Equal(got, []byte("bye")) {
		t.Errorf("%q left last", got)
	}
	if want := []string{fmt.Sprint(false, ErrNotSent)}; !slices.Equal(done, want) {
		t.Errorf("the frame is done as %q, want %q", done, want)
	}
	l.receiveEnds(0)
	l.overUpstream()
	o.tells(t, "closed server_draining")
}
