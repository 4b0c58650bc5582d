package conn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"kring/engine"
	"kring/reqchan"
)

// testOwner writes down what it is told of a connection that this side makes.
type testOwner struct {
	told []string
	into []byte // where frames are to lie
	fail error  // of FrameBegins
	err  error  // that it was closed with
}

func (o *testOwner) tell(f string, args ...any) { o.told = append(o.told, fmt.Sprintf(f, args...)) }

func (o *testOwner) Opened() { o.tell("opened") }

func (o *testOwner) FrameBegins(size int, id int32) ([]byte, error) {
	o.tell("begins %d of %d", id, size)
	return o.into, o.fail
}

func (o *testOwner) Frame(payload []byte) { o.tell("frame %q", payload[:min(len(payload), 8)]) }

func (o *testOwner) Closed(why reqchan.CloseReason, err error) {
	o.err = err
	o.tell("closed %v", why)
}

// upstreamLoop opens a connection that this side makes; connected says that it is.
func upstreamLoop(t *testing.T, s Settings, connected bool) (*testLoop, *testOwner) {
	l, o := newTestLoop(t, s, nil), &testOwner{}
	l.conn.terminate(reqchan.Evicted) // the accepted one
	l.conn.in.receive = receiveNone
	l.conn.join()
	l.conn.Closed()
	l.wanted, l.over = nil, false
	l.conn.OpenUpstream(l.shared, testToken, &reqchan.Conn{}, l.from, netip.MustParseAddrPort("192.0.2.1:9092"), 0, o)
	l.wants("at first", "connect 192.0.2.1:9092")
	if connected {
		l.conn.Connected(&engine.Completion{Op: engine.OpConnect, Token: testToken})
		l.wants("when it is connected", "receive")
		o.tells(t, "opened")
	}
	return l, o
}

// tells holds what the owner was told since it was asked last against want.
func (o *testOwner) tells(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(o.told, want) {
		t.Fatalf("its owner was told %q, not %q", o.told, want)
	}
	o.told = nil
}

// over closes the descriptor, and checks that nothing is left.
func (l *testLoop) overUpstream() {
	l.t.Helper()
	l.conn.Closed()
	l.over = true
	l.end()
}

func TestAConnectIsEndedBeforeItsDescriptorIsClosed(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, false)
	why := errors.New("not needed")
	l.conn.CloseUpstream(why)
	l.wants("when it is closed", "shutdown")
	l.conn.Connected(&engine.Completion{Op: engine.OpConnect, Token: testToken, Res: engine.Failed(syscall.ECANCELED)})
	l.wants("when its connect has ended", "close")
	l.overUpstream()
	if o.tells(t, "closed handler_closed"); o.err != why {
		t.Errorf("it was closed with %v", o.err)
	}
}

func TestAConnectThatFailsSaysWhy(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, false)
	l.conn.Connected(&engine.Completion{Op: engine.OpConnect, Token: testToken, Res: engine.Failed(syscall.EHOSTUNREACH)})
	l.wants("when its connect has failed", "close")
	l.overUpstream()
	if o.tells(t, "closed backend_failed"); o.err != syscall.EHOSTUNREACH {
		t.Errorf("it was closed with %v", o.err)
	}
}

// TestWhatWasNeverHandedToTheEngineIsNotBegun: only such a frame may be sent elsewhere.
func TestWhatWasNeverHandedToTheEngineIsNotBegun(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, true)
	var done []string
	write := func(name string, n int) {
		l.conn.WriteFrame(&Outgoing{Parts: [][]byte{testFrame(string(make([]byte, n)))}, Copied: true, Done: func(begun bool, err error) {
			done = append(done, fmt.Sprintf("%s %t %v", name, begun, err))
		}})
	}
	write("one", 10)
	write("two", 20)
	l.flush()
	l.wants("two frames leave together", "send 38")
	write("three", 30)
	l.sent(20) // all of one, and 6 bytes of two
	l.wants("the rest, with what came meanwhile", "send 52")
	write("four", 40)
	if want := []string{"one true <nil>"}; !slices.Equal(done, want) {
		t.Errorf("%q, want %q", done, want)
	}
	l.conn.Sent(&engine.Completion{Op: engine.OpSend, Token: testToken, Res: engine.Failed(syscall.EPIPE)})
	l.wants("it is broken", "shutdown")
	if want := []string{"one true <nil>", "two true broken pipe", "three true broken pipe", "four false broken pipe"}; !slices.Equal(done, want) {
		t.Errorf("%q, want %q", done, want)
	}
	l.receiveEnds(0)
	l.wants("its receive has ended", "close")
	l.overUpstream()
	o.tells(t, "closed peer_reset")
}

func TestLargePartsAreSentFromWhereTheyLie(t *testing.T) {
	l, _ := upstreamLoop(t, Settings{}, true)
	body := l.memory.Get(100 << 10)
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	l.conn.WriteFrame(&Outgoing{Parts: [][]byte{head, body}, Done: func(bool, error) { l.memory.Put(body) }})
	l.flush()
	l.wants("head and body", "send 102404")
	if bufs := l.conn.out.unsent.buffers; len(bufs) != 2 || &bufs[1][0] != &body[0] {
		t.Errorf("%d pieces are sent, and the second is not the body", len(bufs))
	}
	if n := l.shared.Counts().BytesOutCopied; n != 4 {
		t.Errorf("%d bytes were copied, want the head", n)
	}
	l.sent(102404)
	l.conn.CloseUpstream(io.EOF)
	l.receiveEnds(0)
	l.overUpstream()
}

// TestABigFrameIsReceivedWhereItsOwnerSays: the first is begun out of what came, the next is
// asked for by its size and its correlation id.
func TestABigFrameIsReceivedWhereItsOwnerSays(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, true)
	o.into = make([]byte, 200<<10)
	big := append([]byte{0, 0, 0, 7}, bytes.Repeat([]byte("x"), 100<<10)...)
	frame := testFrame(string(big))
	l.receive(frame[:6], true)
	o.tells(t) // nobody knows whose it is
	l.receive(frame[6:9], true)
	o.tells(t, "begins 7 of 102404")
	l.wants("the rest is received apart", "cancel")
	l.receiveEnds(engine.Failed(syscall.ECANCELED))
	l.wants("the rest", "receive into 102399")
	if &l.into[0] != &o.into[5] {
		t.Error("it is not received where its owner says")
	}
	l.fill(frame[9:])
	o.tells(t, fmt.Sprintf("frame %q", big[:8]))
	l.wants("the next begins", "receive into 8")
	next := append([]byte{0, 0, 0, 8}, bytes.Repeat([]byte("y"), 50<<10)...)
	l.fill(testFrame(string(next))[:8])
	o.tells(t, "begins 8 of 51204")
	l.wants("its rest", "receive into 51200")
	l.fill(testFrame(string(next))[8:])
	o.tells(t, fmt.Sprintf("frame %q", next[:8]))
	l.wants("the next but one", "receive into 8")
	if got := l.shared.Counts().BytesInCopied; got > 2*9 {
		t.Errorf("%d bytes were copied, want the 9 that came before it had a place, and these into it", got)
	}
	l.conn.Filled(&engine.Completion{Op: engine.OpRecvInto, Token: testToken})
	l.wants("the peer has finished", "close")
	l.overUpstream()
	if o.tells(t, "closed peer_finished"); o.err != io.EOF {
		t.Errorf("it was closed with %v", o.err)
	}
}

// TestFramesThatWaitComeBeforeTheEnd: the peer has finished while the connection is paused.
func TestFramesThatWaitComeBeforeTheEnd(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, true)
	l.conn.Pause()
	l.receive(append(testFrame("one ......"), testFrame("two ......")...), true)
	l.receiveEnds(0)
	o.tells(t)
	l.wants("it waits")
	l.conn.WriteFrame(&Outgoing{Parts: [][]byte{testFrame("asked")}})
	l.flush()
	l.sent(9)
	l.wants("what it says goes out", "send 9")
	l.conn.Unpause()
	o.tells(t, `frame "one ...."`, `frame "two ...."`)
	l.wants("all has come", "close")
	l.overUpstream()
	o.tells(t, "closed peer_finished")
}

// TestMemoryOfAFrameThatNobodyGaveCountsAsAResponse, and goes back with the connection.
func TestMemoryOfAFrameThatNobodyGaveCountsAsAResponse(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, true)
	l.receive([]byte{0, 0, 0x40, 0, 0, 0, 0, 1, 2, 3}, true)
	o.tells(t, "begins 1 of 16384")
	if n := l.shared.bounds.output; n != 16388 {
		t.Errorf("%d bytes count as output, want those of the frame", n)
	}
	if n := l.way.Bytes(); n > HoardedBytesMax {
		t.Errorf("%d bytes count as requests", n)
	}
	l.receiveEnds(engine.Failed(syscall.ECONNRESET))
	l.overUpstream()
	if o.tells(t, "closed peer_reset"); o.err != syscall.ECONNRESET {
		t.Errorf("it was closed with %v", o.err)
	}
}

// TestAnOwnerIsToldThatItsEngineKeepsMemory: once, however the engine ended, and which of its
// memory it must not use again.
func TestAnOwnerIsToldThatItsEngineKeepsMemory(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, true)
	body := l.memory.Get(100 << 10)
	var done []string
	write := func(parts ...[]byte) {
		l.conn.WriteFrame(&Outgoing{Parts: parts, Done: func(begun bool, err error) {
			done = append(done, fmt.Sprint(begun, " ", errors.Is(err, engine.ErrMemoryHeld)))
		}})
	}
	write(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body)
	l.flush()
	l.wants("it is sent", "send 102404")
	write(testFrame("has not left"))
	o.into = l.memory.Get(200 << 10)
	l.receive(reply(7, 100<<10)[:1000], true)
	o.tells(t, "begins 7 of 102400")
	l.wants("its rest", "cancel")
	l.receiveEnds(engine.Failed(syscall.ECANCELED))
	l.wants("its rest", "receive into 101404")
	l.conn.EngineFailed()
	l.conn.Abandon(true)
	l.conn.Closed()
	o.tells(t, "closed engine_failed")
	if !errors.Is(o.err, engine.ErrMemoryHeld) {
		t.Errorf("it is told %v", o.err)
	}
	if want := []string{"true true", "false false"}; !slices.Equal(done, want) {
		t.Errorf("its frames are done %q, want %q", done, want)
	}
}

// TestMemoryOfARequestThatTheKernelKeepsIsNobodysAgain: a processor that lives has the requests
// whose bytes a dead one sends.
func TestMemoryOfARequestThatTheKernelKeepsIsNobodysAgain(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	l.receive(testFrame(string(bytes.Repeat([]byte("x"), 100<<10))), true)
	for len(l.request) == 0 { // its rest goes into its own memory
		l.receiveEnds(engine.Failed(syscall.ECANCELED))
	}
	l.answer(func(r reqchan.Request) {
		r.Buffer(50 << 10)
		r.LoseMemory()
		r.CloseConnection(reqchan.BackendFailed)
	})
	if n := l.shared.Counts().Lost; n < 150<<10 {
		t.Errorf("%d bytes are counted as lost", n)
	}
	if n := l.memory.Lent(); n != 2 {
		t.Errorf("%d pieces of memory are out, want the frame and the response", n)
	}
	if n := l.way.Bytes(); n > HoardedBytesMax {
		t.Errorf("%d bytes of the channel's capacity did not come home", n)
	}
}

// TestAFrameWithoutAReplyKeepsNoConnection of a processor that is taken away.
func TestAFrameWithoutAReplyKeepsNoConnection(t *testing.T) {
	l, o := upstreamLoop(t, Settings{}, true)
	l.conn.WriteFrame(&Outgoing{Parts: [][]byte{testFrame("acks=0")}, NoReply: true})
	l.flush()
	l.wants("it leaves", "send 10")
	if l.conn.EndUpstream(true) {
		t.Error("it ends with something to send")
	}
	l.sent(10)
	if !l.conn.EndUpstream(true) {
		t.Error("it waits for a reply that does not come")
	}
	l.wants("it ends", "shutdown")
	l.receiveEnds(0)
	l.overUpstream()
	o.tells(t, "closed listener_removed")
}
