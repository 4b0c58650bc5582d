package conn

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/budget"
	"kring/reqchan"
)

const testRoom = 1 << 20

// roomLoop is upstreamLoop with a budget of responses, of which only so many bytes are free.
func roomLoop(t *testing.T, free int64) (*testLoop, *testOwner, *budget.Budget) {
	l, o := upstreamLoop(t, Settings{FrameBytesMax: 4 << 20, FrameTimeout: time.Second}, true)
	b := budget.New(testRoom)
	l.shared.cfg.Responses = b
	b.Change(0, testRoom*3/4-free)
	return l, o, b
}

func reply(id, n int) []byte {
	return append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(n)), uint32(id)), bytes.Repeat([]byte("x"), n-4)...)
}

// runTasks does what was submitted to the loop.
func (l *testLoop) runTasks() {
	tasks := l.tasks
	l.tasks = nil
	for _, f := range tasks {
		f(l.conn)
	}
}

// TestAReplyIsNotReadBeforeThereIsRoomForIt: its peer decides how large it is.
func TestAReplyIsNotReadBeforeThereIsRoomForIt(t *testing.T) {
	l, o, b := roomLoop(t, 100<<10)
	r := reply(7, 300<<10)
	l.receive(r[:1000], true)
	o.tells(t) // nobody has made memory for it
	l.wants("it is not read further", "cancel")
	l.receive(r[1000:2000], true) // what was on its way
	l.receiveEnds(engine.Failed(0x7d))
	l.wants("nor later")
	if st := b.Stats(); st.Waiting != 1 || st.Used != testRoom*3/4-100<<10 || l.conn.in.frames.Held() != 2000 {
		t.Fatalf("%+v, and %d bytes are held", st, l.conn.in.frames.Held())
	}
	b.Change(testRoom*3/4-100<<10, 200<<10) // somebody has read
	l.runTasks()
	o.tells(t, "begins 7 of 307200")
	if st := b.Stats(); st.Used != 200<<10+300<<10+4 {
		t.Errorf("%d bytes count", st.Used)
	}
	for at := 2000; at < len(r); {
		switch w := l.wanted; {
		case len(w) > 0 && w[len(w)-1] == "receive":
			l.receive(r[at:], true)
			at = len(r)
		default:
			l.fill(r[at:])
			at = len(r)
		}
	}
	o.tells(t, `frame "\x00\x00\x00\axxxx"`)
	if st := b.Stats(); st.Used != 200<<10 || st.Waiting != 0 {
		t.Errorf("after it: %+v", st)
	}
	l.conn.CloseUpstream(nil)
	l.conn.in.receive, l.conn.in.cancelled = receiveNone, false
	l.conn.join()
	l.overUpstream()
}

// TestAReplyThatCameWholeWaitsForRoomAsWell: receive buffers are large.
func TestAReplyThatCameWholeWaitsForRoomAsWell(t *testing.T) {
	l, o, b := roomLoop(t, 0)
	small := reply(1, 1000)
	l.receive(append(append(small, reply(2, 70<<10)...), small...), true)
	o.tells(t, `frame "\x00\x00\x00\x01xxxx"`)
	b.Change(testRoom*3/4, 0)
	l.runTasks()
	o.tells(t, `frame "\x00\x00\x00\x02xxxx"`, `frame "\x00\x00\x00\x01xxxx"`)
	if st := b.Stats(); st.Used != 0 {
		t.Errorf("%+v", st)
	}
	l.wanted = nil
	l.receiveEnds(engine.Failed(0x7d))
	l.wants("it is read again", "receive")
	l.receiveEnds(0)
	l.overUpstream()
}

// TestAReplyThatWaitsTooLongEndsItsConnection, and gives its place in the line back.
func TestAReplyThatWaitsTooLongEndsItsConnection(t *testing.T) {
	l, o, b := roomLoop(t, 0)
	l.receive(reply(7, 300<<10)[:1000], true)
	l.receiveEnds(engine.Failed(0x7d))
	l.wanted = nil
	due := l.conn.Earliest(l.shared.Now())
	if want := l.shared.Now() + int64(time.Second); due != want {
		t.Errorf("its deadline is %d, want %d", due, want)
	}
	l.shared.Tick(due-1, 0)
	if !l.conn.Expire() {
		t.Fatal("it ended before its time")
	}
	l.shared.Tick(due, 0)
	l.conn.Expire()
	l.wants("its time is up", "close")
	l.overUpstream()
	o.tells(t, "closed response_memory_full")
	if o.err == nil || !strings.Contains(o.err.Error(), "307204 bytes") {
		t.Errorf("%v", o.err)
	}
	if st := b.Stats(); st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
}

// TestAReplyLargerThanAllThatThereIsEndsItsConnection at once, with the remedy.
func TestAReplyLargerThanAllThatThereIsEndsItsConnection(t *testing.T) {
	l, o, b := roomLoop(t, 700<<10)
	l.receive(reply(7, 2<<20)[:1000], true)
	l.wants("it is ended", "shutdown")
	l.receiveEnds(0)
	l.overUpstream()
	o.tells(t, "closed response_memory_full")
	if o.err == nil || !strings.Contains(o.err.Error(), "--response-memory-max") {
		t.Errorf("%v", o.err)
	}
	if st := b.Stats(); st.Waited != 0 {
		t.Errorf("%+v", st)
	}
}

// TestRoomComesBackHoweverAConnectionEnds: in line, with a frame begun, paused, or with an
// engine that died.
func TestRoomComesBackHoweverAConnectionEnds(t *testing.T) {
	for name, free := range map[string]int64{"in line": 0, "begun": 700 << 10} {
		for how, end := range map[string]func(*testLoop){
			"closed": func(l *testLoop) {
				l.conn.CloseUpstream(nil)
				l.conn.in.receive, l.conn.in.cancelled = receiveNone, false
				l.conn.join()
			},
			"engine": func(l *testLoop) {
				l.conn.EngineFailed()
				l.conn.Abandon(false)
			},
			"engine, with memory held": func(l *testLoop) {
				l.conn.EngineFailed()
				l.conn.Abandon(true)
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				l, _, b := roomLoop(t, free)
				l.receive(reply(7, 300<<10)[:1000], true)
				before := testRoom*3/4 - free
				end(l)
				l.overUpstream()
				if st := b.Stats(); st.Used != before || st.Waiting != 0 {
					t.Errorf("%+v, and others have %d", st, before)
				}
			})
		}
	}
	t.Run("paused", func(t *testing.T) {
		l, o, b := roomLoop(t, 0)
		l.receive(reply(7, 300<<10)[:1000], true)
		l.conn.Pause()
		if st := b.Stats(); st.Waiting != 0 {
			t.Errorf("it waits although it is paused: %+v", st)
		}
		b.Change(testRoom*3/4, 0)
		l.conn.Unpause()
		o.tells(t, "begins 7 of 307200")
		l.conn.terminate(reqchan.PeerReset)
		l.conn.in.receive, l.conn.in.cancelled = receiveNone, false
		l.conn.join()
		l.overUpstream()
	})
}
