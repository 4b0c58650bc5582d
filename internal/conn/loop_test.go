package conn

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/queue"
	"kring/internal/slab"
	"kring/reqchan"
)

// testLoop has nothing done: it writes down what its connection wants, and the test
// does what an engine, the handlers or the clock would have done.
type testLoop struct {
	t      testing.TB
	memory *slab.Pool
	shared *Shared
	conn   *Conn
	from   *Listener
	home   *reqchan.ResponseQueue
	way    *reqchan.Channel

	wanted  []string       // what was asked for, in order, since it was asked last
	into    []byte         // of the last ReceiveInto
	sending []byte         // of the last Send
	request []*reqchan.Job // what was handed to the handlers
	goOn    func() bool    // says whether a handler goes on with a run; nil: never
	alarm   int64
	tasks   []func(*Conn)
	dirty   bool
	retry   bool // in the next pass
	rearms  bool // when there are bytes
	moves   bool
	why     reqchan.CloseReason // that it was closed for
	over    bool
	seen    engine.Progress
	verdict engine.Verdict // on who is identified
	hold    time.Duration
}

func (l *testLoop) want(f string, args ...any) { l.wanted = append(l.wanted, fmt.Sprintf(f, args...)) }

func (l *testLoop) Receive(*Conn) { l.want("receive") }

func (l *testLoop) ReceiveInto(_ *Conn, buf []byte) {
	l.into = buf
	l.want("receive into %d", len(buf))
}

func (l *testLoop) ReceiveLarge(_ *Conn, n int) { l.want("receive large %d", n) }

func (l *testLoop) CancelReceive(*Conn) { l.want("cancel") }

func (l *testLoop) Send(_ *Conn, bufs [][]byte) {
	l.sending = slices.Concat(bufs...)
	l.want("send %d", len(l.sending))
}

func (l *testLoop) ReadFile(_ *Conn, _ *os.File, buf []byte, offset int64) {
	l.into = buf
	l.want("read file %d at %d", len(buf), offset)
}

func (l *testLoop) Connect(_ *Conn, to netip.AddrPort)     { l.want("connect %v", to) }
func (l *testLoop) Shutdown(*Conn)                         { l.want("shutdown") }
func (l *testLoop) ShutdownSend(*Conn)                     { l.want("shutdown send") }
func (l *testLoop) Close(*Conn)                            { l.want("close") }
func (l *testLoop) Progress(*Conn) (engine.Progress, bool) { return l.seen, true }
func (l *testLoop) Recycle(done *engine.Completion)        { done.Data, done.Lease = nil, 0 }
func (l *testLoop) SendLater(*Conn)                        { l.dirty = true }
func (l *testLoop) RetryLater(*Conn)                       { l.retry = true }
func (l *testLoop) RetryWithBytes(*Conn, int64, bool)      { l.rearms = true }
func (l *testLoop) SetAlarm(_ *Conn, at int64)             { l.alarm = at }
func (l *testLoop) ClearAlarm(*Conn)                       { l.alarm = 0 }
func (l *testLoop) Submit(_ engine.Token, f func(*Conn))   { l.tasks = append(l.tasks, f) }
func (l *testLoop) MigrateLater(*Conn)                     { l.moves = true }
func (l *testLoop) Enqueue(r *reqchan.Job, _ bool)         { l.request = append(l.request, r) }
func (l *testLoop) Postpone(*reqchan.Job)                  { l.want("postpone") }
func (l *testLoop) Identify(_ *Conn, client netip.Addr) (engine.Verdict, time.Duration) {
	l.want("identify %v", client)
	return l.verdict, l.hold
}
func (l *testLoop) HeldScarce()                                     { l.conn.EndStream() }
func (l *testLoop) SetDeadline(*Conn)                               {}
func (l *testLoop) closed(_ *reqchan.Conn, why reqchan.CloseReason) { l.why, l.over = why, true }

var testToken = engine.MakeToken(7, 3)

// newTestLoop opens one connection; what settings leave out gets a small default.
func newTestLoop(t testing.TB, s Settings, handle func(reqchan.Request)) *testLoop {
	return newTestLoopAt(t, 1, s, handle)
}

// newTestLoopAt is newTestLoop at a time.
func newTestLoopAt(t testing.TB, now int64, s Settings, handle func(reqchan.Request)) *testLoop {
	l := &testLoop{t: t, memory: &slab.Pool{}, conn: &Conn{}}
	l.way = reqchan.New(reqchan.Config{RequestsMax: 100, BytesMax: 64 << 20})
	wakeFlag := queue.NewWakeFlag(func() {})
	l.home = reqchan.NewResponseQueue(wakeFlag)
	l.shared = NewShared(Config{Memory: l.memory, Channel: l.way, Handle: handle, Hooks: Hooks{Closed: l.closed}}, l, l.home, l.way.NewSender(wakeFlag))
	for _, of := range []struct {
		of    *int
		small int
	}{{&s.FrameBytesMax, 1 << 20}, {&s.BigFrameBytes, 16 << 10}, {&s.PackedBytesMax, 4 << 10}, {&s.PipelineMax, 1},
		{&s.HeldBytesMax, 32 << 10}, {&s.QueuedBytesMax, 128 << 10}} {
		if *of.of == 0 {
			*of.of = of.small
		}
	}
	l.from = NewListener("TEST", false, s)
	l.shared.Tick(now, 0)
	l.conn.Open(l.shared, testToken, &reqchan.Conn{}, l.from, engine.PrefaceNone)
	l.conn.ApplySettings()
	return l
}

// wants holds what was asked for since it was asked last against want.
func (l *testLoop) wants(when string, want ...string) {
	l.t.Helper()
	if !slices.Equal(l.wanted, want) {
		l.t.Fatalf("%s: it wants %q, not %q", when, l.wanted, want)
	}
	l.wanted = nil
}

// receive is a completion of Receive; more says that it stands.
func (l *testLoop) receive(b []byte, more bool) {
	l.conn.Received(&engine.Completion{Op: engine.OpRecv, Token: testToken, Res: int32(len(b)), Data: slices.Clone(b), More: more})
}

// receiveEnds ends Receive with an errno, or 0.
func (l *testLoop) receiveEnds(res int32) {
	l.conn.Received(&engine.Completion{Op: engine.OpRecv, Token: testToken, Res: res})
}

// fill is the completion of ReceiveInto.
func (l *testLoop) fill(b []byte) {
	copy(l.into, b)
	l.conn.Filled(&engine.Completion{Op: engine.OpRecvInto, Token: testToken, Res: int32(len(b))})
}

// sent is the completion of Send.
func (l *testLoop) sent(n int) {
	l.conn.Sent(&engine.Completion{Op: engine.OpSend, Token: testToken, Res: int32(n)})
}

// flush is the end of a pass.
func (l *testLoop) flush() {
	if l.dirty {
		l.dirty = false
		l.conn.Send()
	}
}

// answer has a handler answer the oldest request, and as many of its run as goOn says;
// then they come home.
func (l *testLoop) answer(f func(reqchan.Request)) {
	home := l.request[:1:1]
	l.request = l.request[1:]
	for r := home[0]; r != nil; {
		f(r.Request())
		if l.goOn == nil || !l.goOn() {
			break
		}
		if r = r.NextInRun(); r != nil {
			home = append(home, r)
		}
	}
	for _, r := range home {
		follows := r.Follows()
		if first := r.Unbegun(); first != nil {
			l.conn.Unbegun(first)
		}
		if follows {
			l.shared.Followed(l.conn, r)
		}
		l.conn.Returned(r)
	}
	l.conn.AllReturned()
}

// end closes the connection, whatever it does, and checks that nothing is left.
func (l *testLoop) end() {
	l.t.Helper()
	if !l.over {
		l.conn.terminate(reqchan.Evicted)
		l.conn.in.receive, l.conn.in.cancelled, l.conn.out.sending = receiveNone, false, false // as with their completions
		l.conn.join()
		l.conn.Closed()
	}
	for _, r := range l.request { // whoever has one answers too late
		if rest := r.Unbegun(); rest != nil {
			l.shared.DropRun(rest)
		}
		l.shared.Drop(r)
	}
	l.shared.Discard()
	if n := l.memory.Lent(); n != 0 {
		l.t.Errorf("%d pieces of memory did not come home", n)
	}
	if n := l.way.Bytes(); n != 0 {
		l.t.Errorf("%d bytes of the channel's capacity did not come home", n)
	}
}

func testFrame(payload string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func echo(r reqchan.Request) { r.Respond(r.Payload()) }
