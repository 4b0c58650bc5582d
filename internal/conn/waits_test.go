package conn

import (
	"strings"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/queue"
	"kring/reqchan"
)

// TestWhoHasGotTheBytesThatItWaitedForWaitsForThePass: they may come by another way than the
// one that it was told of, and what it waits for next is noted.
func TestWhoHasGotTheBytesThatItWaitedForWaitsForThePass(t *testing.T) {
	const size = 40 << 10
	l := newTestLoop(t, Settings{FrameTimeout: 10_000_000_000}, echo)
	c := l.conn
	l.shared.unreserve(0) // what it has hoarded
	taken := int64(0)
	for s := l.way.NewSender(queue.NewWakeFlag(func() {})); s.Reserve(size); taken += size {
	}
	f := testFrame(strings.Repeat("x", size-4))
	l.shared.Tick(1_000_000_000, 0)
	l.receive(f[:100], true)
	if n, _ := c.WaitsForBytes(); n == 0 || !l.rearms {
		t.Fatal("it does not wait for bytes")
	}
	l.way.Release(taken)
	l.shared.Tick(2_000_000_000, 0)
	l.shared.buffers.into = intoBytesMax // others receive into large frames in this pass
	l.receive(f[100:200], false)
	if n, _ := c.WaitsForBytes(); n != 0 || c.Hurries() || c.at.begun == 0 {
		t.Errorf("it has its bytes, and waits for %d; frames hurry: %v", n, c.Hurries())
	}
	if !l.retry || !c.WaitsForPass() {
		t.Fatal("it waits for the pass, and nobody knows")
	}
	l.shared.buffers.into = 0
	c.Retry()
	l.fill(f[200:])
	for l.flush(); c.out.sending; l.flush() {
		l.sent(len(l.sending))
	}
	if l.shared.count.Responses != 1 {
		t.Error("no answer")
	}
	l.end()
}

// TestWhoFoundNoReceiveBufferTriesAgainWhileRequestsLieInSome: they lie in half of them at most,
// and what a Poll has lent is back with its end.
func TestWhoFoundNoReceiveBufferTriesAgainWhileRequestsLieInSome(t *testing.T) {
	l := newTestLoop(t, Settings{}, func(reqchan.Request) {}) // which never answers
	l.shared.UseBuffers(6)
	for n := 1; n <= 5; n++ {
		c := &Conn{}
		c.Open(l.shared, testToken, &reqchan.Conn{}, l.from, engine.PrefaceNone)
		f := testFrame("request")
		c.in.receive = receiveStream
		c.Received(&engine.Completion{Op: engine.OpRecv, Token: testToken, Res: int32(len(f)), Data: f, More: true})
		if pinned := l.shared.buffers.pinned; pinned != min(n, 3) {
			t.Errorf("%d requests lie in %d of 6 buffers", n, pinned)
		}
		if !l.shared.BuffersCameBack() {
			t.Errorf("with %d of them who waits does not try again", n)
		}
	}
	l.shared.UseBuffers(1)
	if l.shared.buffers.pinned = 0; l.shared.mayPin(&engine.Completion{}) || !l.shared.BuffersCameBack() {
		t.Error("a request lies in the only buffer, or nobody tries again for it")
	}
}

// TestWhoAsksForBytesLaterHasNotWaitedSinceItAskedFirst: a throttle came between. Otherwise the
// silent peers of others are closed at once for it.
func TestWhoAsksForBytesLaterHasNotWaitedSinceItAskedFirst(t *testing.T) {
	const size = 40 << 10
	l := newTestLoop(t, Settings{FrameTimeout: 10 * time.Second, PipelineMax: 2, ThrottleMax: time.Minute}, nil)
	c := l.conn
	var taken int64
	take := func() {
		l.shared.unreserve(0) // what it has hoarded
		for s := l.way.NewSender(queue.NewWakeFlag(func() {})); s.Reserve(size); taken += size {
		}
	}
	l.shared.Tick(int64(time.Second), 0)
	l.receive(testFrame("first"), true)
	take()
	l.receive(testFrame(strings.Repeat("x", size))[:100], true)
	if n, _ := c.WaitsForBytes(); n == 0 {
		t.Fatal("it does not wait for bytes")
	}
	l.answer(func(r reqchan.Request) {
		r.Throttle(time.Minute)
		r.Respond([]byte("throttled"))
	})
	l.way.Release(taken)
	taken = 0
	if c.RetryBytes(); c.in.frames.Rest() != nil {
		t.Fatal("its frame has begun while it is throttled")
	}
	take()
	l.shared.Tick(l.alarm, 0)
	c.AlarmRang()
	if n, _ := c.WaitsForBytes(); n == 0 || c.Hurries() {
		t.Errorf("it waits for %d bytes since this moment, and hurries others: %v", n, c.Hurries())
	}
	l.shared.Tick(l.alarm+2*int64(time.Second), 0)
	if !c.Hurries() {
		t.Error("after a while it does not hurry others")
	}
	l.way.Release(taken)
	l.end()
}
