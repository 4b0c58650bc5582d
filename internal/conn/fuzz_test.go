package conn

import (
	"bytes"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/frame"
	"kring/reqchan"
)

// FuzzConn has a script decide what happens to one connection, in any order in which an
// engine, handlers, a clock and an operator may let it happen, and holds what the
// connection wants against what it may want. No engine is needed for that.
func FuzzConn(f *testing.F) {
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 4<<10 {
			playConn(t, script, nil)
		}
	})
}

func TestRandomScriptsOfAConnectionComeToAnEndAndLeaveNothing(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0xc0))
		script := make([]byte, 20+r.IntN(300))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		if playConn(t, script, nil); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		if seed%3 != 0 {
			continue
		}
		if playConn(t, script, &sealer{}); t.Failed() {
			t.Fatalf("seed %d, behind a transport", seed)
		}
	}
}

// scriptLoop minds what is outstanding, as an engine does.
type scriptLoop struct {
	*testLoop
	script    []byte
	receiving bool
	into      []byte // nil: whatever comes
	large     int    // of ReceiveLarge
	lent      map[uint32][]byte
	lease     uint32
	cancelled bool
	shut      bool
	sends     []byte // of the Send that is outstanding
	reads     []byte // into what a file is read
	content   []byte // what is there
	closing   bool
	sealer    *sealer // nil: the connection is plain
	files     map[*os.File][]byte

	peer []byte // what it is still to send
	sent []byte // frames that it sent, whole ones first
	got  []byte // what it was sent
	now  int64
}

func (l *scriptLoop) may(ok bool, what string) {
	if !ok || l.closing || l.over {
		l.t.Errorf("it wants %s: receiving %t, %d bytes sending, closing %t, over %t", what, l.receiving, len(l.sends), l.closing, l.over)
	}
}

func (l *scriptLoop) Receive(*Conn) {
	l.may(!l.receiving, "a receive")
	l.receiving, l.into, l.cancelled = true, nil, false
}

func (l *scriptLoop) ReceiveInto(_ *Conn, b []byte) {
	l.may(!l.receiving && len(b) > 0, "a receive into memory")
	l.receiving, l.into, l.cancelled = true, b, false
}

// largeBytes is what a large buffer has room for.
const largeBytes = 1400

func (l *scriptLoop) ReceiveLarge(_ *Conn, n int) {
	l.may(!l.receiving && n > 0 && n <= largeBytes, "a receive into a large buffer")
	l.receiving, l.into, l.large, l.cancelled = true, nil, n, false
}

// Recycle spoils what was lent.
func (l *scriptLoop) Recycle(done *engine.Completion) {
	if done.Lease != 0 {
		b := l.lent[done.Lease]
		if b == nil {
			l.t.Errorf("it recycles a buffer that is not lent")
		}
		for i := range b {
			b[i] = 0xee
		}
		delete(l.lent, done.Lease)
	}
	l.testLoop.Recycle(done)
}

func (l *scriptLoop) CancelReceive(*Conn) {
	l.may(l.receiving && !l.cancelled, "a receive cancelled")
	l.cancelled = true
}

func (l *scriptLoop) Send(_ *Conn, bufs [][]byte) {
	l.may(len(l.sends) == 0 && len(bufs) > 0, "a send")
	l.sends = bytes.Join(bufs, nil)
	l.may(len(l.sends) > 0, "a send of something")
}

func (l *scriptLoop) Shutdown(*Conn) {
	l.may(l.receiving || len(l.sends) > 0, "a shutdown")
	l.shut = true
}

func (l *scriptLoop) ShutdownSend(*Conn) {
	l.may(len(l.sends) == 0 && !l.shut, "a half-close")
}

func (l *scriptLoop) Close(*Conn) {
	l.may(!l.receiving && len(l.sends) == 0 && l.reads == nil, "a close")
	l.closing = true
}

func (l *scriptLoop) ReadFile(_ *Conn, f *os.File, b []byte, offset int64) {
	l.may(l.reads == nil && len(b) > 0, "a file read")
	l.reads, l.content = b, l.files[f][offset:]
}

// read completes what reads a file with up to n bytes.
func (l *scriptLoop) read(n int) {
	if l.reads == nil {
		return
	}
	n = copy(l.reads[:min(n, len(l.reads))], l.content)
	l.reads = nil
	l.conn.FileRead(&engine.Completion{Op: engine.OpReadFile, Token: testToken, Res: int32(n)})
}

func (l *scriptLoop) next() int {
	if len(l.script) == 0 {
		return 0
	}
	b := l.script[0]
	l.script = l.script[1:]
	return int(b)
}

// playConn plays a script with a connection, which is plain or has s as its transport.
func playConn(t *testing.T, script []byte, s *sealer) {
	// A throttle and a delay end by the clock of requests: its own one may not be far behind.
	l := &scriptLoop{script: script, now: reqchan.Now(), lent: map[uint32][]byte{}, sealer: s, files: map[*os.File][]byte{}}
	first := l.next()
	l.testLoop = newTestLoopAt(t, l.now, Settings{
		Transport:   s.make(),
		PipelineMax: 1 + first&3, BigFrameBytes: 600, HeldBytesMax: 900, QueuedBytesMax: 1500, PackedBytesMax: 200,
		SlowReader: SlowReader(first >> 2 % 3), ThrottleMax: time.Second,
		IdleTimeout: time.Duration(first>>4&1) * time.Second, FrameTimeout: time.Duration(first>>5&1) * time.Second,
		WriteTimeout: time.Duration(first>>6&1) * time.Second,
	}, nil)
	l.shared.loop, l.receiving = l, true
	if first>>7 == 1 {
		l.shared.UseLarge(60, largeBytes)
	}
	l.goOn = func() bool { return l.next()&1 == 0 }
	for n := byte(1); len(l.peer) < 6000; n += 7 {
		f := testFrame(string(bytes.Repeat([]byte{n}, int(n)*int(n)%1200)))
		l.peer = append(l.peer, f...)
	}
	if l.sent = l.peer; s != nil {
		l.peer = append([]byte("h"), l.peer...)
	}
	for len(l.script) > 0 && !l.over && !t.Failed() {
		l.act(l.next())
		if l.next()&1 == 0 {
			l.pass()
		}
	}
	l.rest()
}

// act has one thing happen.
func (l *scriptLoop) act(what int) {
	switch what % 16 {
	case 0, 1, 2, 3:
		l.arrive(1 + l.next()*8)
	case 4, 5:
		l.take(1 + l.next()*8)
	case 6, 7:
		l.handle(l.next())
	case 8:
		l.read(1 + l.next()*8)
	case 9:
		l.now += int64(l.next()) * int64(10*time.Millisecond)
	case 10:
		l.conn.Expire()
	case 11:
		s := l.from.Settings()
		s.PipelineMax, s.HeldBytesMax = 1+l.next()&3, 200+l.next()*8
		l.from.Change(s)
		l.conn.ApplySettings()
	case 12:
		l.shared.Crowded(l.next()&1 == 1)
	case 13:
		l.fail(l.next())
	case 14:
		if l.next()&7 == 0 {
			l.from.Drain()
			l.conn.ApplySettings()
		}
	case 15:
		if l.next()&15 == 0 {
			l.conn.Evict()
		}
	}
}

// pass is what a loop does in between.
func (l *scriptLoop) pass() {
	l.shared.Tick(l.now, 0)
	if l.over {
		return
	}
	if l.retry && l.conn.WaitsForPass() {
		l.retry = false
		l.conn.Retry()
	}
	if n, _ := l.conn.WaitsForBytes(); l.rearms && n > 0 && !l.over {
		l.rearms = false
		l.conn.RetryBytes()
	}
	if l.alarm > 0 && l.alarm <= l.now && !l.over {
		l.alarm = 0
		l.conn.AlarmRang()
	}
	l.transport()
	l.flush()
	if l.closing {
		l.closing = false
		l.conn.Closed()
	}
}

// arrive completes a receive with up to n bytes, or as it has to end.
func (l *scriptLoop) arrive(n int) {
	if !l.receiving {
		return
	}
	if l.into != nil {
		n = min(len(l.into), len(l.peer))
		if l.cancelled || l.shut {
			n = min(n, 3)
		} else if n < len(l.into) {
			return // it completes when it is full
		}
		into := l.into
		l.receiving, l.into = false, nil
		copy(into, l.peer[:n])
		l.peer = l.peer[n:]
		res := int32(n)
		if n == 0 {
			res = engine.Failed(syscall.ECANCELED)
		}
		l.conn.Filled(&engine.Completion{Op: engine.OpRecvInto, Token: testToken, Res: res})
		return
	}
	if n = min(n, len(l.peer)); n > 0 && !l.shut && l.large > 0 {
		l.arriveLarge(min(n, l.large))
		return
	}
	if n > 0 && !l.shut {
		b := l.peer[:n]
		l.peer = l.peer[n:]
		l.receive(b, true)
	}
	if l.receiving && (l.cancelled || l.shut) {
		l.receiving, l.large = false, 0
		l.receiveEnds(engine.Failed(syscall.ECANCELED))
	}
}

// arriveLarge completes a ReceiveLarge.
func (l *scriptLoop) arriveLarge(n int) {
	b := make([]byte, largeBytes)
	copy(b, l.peer[:n])
	l.peer, l.receiving, l.large = l.peer[n:], false, 0
	l.lease++
	l.lent[l.lease] = b
	l.conn.Received(&engine.Completion{Op: engine.OpRecv, Token: testToken, Res: int32(n), Data: b[:n], Lease: l.lease})
}

// take completes a Send that took up to n bytes.
func (l *scriptLoop) take(n int) {
	if len(l.sends) == 0 {
		return
	}
	n = min(n, len(l.sends))
	l.got = append(l.got, l.sends[:n]...)
	l.sends = nil
	l.sent0(n)
}

func (l *scriptLoop) sent0(n int) { l.testLoop.sent(n) }

// handle has one of the requests answered that are with the handlers.
func (l *scriptLoop) handle(how int) {
	if len(l.request) == 0 {
		return
	}
	at := how % len(l.request)
	l.request[0], l.request[at] = l.request[at], l.request[0]
	if l.over {
		return
	}
	l.answer(func(r reqchan.Request) {
		switch how >> 3 {
		case 31:
			r.CloseConnection(reqchan.HandlerClosed)
		case 30:
			r.CloseConnectionAfter(reqchan.HandlerClosed, time.Second/2, nil)
		case 29, 28:
			r.Throttle(time.Second / 4)
			echo(r)
		case 27, 26, 25, 24:
			l.respondFile(r)
		default:
			echo(r)
		}
	})
}

// respondFile is echo, with the second half of it in a file.
func (l *scriptLoop) respondFile(r reqchan.Request) {
	half, f := len(r.Payload())/2, new(os.File)
	l.files[f] = bytes.Clone(r.Payload()[half:])
	if err := r.RespondParts([]reqchan.Part{{Bytes: r.Payload()[:half]}, {File: f, Length: int64(len(r.Payload()) - half)}}, nil); err != nil {
		l.t.Error(err)
	}
}

// fail ends what is outstanding as a network may.
func (l *scriptLoop) fail(how int) {
	switch {
	case l.receiving && l.into == nil && how%8 == 0:
		l.receiving, l.large = false, 0
		l.receiveEnds(engine.Failed(syscall.ENOBUFS))
	case l.receiving && how%8 == 1:
		l.receiving, l.peer = false, nil
		if l.into != nil {
			l.into = nil
			l.conn.Filled(&engine.Completion{Op: engine.OpRecvInto, Token: testToken})
		} else {
			l.large = 0
			l.receiveEnds(0)
		}
	case len(l.sends) > 0 && how%32 == 2:
		if l.sends = nil; l.sealer != nil {
			l.sealer.unsent = true
		}
		l.sent0(int(engine.Failed(syscall.EPIPE)))
	case l.reads != nil && how%32 == 3:
		l.read(0)
	}
}

// rest has everything complete and be answered, until nothing is wanted any more; then the
// peer ends, and the connection must.
func (l *scriptLoop) rest() {
	l.shared.Crowded(false)
	for round := 0; !l.over && !l.t.Failed(); round++ {
		l.now = max(l.now+int64(time.Second/4), l.alarm) // handlers go by a clock that runs ahead
		l.pass()
		l.arrive(4096)
		l.take(4096)
		l.read(4096)
		l.handle(0)
		if round > 200 && l.receiving { // all is sent
			l.fail(1)
		}
		if round > 400 {
			l.t.Fatalf("it does not come to an end: %v, receiving %t, %d bytes sending, %d requests, %d bytes to come, %s, %s",
				l.conn.life, l.receiving, len(l.sends), len(l.request), len(l.peer), l.conn.mutedBy(), l.conn.mute)
		}
	}
	if l.sealer != nil {
		l.got = l.sealer.check(l.t, l.got, l.why)
	}
	if n := len(l.got); n > len(l.sent) || !bytes.Equal(l.got, l.sent[:n]) {
		l.t.Errorf("%d bytes came back, and not those that were sent", n)
	}
	if l.why == reqchan.PeerFinished && !wholeFrames(l.got, l.sent) {
		l.t.Errorf("it ended in order after %d bytes, in the middle of a response", len(l.got))
	}
	l.end()
	if len(l.lent) > 0 {
		l.t.Errorf("%d buffers did not come home", len(l.lent))
	}
}

// wholeFrames says that got ends where a frame does.
func wholeFrames(got, sent []byte) bool {
	at := 0
	for at < len(got) {
		at += frame.SizeBytes + int(sent[at+2])<<8 + int(sent[at+3])
	}
	return at == len(got)
}
